"""KoboldAI, Text Generation Inference and llama.cpp's server by their own APIs: they complete a prompt. Their OpenAI sides
are rows.

Knows the calls and their order; what bodies look like is in dialects/completion.py.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from secrets import token_hex
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

from jackfield.core.contracts import (
    CountsTokens,
    ListsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    RawReply,
)
from jackfield.core.errors import BadRequest, JackfieldError, Malformed
from jackfield.core.events import ChatReply, Event, Finished
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.dialects import completion
from jackfield.dialects.prompt_text import TEMPLATES, as_prompt
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import check_fit
from jackfield.providers.http_chat import Decoder, Reading, chat_events
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.refusal import read_refusal

CAPABILITIES = Capabilities(tools=False, vision=False, json_mode=False, system_messages=True)
Events = AsyncIterator[Event]
Answer = AbstractAsyncContextManager[Events]


class Words(NamedTuple):
    """How an engine's answers are read: whole ones, and streams with a fresh decoder each."""

    whole: Callable[..., ChatReply]
    stream: Callable[[str, str], Decoder]


KOBOLD = Words(completion.decode_kobold, completion.KoboldStream)
TGI = Words(completion.decode_tgi, completion.TgiStream)
LLAMA = Words(completion.decode_llama, completion.LlamaStream)


class CompletionConfig(HttpConfig, frozen=True, kw_only=True):
    """`template` turns a conversation into one prompt: alpaca, chatml, mistral or plain."""

    template: str = "alpaca"


class _CompletionServer(ABC):
    """What all have in common: one prompt, a stream of words, a model that the server was started with."""

    card: ClassVar[ProviderCard]

    def __init__(self, config: CompletionConfig, tools: ProviderTools, key: str | None) -> None:
        if config.template not in TEMPLATES:
            raise BadRequest(f"template must be one of {', '.join(TEMPLATES)}, got {config.template!r}", param="template")
        auth = {"authorization": f"Bearer {key}"} if key else {}
        self._source = HttpSource(self.card, config, {}, tools.http, self._refusal, auth=auth)
        self._config = config
        self._window = config.max_context
        self._listed: str | None = None
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities, max_context=config.max_context, default_model=config.model
        )
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, hosts=self._source.hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key."""
        try:
            read, key = read_config(CompletionConfig, cls.card, config, tools.secrets)
            return cls(read, tools, key)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[Events]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way."""
        model = request.model or self._config.model or self._listed or self.card.id
        check_fit(request, model, self.card.id, self.capabilities, None)
        if request.tools:
            raise BadRequest("it completes text and takes no tools: leave them out", provider=self.card.id, param="tools")
        asked = msgspec.structs.replace(request, generation=merge_generation(request.generation, self._config.generation))
        async with self._asked(asked, model) as events:
            yield events

    @abstractmethod
    def _asked(self, request: ChatRequest, model: str) -> Answer:
        """The call that the engine answers with words."""

    @asynccontextmanager
    async def _answered(self, path: str, encoded: tuple[bytes, list[str]], words: Words, model: str) -> AsyncIterator[Events]:
        body, warnings = encoded
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        reading = Reading(partial(words.whole, provider=self.card.id, model=model), partial(words.stream, self.card.id, model))
        async with chat_events(self._source, path, body, reading, model=model, warnings=warnings) as events:
            yield events

    async def probe(self) -> ProbeResult:
        """Asks what model it has, never for words."""
        return await probe_by_list(self.list_models, self.card.id, self._config.model)

    async def list_models(self) -> tuple[ModelProfile, ...]:
        """The one model that it was started with. Raises Upstream errors."""
        profile = await self._profile()
        self._listed = profile.id
        return (profile,)

    @abstractmethod
    async def _profile(self) -> ModelProfile:
        """What it tells of its model."""

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    async def _json(self, path: str, operation: str) -> dict[str, Any]:
        return await self._read(await self._source.get(path, operation=operation), operation)

    async def _of_prompt(self, request: ChatRequest, path: str, field: str) -> dict[str, Any]:
        """What a call tells of the prompt that the request becomes."""
        prompt, _ = as_prompt(request.messages, self._config.template)
        return await self._read(await self._source.post(path, msgspec.json.encode({field: prompt}), model=None), path)

    async def _read(self, reply: RawReply, operation: str) -> dict[str, Any]:
        return await read_reply(self._source, reply, partial(decoded, kind=dict[str, Any], what="its answer"), operation, None)

    @classmethod
    async def _refusal(cls, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, cls.card.id)


