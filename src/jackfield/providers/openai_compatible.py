"""The one adapter behind every OpenAI-compatible service and server: a preset row tells it all that differs.

Knows the calls (chat, embeddings, models) and their order; bytes are the dialect's business, sockets the transport's, and
what a provider is called never decides anything. A thin subclass with a `preset` of its own is a provider type.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Any, ClassVar, Self, Unpack
from urllib.parse import quote

import msgspec

from jackfield.core.contracts import (
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
from jackfield.core.errors import (
    AuthFailed,
    JackfieldError,
    ModelNotFound,
    NotAllowed,
    NotFound,
    NotSupported,
    RequestRejected,
    Upstream,
)
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest
from jackfield.dialects import openai_chat, openai_completions, openai_responses
from jackfield.providers import openai_embeddings
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import BYTES_PER_TOKEN, check_fit, sees_images
from jackfield.providers.http_chat import Reading
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.model_facts import completed, corrected
from jackfield.providers.model_list import Wanted, decode_models, select
from jackfield.providers.openai_config import OpenAIConfig, OpenAISettings, card_of, read_settings
from jackfield.providers.openai_traits import traits_of
from jackfield.providers.opened_chat import ChatCall, OpenedChat
from jackfield.providers.presets import CallName, Preset, load_presets
from jackfield.providers.quotas import TellsQuota
from jackfield.providers.refusal import read_refusal
from jackfield.providers.translated_reply import translated
from jackfield.transport.http1 import HttpClient

_log = logging.getLogger("jackfield.providers")
MAX_REMEMBERED = 256


class OpenAICompatible(TellsQuota):
    """A provider made of a row and a config. Make it with `create`; it opens no socket until it is asked something."""

    preset: ClassVar[Preset] = load_presets()["openai-compat"]
    card: ClassVar[ProviderCard] = card_of(preset)

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "preset" in cls.__dict__:
            cls.card = card_of(cls.preset)

    def __init__(self, settings: OpenAISettings, http: HttpClient) -> None:
        config = settings.config
        self._source = HttpSource(
            self.card,
            config,
            self.preset.headers,
            http,
            self._refusal,
            auth=_credentials(settings),
            root=settings.root,
            timeouts=settings.timeouts,
            watch=self._learn_from,
        )
        self._strict = config.strict
        self._quirks = settings.quirks
        self._call_path = settings.quirks.call_path.replace("{api_version}", settings.quirks.api_version)
        self._models_path = settings.quirks.models_path.replace("{api_version}", settings.quirks.api_version)
        self._reading = _reading(self.card.id, settings.quirks.reasoning_field)
        self._responses = _responses_reading(self.card.id)
        self._answered_there: dict[str, bool] = {}
        self._call_models = config.call_models
        self._voice = self.preset.calls["speech"].voice if "speech" in self.preset.calls else None
        self._plan = openai_chat.SplicePlan.of(settings.quirks)
        self._prompt_plan = openai_chat.SplicePlan.of(openai_completions.quirks_of(settings.quirks))
        self._generation = settings.config.generation
        self._extra_body = config.extra_body
        self._defaults = _default_fields(settings)
        self._model = config.model or self.preset.default_model
        self._first_model: str | None = None
        self._facts: dict[str, ModelProfile] = {}
        self._unlisted: dict[str, ModelProfile] = {}
        self._bounds: dict[str, tuple[int | None, bool]] = {}
        self._vision = config.vision
        self._max_context = config.max_context
        self.capabilities = self._capabilities(config)
        self.info = ProviderInfo(
            id=self.card.id,
            type=self.card.type,
            display_name=self.card.display_name,
            dialect=openai_chat.NAME,
            hosts=self._source.hosts,
            also_speaks=_also_speaks(settings.quirks),
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a missing key."""
        try:
            return cls(read_settings(cls.preset, config, tools.secrets), tools.http)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    def __repr__(self) -> str:
        endpoint = self._source.endpoint
        return f"<{self.card.id} at {endpoint.scheme}://{endpoint.host}, model {self._model or 'not chosen'}>"

    async def pass_through(self, call: RawCall) -> RawReply:
        """The upstream's own bytes for a request in the OpenAI dialect. Raises the mapped error for any status above 299."""
        model = call.model or self._model or await self._chosen_model()
        if call.path == openai_completions.PATH:
            return await self._complete(call, model)
        if self._wants_responses(model) and call.path == openai_chat.PATH:
            request = msgspec.structs.replace(openai_chat.decode_request(call.fields), model=model, stream=call.stream)
            return await translated(self.open(request), stream=call.stream)
        fields = call.fields
        if call.path == openai_responses.PATH:
            spliced = openai_responses.splice_request(fields, model=model, stream=call.stream)
            return await self._source.post(self._at(call.path, model), spliced, model=model)
        if self._defaults and call.path == openai_chat.PATH:
            fields = _with_defaults(self._defaults, fields)
        self._check_raw(fields, model)
        if self._strict:
            told(self._plan.dropped(fields, model=model), provider=self.card.id, model=model, strict=True)
        body = self._plan.splice(fields, model=model, stream=call.stream)
        return await self._source.post(self._at(call.path, model), body, model=model)

    async def _complete(self, call: RawCall, model: str) -> RawReply:
        """A prompt: completed as it is where the model does that, else answered as a chat of one message."""
        if not self._quirks.completes_prompts(model):
            asked = openai_completions.decode_request(call.fields)
            request = msgspec.structs.replace(asked, model=model, stream=call.stream)
            return await translated(self.open(request), stream=call.stream, form=openai_completions)
        fields = _with_defaults(openai_completions.settings_for(self._defaults), call.fields) if self._defaults else call.fields
        body = self._prompt_plan.splice(fields, model=model, stream=call.stream)
        return await self._source.post(self._at(call.path, model), body, model=model)

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way."""
        return OpenedChat(self._source, self._written, request)

    async def _written(self, request: ChatRequest) -> ChatCall:
        model = request.model or self._model or await self._chosen_model()
        request = self._completed(request)
        check_fit(request, model, self.card.id, self.capabilities, self._facts_of(model))
        path, reading = openai_chat.PATH, self._reading
        if self._wants_responses(model):
            path, reading = openai_responses.PATH, self._responses
            refused = openai_responses.refused_sampling(is_reasoning=self._quirks.is_reasoning_model(model))
            body, warnings = openai_responses.encode_request(
                request, model=model, refused=refused, extra_fields=self._quirks.extra_fields
            )
        else:
            body, warnings = openai_chat.encode_request(request, self._quirks, model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._strict)
        return ChatCall(self._at(path, model), body, reading, model, warnings)

    def _at(self, path: str, model: str) -> str:
        """Where a call is: for most as OpenAI has it, for some with the model in the address."""
        if not self._call_path:
            return path
        return self._call_path.replace("{path}", path).replace("{model}", quote(model, safe=""))

    def _wants_responses(self, model: str) -> bool:
        if not self._quirks.responses_models:
            return False
        known = self._answered_there.get(model)
        if known is None:
            known = self._quirks.wants_responses(model)
            if len(self._answered_there) < MAX_REMEMBERED:
                self._answered_there[model] = known
        return known

    def _completed(self, request: ChatRequest) -> ChatRequest:
        if not self._defaults:
            return request
        generation = merge_generation(request.generation, self._generation)
        extra = {**self._extra_body, **request.extra} if self._extra_body else request.extra
        if generation is request.generation and extra is request.extra:
            return request
        return msgspec.structs.replace(request, generation=generation, extra=extra)

    def _check_raw(self, fields: Mapping[str, msgspec.Raw], model: str) -> None:
        """Decodes the request only if its size, or an image in it, could be a reason to refuse it."""
        window, sees = self._bounds.get(model) or self._learn_bounds(model)
        if window is None and sees:
            return
        messages = bytes(fields.get("messages", b""))
        answer = max((int(bytes(fields[name])) for name in _ANSWER_LIMITS if _is_number(fields.get(name))), default=0)
        too_long = window is not None and len(messages) // BYTES_PER_TOKEN + answer > window
        if messages and (too_long or (not sees and b'"image_url"' in messages)):
            check_fit(openai_chat.decode_request(fields), model, self.card.id, self.capabilities, self._facts_of(model))

    def _learn_bounds(self, model: str) -> tuple[int | None, bool]:
        facts = self._facts_of(model)
        window = facts.context_length or self.capabilities.max_context
        found = (window, sees_images(self.capabilities, facts))
        if len(self._bounds) < MAX_REMEMBERED:
            self._bounds[model] = found
        return found

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """What it offers now and is `wanted`, with documented facts filled in.

        A service without a list offers the documented names. Raises Upstream errors and AuthFailed.
        """
        if not self._quirks.models_path:
            names = self.card.capabilities.supported_models
            return select((self._merged(ModelProfile(name, source=self.card.docs)) for name in names), **wanted)
        try:
            reply = await self._source.look(self._models_path)
            if reply.status >= 300:
                raise await self._refusal(reply)
            listed = decode_models(await reply.read(), self.card.id)
        except JackfieldError as error:
            raise self._source.failed(error, "list models", None) from error.__cause__
        profiles = tuple(self._merged(profile) for profile in listed)
        self._facts = {profile.id: profile for profile in profiles}
        self._bounds.clear()
        if self._first_model not in self._facts:
            self._first_model = profiles[0].id if profiles else None
        self._source.note("list models", None)
        return select(profiles, **wanted)

    async def probe(self) -> ProbeResult:
        """Asks for the model list, never for a completion. A source that is down is reported, with what to do."""
        began = perf_counter()
        try:
            models = await self._visible_models()
        except NotAllowed as error:
            is_refused = isinstance(error, AuthFailed)
            refused = "key refused: " if is_refused else ""
            _log.warning("%s: not ready: %s%s", self.card.id, refused, error.message, extra={"provider": self.card.id})
            return ProbeResult(False, None, f"{refused}{error.message}", authorized=False if is_refused else None)
        except (Upstream, NotFound, RequestRejected) as error:
            return ProbeResult(False, None, error.message)
        latency_s = perf_counter() - began
        wrong = self._wrong_model(models)
        is_ready = not wrong or self.card.type != "local"
        return ProbeResult(is_ready, latency_s, wrong, models=models)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Raises NotSupported, before any socket, where the row knows of no embeddings."""
        if not self.capabilities.embeddings:
            raise NotSupported("it makes no embeddings: plug an embedding model into another slot", provider=self.card.id)
        model = await self._model_for("embeddings", request.model)
        body = openai_embeddings.encode_embed(request, model)
        reply = await self._source.post(self._at(openai_embeddings.PATH, model), body, model=model)
        try:
            return openai_embeddings.decode_embed(await reply.read(), request, model)
        except JackfieldError as error:
            raise self._source.failed(error, "embed", model) from error.__cause__
        finally:
            await reply.aclose()

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    async def _refusal(self, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, self.card.id)

    def _learn_from(self, error: JackfieldError) -> None:
        if isinstance(error, ModelNotFound):
            self._first_model = None

    async def _model_for(self, call: CallName, asked: str | None) -> str:
        """The model of a call beside chat: asked for, set for it, the slot's own if it is for that, or the row's usual one."""
        facts = self.preset.calls.get(call)
        known = facts.model_for(self._model) if facts else self._model
        return asked or self._call_models.get(call) or known or await self._chosen_model()

    async def _chat_body(self, request: ChatRequest) -> bytes:
        """One plain chat request in bytes, for who sends it in a file."""
        model = request.model or self._model or await self._chosen_model()
        request = msgspec.structs.replace(self._completed(request), stream=False)
        body, warnings = openai_chat.encode_request(request, self._quirks, model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._strict)
        return body

    def _read_chat(self, body: bytes) -> ChatReply:
        return self._reading.whole(body)

    async def _chosen_model(self) -> str:
        """The first model that the server lists, remembered until it is gone."""
        if self._first_model is None:
            await self.list_models()
            if self._first_model is None:
                raise ModelNotFound(
                    "it lists no model: load one there, or name one in the slot's config", provider=self.card.id
                )
        return self._first_model

    async def _visible_models(self) -> tuple[str, ...]:
        if self._quirks.models_path:
            return tuple(profile.id for profile in await self.list_models())
        try:
            reply = await self._source.look(openai_chat.PATH)
            if reply.status in (401, 403) or reply.status >= 500:
                raise await self._refusal(reply)
            await reply.aclose()  # it is there, lets the key pass, and refuses a GET where only POST makes sense
        except JackfieldError as error:
            raise self._source.failed(error, "probe", None) from error.__cause__
        return ()

    def _wrong_model(self, models: tuple[str, ...]) -> str:
        if not models or self._model is None or self._model in models:
            return ""
        listed = ", ".join(models[:5]) + (", ..." if len(models) > 5 else "")
        return f"model {self._model!r} is not loaded there; it serves {listed}"

    def _facts_of(self, model: str) -> ModelProfile:
        facts = self._facts.get(model) or self._unlisted.get(model)
        if facts is None:
            facts = self._merged(ModelProfile(model))
            if len(self._unlisted) < MAX_REMEMBERED:
                self._unlisted[model] = facts
        return facts

    def _merged(self, profile: ModelProfile) -> ModelProfile:
        """What the person says counts most, then what the source lists, then what is documented."""
        profile = completed(profile, self.preset.facts(profile.id))
        return corrected(profile, vision=self._vision, context_length=self._max_context)

    def _capabilities(self, config: OpenAIConfig) -> Capabilities:
        vision = config.vision
        facts = self.preset.facts(self._model) if self._model else None
        known = self.card.capabilities
        return msgspec.structs.replace(
            known,
            max_context=config.max_context or (facts.context_length if facts else None) or known.max_context,
            vision=vision if vision is not None else (facts.vision if facts and facts.vision is not None else known.vision),
            images=known.images if vision is None else vision,
            default_model=self._model,
            prefill=known.prefill if config.prefill is None else config.prefill,
        )


