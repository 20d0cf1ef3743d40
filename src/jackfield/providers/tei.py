"""Text Embeddings Inference by its own API: vectors and rankings of texts, no chat.

Source: huggingface.github.io/text-embeddings-inference (October 2026).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, ClassVar, Self

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
from jackfield.core.errors import BadRequest, JackfieldError, Malformed, NotSupported
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest, RankedDocument, RerankReply, RerankRequest
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.refusal import read_refusal


class Ranked(msgspec.Struct, frozen=True):
    index: int
    score: float


class Tei:
    """One embedding or ranking model."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="tei",
        type="local",
        display_name="Text Embeddings Inference",
        capabilities=Capabilities(
            streaming=False,
            embeddings=True,
            tools=False,
            vision=False,
            json_mode=False,
            supported_tasks=("text-embedding", "feature-extraction", "rerank"),
        ),
        aliases=("hf_tei", "hf-tei", "text-embeddings-inference"),
        default_url="http://127.0.0.1:8080",
        default_port=8080,
        docs="https://huggingface.github.io/text-embeddings-inference",
        hint="start it: text-embeddings-router --model-id MODEL --port 8080",
        limits=("no chat: plug it with the role embed or rerank",),
        config_keys=config_keys(HttpConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    def __init__(self, config: HttpConfig, tools: ProviderTools, key: str | None) -> None:
        auth = {"authorization": f"Bearer {key}"} if key else {}
        self._source = HttpSource(self.card, config, {}, tools.http, self._refusal, auth=auth)
        self._model = config.model
        self.capabilities = msgspec.structs.replace(self.card.capabilities, default_model=config.model)
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, hosts=self._source.hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key."""
        try:
            read, key = read_config(HttpConfig, cls.card, config, tools.secrets)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise
        return cls(read, tools, key)

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Raises NotSupported: it has vectors, not words."""
        raise NotSupported("it makes embeddings and rankings, and does not chat", provider=self.card.id)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Raises BadRequest for tokens instead of text."""
        if not all(isinstance(text, str) for text in request.inputs):
            raise BadRequest("it takes texts, not tokens", provider=self.card.id, param="input")
        vectors = await self._post("embed", {"inputs": list(request.inputs), "truncate": False}, list[tuple[float, ...]])
        if len(vectors) != len(request.inputs):
            raise Malformed(f"it gave {len(vectors)} vectors for {len(request.inputs)} texts", provider=self.card.id)
        return EmbedReply(tuple(vectors), request.model or self._model or self.card.id)

    async def rerank(self, request: RerankRequest) -> RerankReply:
        """The best match first."""
        body = {"query": request.query, "texts": list(request.documents), "truncate": False}
        ranked = await self._post("rerank", body, list[Ranked])
        best = sorted(ranked, key=lambda each: -each.score)[: request.top_n]
        results = tuple(RankedDocument(each.index, each.score) for each in best)
        return RerankReply(results, request.model or self._model or self.card.id)

    async def list_models(self) -> tuple[ModelProfile, ...]:
        """The one model that it was started with. Raises Upstream errors."""
        reply = await self._source.get("info", operation="list models")
        decode = partial(decoded, kind=dict[str, Any], what="what it tells of its model")
        said = await read_reply(self._source, reply, decode, "list models", None)
        length = said.get("max_input_length")
        name = str(said.get("model_id") or self.card.id)
        return (
            ModelProfile(
                name, context_length=length if isinstance(length, int) else None, embeddings=True, source="its own API"
            ),
        )

    async def probe(self) -> ProbeResult:
        """Asks what model it has."""
        return await probe_by_list(self.list_models, self.card.id, self._model)

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    async def _post(self, path: str, body: Mapping[str, Any], kind: Any) -> Any:
        reply = await self._source.post(path, msgspec.json.encode(body), model=self._model)
        return await read_reply(self._source, reply, partial(decoded, kind=kind, what="its answer"), path, self._model)

    @classmethod
    async def _refusal(cls, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, cls.card.id)


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes], type[ListsModels], type[Embeds], type[Reranks]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return Tei, Tei, Tei, Tei, Tei, Tei