class _Whole:
    """Knows whether an answer was read to its end."""

    def __init__(self) -> None:
        self.is_read = False

    async def read(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            self.is_read = isinstance(event, Finished)
            yield event


class Kobold(_CompletionServer):
    """KoboldAI and KoboldCpp by `/api/v1/generate`. Leaving an answer ends its run there."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="kobold",
        type="local",
        display_name="KoboldAI",
        capabilities=CAPABILITIES,
        aliases=("koboldai", "kobold-native"),
        default_url="http://127.0.0.1:5001",
        default_port=5001,
        docs="https://lite.koboldai.net/koboldcpp_api",
        hint="start it: koboldcpp --model MODEL.gguf --host 127.0.0.1 --port 5001",
        limits=("completes text: no tools, no images", "one conversation at a time, unless it was started for more"),
        config_keys=config_keys(CompletionConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    @asynccontextmanager
    async def _asked(self, request: ChatRequest, model: str) -> AsyncIterator[Events]:
        key = f"jackfield{token_hex(4)}"
        encoded = completion.encode_kobold(request, self._config.template, key)
        path = "api/extra/generate/stream" if request.stream else "api/v1/generate"
        whole = _Whole()
        try:
            async with self._answered(path, encoded, KOBOLD, model) as events:
                yield whole.read(events)
        finally:
            if not whole.is_read:
                await self._abort(key)

    async def _abort(self, key: str) -> None:
        """It goes on writing for nobody when only the connection is closed."""
        with suppress(JackfieldError):
            reply = await self._source.look("api/extra/abort", method="POST", body=msgspec.json.encode({"genkey": key}))
            await reply.aclose()

    async def _profile(self) -> ModelProfile:
        told_ = await self._json("api/v1/model", "list models")
        window = await self._json("api/extra/true_max_context_length", "context length")
        length = window.get("value")
        return ModelProfile(
            str(told_.get("result") or self.card.id),
            context_length=length if isinstance(length, int) else None,
            source="its own API",
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        value = (await self._of_prompt(request, "api/extra/tokencount", "prompt")).get("value")
        if not isinstance(value, int):
            raise Malformed("the token count has no value", provider=self.card.id)
        return value


class TgiNative(_CompletionServer):
    """Text Generation Inference by `/generate` and `/generate_stream`."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="tgi-native",
        type="local",
        display_name="Text Generation Inference (own API)",
        capabilities=CAPABILITIES,
        aliases=("hf_tgi", "hf-tgi"),
        default_url="http://127.0.0.1:3000",
        default_port=3000,
        docs="https://huggingface.github.io/text-generation-inference",
        hint="start it: text-generation-launcher --model-id MODEL --port 3000",
        limits=("completes text: no tools, no images",),
        config_keys=config_keys(CompletionConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    def _asked(self, request: ChatRequest, model: str) -> Answer:
        path = "generate_stream" if request.stream else "generate"
        return self._answered(path, completion.encode_tgi(request, self._config.template), TGI, model)

    async def _profile(self) -> ModelProfile:
        said = await self._json("info", "list models")
        length = said.get("max_total_tokens")
        return ModelProfile(
            str(said.get("model_id") or self.card.id),
            context_length=length if isinstance(length, int) else None,
            source="its own API",
        )


class LlamaServerNative(_CompletionServer):
    """llama.cpp's server by `/completion`. Whether it has loaded its model, it tells by `/health`."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="llama-server-native",
        type="local",
        display_name="llama.cpp server (own API)",
        capabilities=CAPABILITIES,
        aliases=("llama-server-completion",),
        default_url="http://127.0.0.1:8080",
        default_port=8080,
        docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        hint="start it: llama-server -m model.gguf --host 127.0.0.1 --port 8080",
        limits=("completes text: no tools, no images", "the prompt is made by the setting template, not by the model's own"),
        config_keys=config_keys(CompletionConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    def _asked(self, request: ChatRequest, model: str) -> Answer:
        return self._answered("completion", completion.encode_llama(request, self._config.template), LLAMA, model)

    async def _profile(self) -> ModelProfile:
        await self._json("health", "look whether it has loaded its model")
        said = await self._json("props", "list models")
        settings = said.get("default_generation_settings")
        length = settings.get("n_ctx") if isinstance(settings, dict) else None
        path = str(said.get("model_path") or "").replace("\\", "/")
        return ModelProfile(
            str(said.get("model_alias") or path.rpartition("/")[2] or self.card.id),
            context_length=length if isinstance(length, int) and length > 0 else None,
            source="its own API",
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        tokens = (await self._of_prompt(request, "tokenize", "content")).get("tokens")
        if not isinstance(tokens, list):
            raise Malformed("the token count has no tokens", provider=self.card.id)
        return len(tokens)


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes], type[ListsModels], type[CountsTokens]]:
    """Never called: here mypy proves that the classes keep their contracts."""
    return LlamaServerNative, TgiNative, TgiNative, Kobold, LlamaServerNative
