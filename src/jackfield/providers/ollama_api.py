"""Ollama's own API as it is everywhere: chat and generate, the model list, and what a model can do.

Knows the calls and their order; bytes are the dialect's business, and models are on the shelf (ollama_shelf.py).
Source: docs.ollama.com/api (October 2026).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self, Unpack

import msgspec

from jackfield.core.contracts import (
    ListsModels,
    PassesThrough,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    RawCall,
    RawReply,
)
from jackfield.core.errors import BadRequest, JackfieldError, ModelNotFound
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.dialects import ollama
from jackfield.dialects.ollama_models import full_name
from jackfield.providers.asked_again import asked_again
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import BYTES_PER_TOKEN, check_fit
from jackfield.providers.http_chat import Reading, chat_events
from jackfield.providers.http_config import HttpConfig, read_config, root_of, timeouts_of
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.model_facts import corrected
from jackfield.providers.model_list import Wanted, select
from jackfield.providers.ollama_shelf import ModelShelf
from jackfield.providers.refusal import read_refusal
from jackfield.transport.http1 import HttpClient, Timeouts

LOAD_S = 180.0
"""How long a first answer may take: the model may have to be loaded for it."""
ENDINGS = ("/api/chat", "/api/generate", "/api", "/v1/chat/completions", "/v1")
"""What people paste after the server's address; its own calls are below the root."""
MAX_CALL_RETRIES = 10
STREAM_TYPES = (ollama.STREAM_TYPE, b"application/ndjson", b"application/jsonl")


class OllamaConfig(HttpConfig, frozen=True, kw_only=True):
    """`keep_alive`: how long a model stays in memory ("10m", seconds, -1 for ever, 0 for not at all).

    `tool_call_retries`: how often an answer is asked for again whose tool call cannot be read. `pull_timeout` in seconds.
    """

    keep_alive: str | float | None = None
    tool_call_retries: int = 2
    pull_timeout: float = 3600.0


