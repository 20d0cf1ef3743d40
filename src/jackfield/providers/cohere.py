"""Cohere's own API: chat, vectors, rankings and the list of models, with an API key.

Knows the calls and their order; what a chat's bytes mean is dialects/cohere_chat.py's business, what the others' do is
cohere_calls.py's. Source: https://docs.cohere.com/v2/reference (November 2026).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Self, Unpack

import msgspec

from jackfield.core.contracts import (
    Embeds,
    ListsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    RawReply,
    Reranks,
)
from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest, RerankReply, RerankRequest
from jackfield.dialects import cohere_chat
from jackfield.providers import cohere_calls as calls
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import check_fit
from jackfield.providers.http_chat import Reading, chat_events
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config, root_of
from jackfield.providers.http_json import all_pages, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.model_facts import corrected
from jackfield.providers.model_list import Wanted, select
from jackfield.providers.quotas import TellsQuota
from jackfield.providers.refusal import read_refusal

EMBED_MODEL = "embed-v5.0-fast"
RERANK_MODEL = "rerank-v5.0-pro"
PAGE_SIZE = 1000
_ENDINGS = ("/v2/chat", "/v2", "/compatibility/v1", "/v1")
"""What people paste after the address: every call says its own version."""


class CohereConfig(HttpConfig, frozen=True, kw_only=True):
    """`input_type` is what vectors are for; `safety_mode` is CONTEXTUAL, STRICT or OFF, sent where a request says none."""

    input_type: str = "search_document"
    safety_mode: str | None = None


class Cohere(TellsQuota):
    """A provider of Cohere's API. Make it with `create`; it opens no socket until it is asked something."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="cohere",
        type="api",
        display_name="Cohere",
        capabilities=Capabilities(
            embeddings=True,
            images=True,
            tools=True,
            json_mode=True,
            system_messages=True,
            default_model="command-a-plus-05-2026",
            supported_tasks=("text-generation", "embeddings", "rerank"),
        ),
        aliases=("cohere-chat", "cohere-v2"),
        dialect=cohere_chat.NAME,
        default_url="https://api.cohere.com",
        key_env=("COHERE_API_KEY", "CO_API_KEY"),
        needs_key=True,
        is_external=True,
        docs="https://docs.cohere.com",
        hint="try again, or see https://status.cohere.com",
        config_keys=config_keys(CohereConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    def __init__(self, config: CohereConfig, source: HttpSource) -> None:
        self._source = source
        self._config = config
        self._model = config.model or self.card.capabilities.default_model or ""
        self._facts: dict[str, ModelProfile] = {}
        sees = self.card.capabilities.images if config.vision is None else config.vision
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities,
            max_context=config.max_context,
            vision=config.vision,
            images=sees,
            default_model=self._model,
        )
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, cohere_chat.NAME, source.hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a missing key."""
        find_root = partial(root_of, cls.card, endings=_ENDINGS)
        try:
            read, key = read_config(CohereConfig, cls.card, config, tools.secrets, find_root=find_root)
            _check(read.input_type)
            auth = {"authorization": f"Bearer {key}"} if key else {}
            return cls(read, HttpSource(cls.card, read, {}, tools.http, cls._refusal, auth=auth, root=find_root(read)))
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    def __repr__(self) -> str:
        return f"<{self.card.id} at {', '.join(self.info.hosts)}, model {self._model}>"

    @classmethod
    async def _refusal(cls, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, cls.card.id, cohere_chat.decode_error)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way."""
        model = request.model or self._model
        check_fit(request, model, self.card.id, self.capabilities, self._facts.get(model))
        body, warnings = cohere_chat.encode_request(self._completed(request), model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        reading = Reading(
            partial(cohere_chat.decode_reply, provider=self.card.id, model=model),
            partial(cohere_chat.StreamDecoder, self.card.id, model=model),
        )
        async with chat_events(self._source, cohere_chat.PATH, body, reading, model=model, warnings=warnings) as events:
            yield events

    def _completed(self, request: ChatRequest) -> ChatRequest:
        generation = merge_generation(request.generation, self._config.generation)
        mode = self._config.safety_mode
        extra = request.extra if mode is None else {"safety_mode": mode, **request.extra}
        return msgspec.structs.replace(request, generation=generation, extra=extra)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Vectors by a model that embeds: the request's, the slot's if its name says so, else Cohere's current one.

        More texts than one call takes go in several calls, one after another.
        """
        model = self._model_for("embed", request.model, EMBED_MODEL)
        bodies, warnings = calls.encode_embed(request, model, self._config.input_type)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        answers = [await self._embedded(body, count, model) for body, count in bodies]
        return calls.joined(answers, model)

    async def rerank(self, request: RerankRequest) -> RerankReply:
        """The best match first, by a model that ranks, chosen as for vectors."""
        model = self._model_for("rerank", request.model, RERANK_MODEL)
        body, warnings = calls.encode_rerank(request, model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        reply = await self._source.post(calls.RERANK_PATH, body, model=model)
        decode = partial(calls.decode_rerank, count=len(request.documents), model=model)
        return await read_reply(self._source, reply, decode, "rerank", model)

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """All pages of what it offers now and is `wanted`. Raises Upstream errors and AuthFailed."""
        found = await all_pages(self._page, f"{calls.MODELS_PATH}?page_size={PAGE_SIZE}", "page_token")
        self._facts = {profile.id: self._merged(profile) for profile in found}
        return select(self._facts.values(), **wanted)

    async def _page(self, query: str) -> tuple[list[ModelProfile], str]:
        reply = await self._source.get(query, operation="list models")
        decode = partial(calls.decode_models, source=self.card.id)
        return await read_reply(self._source, reply, decode, "list models", None)

    async def probe(self) -> ProbeResult:
        """Asks for the model list, never for an answer."""
        return await probe_by_list(self.list_models, self.card.id, self._model)

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    def _model_for(self, task: str, asked: str | None, usual: str) -> str:
        return asked or (self._model if task in self._model else usual)

    async def _embedded(self, body: bytes, count: int, model: str) -> EmbedReply:
        reply = await self._source.post(calls.EMBED_PATH, body, model=model)
        decode = partial(calls.decode_embed, count=count, model=model)
        return await read_reply(self._source, reply, decode, "embed", model)

    def _merged(self, profile: ModelProfile) -> ModelProfile:
        """What the person says counts before what the source lists."""
        return corrected(profile, vision=self._config.vision, context_length=self._config.max_context)


def _check(input_type: str) -> None:
    if input_type not in calls.INPUT_TYPES:
        raise BadRequest(f"input_type must be one of {', '.join(calls.INPUT_TYPES)}, got {input_type!r}", param="input_type")


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[ListsModels], type[Probes], type[Embeds], type[Reranks]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return Cohere, Cohere, Cohere, Cohere, Cohere, Cohere
