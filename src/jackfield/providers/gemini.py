"""Google's Gemini API (generateContent): chat, embeddings, token counts and the model list, with an API key.

Knows the calls and their order; bytes are the dialect's business. The key travels in a header, never in an address. Vertex
speaks the same dialect and is in vertex.py. Source: https://ai.google.dev/api (October 2026).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Self, Unpack
from urllib.parse import quote

import msgspec

from jackfield.core.contracts import (
    CountsTokens,
    Embeds,
    ListsModels,
    PassesThrough,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    RawCall,
    RawReply,
)
from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest
from jackfield.dialects import gemini, gemini_embeddings
from jackfield.dialects.gemini_names import bare_model
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import BYTES_PER_TOKEN, check_fit
from jackfield.providers.http_chat import Reading, chat_events
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config
from jackfield.providers.http_json import all_pages, read_reply
from jackfield.providers.http_source import Calls, HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.model_facts import completed, corrected, documented
from jackfield.providers.model_list import Wanted, select
from jackfield.providers.refusal import read_refusal

KEY_HEADER = "x-goog-api-key"
PAGE_SIZE = 1000
EMBED_MODEL = "gemini-embedding-001"
SAFETY_LEVELS = ("BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE", "OFF")
HARMS = (
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
)


class GeminiConfig(HttpConfig, frozen=True, kw_only=True):
    """`safety` is a threshold for every kind of harm (BLOCK_NONE ...), or one for each category by its name."""

    safety: str | dict[str, str] | None = None


GEMINI_CAPABILITIES = Capabilities(
    embeddings=True,
    images=True,
    tools=True,
    vision=True,
    json_mode=True,
    system_messages=True,
    supported_tasks=("text-generation", "embeddings"),
)


class Gemini:
    """A provider of the Gemini API. Make it with `create`; it opens no socket until it is asked something."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="gemini",
        type="api",
        display_name="Google Gemini",
        capabilities=msgspec.structs.replace(GEMINI_CAPABILITIES, default_model="gemini-flash-latest"),
        aliases=("google", "google-ai", "google-gemini", "ai-studio"),
        dialect=gemini.NAME,
        default_url="https://generativelanguage.googleapis.com/v1beta",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        needs_key=True,
        is_external=True,
        docs="https://ai.google.dev/gemini-api/docs",
        hint="try again, or see https://aistudio.google.com/status",
        config_keys=config_keys(GeminiConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    def __init__(self, config: GeminiConfig, source: Calls, hosts: tuple[str, ...]) -> None:
        self._source = source
        self._model = bare_model(config.model or self.card.capabilities.default_model or "")
        self._strict = config.strict
        self._generation = config.generation
        self._safety = _safety_settings(config.safety)
        self._said = {"vision": config.vision, "context_length": config.max_context}
        self._defaults = _default_fields(config, self._safety)
        self._facts: dict[str, ModelProfile] = {}
        self._reading = _reading(self.card.id, self._model)
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities,
            max_context=self._facts_of(self._model).context_length,
            vision=self.card.capabilities.vision if config.vision is None else config.vision,
            images=self.card.capabilities.images if config.vision is None else config.vision,
            default_model=self._model,
        )
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, gemini.NAME, hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a missing key."""
        try:
            read, key = read_config(GeminiConfig, cls.card, config, tools.secrets)
            auth = {KEY_HEADER: key} if key else {}
            source = HttpSource(cls.card, read, {}, tools.http, cls._refusal, auth=auth)
            return cls(read, source, source.hosts)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    def __repr__(self) -> str:
        return f"<{self.card.id} at {', '.join(self.info.hosts)}, model {self._model}>"

    @classmethod
    async def _refusal(cls, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, cls.card.id, gemini.decode_error)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way."""
        model = self._named(request.model)
        check_fit(request, model, self.card.id, self.capabilities, self._facts_of(model))
        body, warnings = gemini.encode_request(self._completed(request), model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._strict)
        path = f"{self._path(model)}:{gemini.method(stream=request.stream)}"
        async with chat_events(self._source, path, body, self._reading, model=model, warnings=warnings) as events:
            yield events

    async def pass_through(self, call: RawCall) -> RawReply:
        """The upstream's own bytes for a request in Google's dialect. Raises the mapped error for any status above 299.

        `call.path` is a method ("generateContent", "countTokens"); for a stream it is asked for as events.
        """
        model = self._named(call.model)
        fields = dict(call.fields)
        method = call.path
        if method == gemini.PATH:
            method = gemini.method(stream=call.stream)
            gemini.fill_in(fields, self._defaults)
            self._check_raw(fields, model)
        body = gemini.splice_request(fields, model=model, stream=call.stream)
        return await self._source.post(f"{self._path(model)}:{method}", body, model=model)

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """All pages of what it offers now and is `wanted`. Raises Upstream errors and AuthFailed."""
        found = await all_pages(self._page, f"models?pageSize={PAGE_SIZE}", "pageToken")
        self._facts = {profile.id: self._merged(profile) for profile in found}
        return select(self._facts.values(), **wanted)

    async def _page(self, path: str) -> tuple[list[ModelProfile], str]:
        reply = await self._source.get(path, operation="list models")
        decode = partial(gemini_embeddings.decode_models, source=self.card.id)
        return await read_reply(self._source, reply, decode, "list models", None)

    async def probe(self) -> ProbeResult:
        """Asks for the model list, never for an answer."""
        return await probe_by_list(self.list_models, self.card.id, self._model)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Vectors of a model that embeds: the request's, the slot's if its name says so, else Google's current one."""
        model = self._embedder(request.model)
        body = gemini_embeddings.encode_embed(request, model)
        reply = await self._source.post(f"{self._path(model)}:batchEmbedContents", body, model=model)
        decode = partial(gemini_embeddings.decode_embed, count=len(request.inputs), model=model)
        return await read_reply(self._source, reply, decode, "embed", model)

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the whole prompt: messages, instructions and tools. Spends nothing."""
        model = self._named(request.model)
        body, _ = gemini.encode_request(request, model=model)
        reply = await self._source.post(f"{self._path(model)}:countTokens", self._count_body(body, model), model=model)
        return await read_reply(self._source, reply, gemini_embeddings.decode_count, "count tokens", model)

    def _count_body(self, body: bytes, model: str) -> bytes:
        return gemini_embeddings.encode_count(body, model)

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    def _path(self, model: str) -> str:
        """The model's resource, relative to the API's root."""
        return quote(model if "/" in model else f"models/{model}", safe="/")

    def _named(self, asked: str | None) -> str:
        return bare_model(asked) if asked else self._model

    def _embedder(self, asked: str | None) -> str:
        if asked:
            return bare_model(asked)
        return self._model if "embedding" in self._model else EMBED_MODEL

    def _completed(self, request: ChatRequest) -> ChatRequest:
        generation = merge_generation(request.generation, self._generation)
        extra = {"safetySettings": self._safety, **request.extra} if self._safety else request.extra
        return msgspec.structs.replace(request, generation=generation, extra=extra)

    def _check_raw(self, fields: Mapping[str, msgspec.Raw], model: str) -> None:
        """Decodes the request only if its size, or an image in it, could be a reason to refuse it."""
        facts = self._facts_of(model)
        window = facts.context_length or self.capabilities.max_context
        contents = bytes(fields.get("contents", b""))
        is_long = window is not None and len(contents) // BYTES_PER_TOKEN > window
        if is_long or (self.capabilities.images is False and b"nline" in contents):
            check_fit(gemini.decode_request(fields), model, self.card.id, self.capabilities, facts)

    def _facts_of(self, model: str) -> ModelProfile:
        return self._facts.get(model) or self._merged(ModelProfile(model))

    def _merged(self, profile: ModelProfile) -> ModelProfile:
        """What the person says counts before what the source lists, and that before what Google publishes of its models."""
        profile = completed(profile, documented(Gemini.card.id, profile.id))
        return corrected(profile, **self._said)


def _safety_settings(safety: str | dict[str, str] | None) -> list[dict[str, str]]:
    if safety is None:
        return []
    levels = dict.fromkeys(HARMS, safety) if isinstance(safety, str) else safety
    for category, level in levels.items():
        if level not in SAFETY_LEVELS:
            raise BadRequest(f"safety of {category} must be one of {', '.join(SAFETY_LEVELS)}, got {level!r}", param="safety")
    return [{"category": category, "threshold": level} for category, level in levels.items()]


def _default_fields(config: GeminiConfig, safety: list[dict[str, str]]) -> dict[str, msgspec.Raw]:
    given: dict[str, Any] = msgspec.to_builtins(config.generation)
    if safety:
        given["safetySettings"] = safety
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}


def _reading(provider: str, model: str) -> Reading:
    def whole(body: bytes) -> ChatReply:
        return gemini.decode_reply(body, provider=provider, model=model)

    def decoder() -> gemini.StreamDecoder:
        return gemini.StreamDecoder(provider, model=model)

    return Reading(whole, decoder)


def _satisfies() -> tuple[
    type[ProviderType],
    type[Provider],
    type[PassesThrough],
    type[ListsModels],
    type[Probes],
    type[Embeds],
    type[CountsTokens],
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = Gemini
    return made, made, made, made, made, made, made