class OllamaApi:
    """What every Ollama has, here or in the cloud; `card` says which. It opens no socket until it is asked something."""

    card: ClassVar[ProviderCard]

    def __init__(self, config: OllamaConfig, http: HttpClient, key: str | None) -> None:
        card = self.card
        timeouts = timeouts_of(config, card.id, LOAD_S)
        self._source = self._source_of(config, http, key, timeouts)
        pulls = Timeouts(connect_s=timeouts.connect_s, first_byte_s=LOAD_S, idle_s=timeouts.idle_s, total_s=config.pull_timeout)
        self._shelf = ModelShelf(self._source, self._source_of(config, http, key, pulls), card.id, config.keep_alive)
        self._config = config
        self._model = config.model
        self._first_model: str | None = None
        self._facts: dict[str, ModelProfile] = {}
        self._defaults = _default_fields(config)
        vision = config.vision
        self.capabilities = msgspec.structs.replace(
            card.capabilities,
            max_context=config.max_context,
            vision=vision,
            images=card.capabilities.images if vision is None else vision,
            default_model=config.model,
        )
        self.info = ProviderInfo(card.id, card.type, card.display_name, ollama.NAME, self._source.hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a missing key."""
        try:
            read, key = read_config(OllamaConfig, cls.card, config, tools.secrets, find_root=cls._root)
            _check(read)
            return cls(read, tools.http, key)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    def __repr__(self) -> str:
        return f"<{self.card.id} at {', '.join(self.info.hosts)}, model {self._model or 'not chosen'}>"

    @classmethod
    def _root(cls, config: HttpConfig) -> str:
        return root_of(cls.card, config, endings=ENDINGS)

    def _source_of(self, config: OllamaConfig, http: HttpClient, key: str | None, timeouts: Timeouts) -> HttpSource:
        auth = {"authorization": f"Bearer {key}"} if key else {}
        return HttpSource(
            self.card,
            config,
            {"accept": "application/x-ndjson, application/json"},
            http,
            self._refusal,
            auth=auth,
            root=self._root(config),
            timeouts=timeouts,
            watch=self._learn_from,
        )

    async def _refusal(self, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, self.card.id, ollama.decode_error)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way.

        An answer whose tool call cannot be read is asked for again, a few times, while nothing of it has been handed out.
        """
        model = request.model or self._model or await self._chosen_model()
        check_fit(request, model, self.card.id, self.capabilities, self._facts_of(model))
        request = self._completed(request)
        body, warnings = ollama.encode_request(request, model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        path, reading = ollama.path_of(ollama.form_of(request)), self._reading(model)
        retries = self._config.tool_call_retries if request.tools else 0
        async with asked_again(
            lambda: chat_events(self._source, path, body, reading, model=model, warnings=warnings),
            retries=retries,
            provider=self.card.id,
        ) as events:
            yield events

    async def pass_through(self, call: RawCall) -> RawReply:
        """The upstream's own bytes for a request in Ollama's dialect. Raises the mapped error for any status above 299."""
        model = call.model or self._model or await self._chosen_model()
        fields = dict(call.fields)
        if call.path in (ollama.PATH, ollama.GENERATE_PATH):
            ollama.fill_in(fields, self._defaults)
            self._check_raw(fields, model, call.path)
        body = ollama.splice_request(fields, model=model, stream=call.stream)
        return await self._source.post(call.path, body, model=model)

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """What is on its disk, with sizes, and is `wanted`. Raises Upstream errors and AuthFailed."""
        profiles = tuple(map(self._merged, await self._shelf.listed()))
        self._first_model = profiles[0].id if profiles else None
        return select(profiles, **wanted)

    async def show_model(self, model: str) -> ModelProfile:
        """What a model is and can do; requests for it are checked against that from now on. Raises ModelNotFound."""
        profile = self._merged(await self._shelf.shown(model))
        self._facts[full_name(model)] = profile
        return profile

    async def version(self) -> str:
        return await self._shelf.version()

    async def probe(self) -> ProbeResult:
        """Asks for the model list, never for an answer."""
        return await probe_by_list(self.list_models, self.card.id, full_name(self._model) if self._model else None)

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    def _reading(self, model: str) -> Reading:
        provider = self.card.id

        def whole(body: bytes) -> ChatReply:
            return ollama.decode_reply(body, provider=provider, model=model)

        return Reading(whole, lambda: ollama.StreamDecoder(provider, model=model), STREAM_TYPES)

    def _completed(self, request: ChatRequest) -> ChatRequest:
        generation = merge_generation(request.generation, self._config.generation)
        stay = self._config.keep_alive
        extra = request.extra if stay is None else {"keep_alive": stay, **request.extra}
        return msgspec.structs.replace(request, generation=generation, extra=extra)

    async def _chosen_model(self) -> str:
        """The first model that it lists, remembered until it is gone."""
        if self._first_model is None:
            await self.list_models()
            if self._first_model is None:
                raise ModelNotFound("it has no model: pull one, or name one in the slot's config", provider=self.card.id)
        return self._first_model

    def _learn_from(self, error: JackfieldError) -> None:
        if isinstance(error, ModelNotFound):
            self._first_model = None

    def _check_raw(self, fields: Mapping[str, msgspec.Raw], model: str, path: str) -> None:
        """Decodes the request only if its size, or an image in it, could be a reason to refuse it."""
        facts = self._facts_of(model)
        window = (facts.context_length if facts else None) or self.capabilities.max_context
        said = b"".join(bytes(fields.get(name, b"")) for name in ("messages", "prompt", "images"))
        is_long = window is not None and len(said) // BYTES_PER_TOKEN > window
        if is_long or (self.capabilities.images is False and (b'"images"' in said or fields.get("images"))):
            form: ollama.Form = "chat" if path == ollama.PATH else "generate"
            check_fit(ollama.decode_request(fields, form=form), model, self.card.id, self.capabilities, facts)

    def _facts_of(self, model: str) -> ModelProfile | None:
        return self._facts.get(full_name(model))

    def _merged(self, profile: ModelProfile) -> ModelProfile:
        """What the person says counts before what the source tells."""
        return corrected(profile, vision=self._config.vision, context_length=self._config.max_context)


def _check(config: OllamaConfig) -> None:
    if not 0 <= config.tool_call_retries <= MAX_CALL_RETRIES:
        raise BadRequest(
            f"tool_call_retries must be 0 to {MAX_CALL_RETRIES}, got {config.tool_call_retries}", param="tool_call_retries"
        )
    if config.pull_timeout <= 0:
        raise BadRequest(f"pull_timeout must be above 0 seconds, got {config.pull_timeout:g}", param="pull_timeout")


def _default_fields(config: OllamaConfig) -> dict[str, msgspec.Raw]:
    given: dict[str, Any] = msgspec.to_builtins(config.generation)
    if config.keep_alive is not None:
        given["keep_alive"] = config.keep_alive
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}


def _satisfies() -> tuple[type[Provider], type[PassesThrough], type[ListsModels], type[Probes]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = OllamaApi
    return made, made, made, made