def _reading(provider: str, reasoning_field: str | None) -> Reading:
    def whole(body: bytes) -> ChatReply:
        return openai_chat.decode_reply(body, provider=provider, reasoning_field=reasoning_field)

    def decoder() -> openai_chat.StreamDecoder:
        return openai_chat.StreamDecoder(provider, reasoning_field=reasoning_field)

    return Reading(whole, decoder)


def _responses_reading(provider: str) -> Reading:
    def whole(body: bytes) -> ChatReply:
        return openai_responses.decode_reply(body, provider=provider)

    return Reading(whole, lambda: openai_responses.StreamDecoder(provider))


def _also_speaks(quirks: openai_chat.ChatQuirks) -> tuple[str, ...]:
    known = ((openai_responses.NAME, quirks.responses_models), (openai_completions.NAME, quirks.completions_models))
    return tuple(name for name, models in known if models)


def _credentials(settings: OpenAISettings) -> dict[str, str]:
    if not settings.key:
        return {}
    name = settings.quirks.auth_header.lower()
    return {name: f"Bearer {settings.key}" if name == "authorization" else settings.key}


_ANSWER_LIMITS = ("max_tokens", "max_completion_tokens")


def _is_number(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw).isdigit() and len(raw) < 12


def _with_defaults(defaults: Mapping[str, msgspec.Raw], fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    merged = {**defaults, **fields}
    if any(name in fields for name in _ANSWER_LIMITS):
        for name in _ANSWER_LIMITS:
            if name not in fields:
                merged.pop(name, None)
    return merged


def _default_fields(settings: OpenAISettings) -> dict[str, msgspec.Raw]:
    given = {**msgspec.to_builtins(settings.config.generation), **settings.config.extra_body}
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}


def preset_type(preset: Preset) -> type[OpenAICompatible]:
    """The provider type of one row: the adapter with the traits of the row's calls, and nothing of its own."""
    name = "".join(part.capitalize() for part in preset.id.replace(".", "-").replace("_", "-").split("-"))
    return type(
        name, (*traits_of(preset), OpenAICompatible), {"preset": preset, "__module__": __name__, "__doc__": preset.title}
    )


def _satisfies() -> tuple[
    type[ProviderType], type[Provider], type[PassesThrough], type[ListsModels], type[Probes], type[Embeds]
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = OpenAICompatible
    return made, made, made, made, made, made
