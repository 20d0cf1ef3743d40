"""LiteLLM as a source: its library, in this process, asked for models of any provider it knows. The extra `litellm`.

Knows which prefix needs which key and host, how to call the library and what its errors mean. Retries, its own routing and its
cost tracking are LiteLLM's, as its `limits` say. The library is imported when first asked, and told not to fetch its price list
from the internet then. It opens sockets of its own: the gate is asked before each call, but cannot pin where they lead.
"""

import asyncio
import importlib
import importlib.util
import os
import sys
import time
import tomllib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

from jackfield.core.contracts import Embeds, Provider, ProviderCard, ProviderInfo, ProviderTools, ProviderType
from jackfield.core.errors import BadRequest, JackfieldError, MissingExtra, ModelNotFound, TimedOut, Unavailable
from jackfield.core.events import Event, unfold
from jackfield.core.parameters import did_you_mean
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest
from jackfield.dialects import openai_chat
from jackfield.providers import openai_embeddings
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import check_fit
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config
from jackfield.providers.left_out import told, with_warnings
from jackfield.providers.refusal import retry_after_s
from jackfield.providers.remedies import explain, failed

DEFAULT_TIMEOUT_S = 600.0
_QUIRKS = openai_chat.ChatQuirks(extra_fields=("*",), reasoning_field="reasoning_content")


class Prefix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`env` names the variable of the provider's key, `host` the server that is asked unless base_url says otherwise."""

    env: str | None = None
    host: str | None = None


@cache
def prefixes() -> Mapping[str, Prefix]:
    """What may stand before a model's slash."""
    text = files("jackfield.providers").joinpath("litellm_prefixes.toml").read_text(encoding="utf-8")
    return MappingProxyType(msgspec.convert(tomllib.loads(text), dict[str, Prefix]))


class LiteLLMConfig(HttpConfig, frozen=True, kw_only=True):
    """`keys` are references to the keys of several providers, by prefix; `num_retries` is LiteLLM's own number of retries."""

    keys: dict[str, str] = msgspec.field(default_factory=dict)
    num_retries: int = 0

    __repr__ = HttpConfig.__repr__


def load_litellm() -> tuple[Any, type[Exception]]:
    """The library, and what all its errors are: it builds them on those of `openai`, which comes with it.

    Slow (seconds) the first time. Raises MissingExtra.
    """
    # Read by the library while it is imported: without it, it would fetch a list from the internet past our gate.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # noqa: TID251
    try:
        module: Any = importlib.import_module("litellm")
        faults: type[Exception] = importlib.import_module("openai").OpenAIError
    except ImportError as error:
        raise missing_extra() from error
    module.telemetry = False
    module.suppress_debug_info = True
    return module, faults


def missing_extra() -> MissingExtra:
    return MissingExtra("LiteLLM is not installed: pip install jackfield[litellm]", provider="litellm")


def is_installed() -> bool:
    return "litellm" in sys.modules or importlib.util.find_spec("litellm") is not None


class LiteLLM:
    """A provider of whatever LiteLLM reaches. Make it with `create`; the library is not even imported until it is asked."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="litellm",
        type="api",
        display_name="LiteLLM (library)",
        capabilities=Capabilities(embeddings=True, images=True, tools=True, system_messages=True),
        dialect=None,
        is_external=True,
        docs="https://docs.litellm.ai/docs/providers",
        hint="pip install jackfield[litellm]",
        limits=(
            f"model names begin with whose they are: {', '.join(f'{name}/' for name in prefixes())}",
            "retries, routing inside LiteLLM and its cost tracking are LiteLLM's own: set num_retries, 0 unless said",
            "it opens its own connections: consent and mode are asked before each call, but addresses are not pinned",
            "for a LiteLLM server, plug litellm-proxy instead",
        ),
        config_keys=config_keys(LiteLLMConfig),
        config_aliases=dict(KEY_ALIASES) | {"api_base": "base_url"},
    )

    def __init__(self, config: LiteLLMConfig, keys: Mapping[str, str], tools: ProviderTools) -> None:
        self._config = config
        self._keys = keys
        self._http = tools.http
        self._model = config.model
        self._library: Any = None
        self._faults: type[Exception] = JackfieldError
        self._timeout_s = config.timeout or DEFAULT_TIMEOUT_S
        host = host_of(config, config.model) if config.model else None
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities, default_model=config.model, max_context=config.max_context, vision=config.vision
        )
        self.info = ProviderInfo(
            self.card.id, self.card.type, self.card.display_name, hosts=(f"{host[0]}:{host[1]}",) if host else ()
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O and no import. Raises MissingExtra, BadRequest naming the key, AuthFailed for a reference without a key."""
        if not is_installed():
            raise missing_extra()
        card = cls.card

        def root(read: LiteLLMConfig) -> str:
            return read.base_url or "https://litellm.invalid"

        read, key = read_config(LiteLLMConfig, card, config, tools.secrets, aliases=card.config_aliases, find_root=root)
        if read.model is None:
            raise BadRequest("litellm needs a model, such as anthropic/claude-3-opus", provider=card.id, param="model")
        host_of(read, read.model)
        keys = {name: tools.secrets.resolve(reference) for name, reference in read.keys.items()}
        if key is not None:
            keys[prefix_of(read.model)] = key
        else:
            keys = _with_usual_key(keys, read, tools)
        return cls(msgspec.structs.replace(read, secrets=(*read.secrets, *keys.values())), keys, tools)

    def __repr__(self) -> str:
        return f"<litellm, model {self._model}>"

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events. Leaving the block closes the library's stream."""
        model = request.model or self._model or ""
        generation = merge_generation(request.generation, self._config.generation)
        request = msgspec.structs.replace(request, generation=generation)
        check_fit(request, model, self.card.id, self.capabilities, None)
        body, warnings = openai_chat.encode_request(request, _QUIRKS, model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        fields = msgspec.json.decode(body)
        answer = await self._asked("acompletion", model, fields)
        try:
            async with aclosing(self._events(answer, model, warnings, stream=request.stream)) as events:
                yield events
        finally:
            close = getattr(answer, "aclose", None)
            if close is not None:
                await close()

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Raises the mapped error."""
        model = request.model or self._model or ""
        answer = await self._asked("aembedding", model, msgspec.json.decode(openai_embeddings.encode_embed(request, model)))
        return openai_embeddings.decode_embed(_json(answer), request, model)

    async def aclose(self) -> None:
        """Connections are the library's own."""

    async def _events(self, answer: Any, model: str, warnings: list[str], *, stream: bool) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(self._streamed(answer) if stream else self._whole(answer)) as events:
                async for event in events:
                    yield with_warnings(event, warnings)
        except self._faults as error:
            raise self._failed(self._told(error)) from None
        except JackfieldError as error:
            raise self._failed(error) from error.__cause__

    async def _whole(self, answer: Any) -> AsyncGenerator[Event, None]:
        for event in unfold(openai_chat.decode_reply(_json(answer), provider=self.card.id)):
            yield event

    async def _streamed(self, answer: Any) -> AsyncGenerator[Event, None]:
        """Its chunks are Chat Completions chunks, so they are read by the same decoder as a server's."""
        decoder = openai_chat.StreamDecoder(self.card.id)
        chunks = aiter(answer)
        while True:
            async with self._bounded():
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            for event in decoder.feed(b"data: " + _json(chunk) + b"\n\n"):
                yield event
        for event in decoder.finish():
            yield event

    async def _asked(self, call: str, model: str, fields: dict[str, Any]) -> Any:
        """One call of the library, after the gate has let its host pass. Raises the mapped error."""
        try:
            host = host_of(self._config, model)
            self._http.gate.check(host[0])
            if self._library is None:
                self._library, self._faults = await asyncio.to_thread(load_litellm)
            fields |= {"num_retries": self._config.num_retries, "timeout": self._timeout_s}
            known = {"api_key": self._keys.get(prefix_of(model)), "api_base": self._config.base_url}
            fields |= {name: value for name, value in known.items() if value is not None}
            async with self._bounded():
                return await self._call(call, fields)
        except JackfieldError as error:
            raise self._failed(error) from error.__cause__

    async def _call(self, call: str, fields: dict[str, Any]) -> Any:
        try:
            return await getattr(self._library, call)(**fields)
        except self._faults as error:
            raise self._told(error) from None

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise TimedOut(f"LiteLLM did not answer within {self._timeout_s:g} s", provider=self.card.id) from None

    def _told(self, error: Any) -> JackfieldError:
        """The library's errors carry the status that the provider answered with, or one that means the same."""
        status = getattr(error, "status_code", None)
        said = msgspec.json.encode({"message": str(getattr(error, "message", error)), "code": type(error).__name__})
        if not isinstance(status, int) or status < 300:
            made: JackfieldError = Unavailable(str(error)[:500], provider=self.card.id)
        else:
            made = openai_chat.decode_error(status, said, provider=self.card.id, retry_after_s=_wait_s(error))
        return explain(made, self.card, self._config.secrets)

    def _failed(self, error: JackfieldError) -> JackfieldError:
        return failed(error, self.card, "chat", self._model, self._config.secrets)


def prefix_of(model: str) -> str:
    """Whose model it is. Raises ModelNotFound for a name without a prefix that LiteLLM is known to take."""
    prefix, slash, _ = model.partition("/")
    if not slash or prefix not in prefixes():
        hint = did_you_mean(prefix, prefixes()) if slash else ""
        raise ModelNotFound(
            f"{model!r} does not say whose it is{hint}: write it as anthropic/claude-3-opus; known are {', '.join(prefixes())}",
            provider="litellm",
            param="model",
        )
    return prefix


def host_of(config: LiteLLMConfig, model: str) -> tuple[str, int]:
    """The server that prompts go to, for consent. Raises BadRequest where neither the prefix nor base_url tells it."""
    prefix = prefix_of(model)
    if config.base_url is not None:
        url = urlsplit(config.base_url)
        return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    host = prefixes()[prefix].host
    if host is None:
        raise BadRequest(
            f"{prefix}/ models are served at an address of your own: give base_url, so that consent can be asked",
            provider="litellm",
            param="base_url",
        )
    return host, 443


def _with_usual_key(keys: dict[str, str], config: LiteLLMConfig, tools: ProviderTools) -> dict[str, str]:
    """The prefix's own variable, where no key was given and the prompts go to the prefix's own host."""
    prefix = prefix_of(config.model or "")
    env = prefixes()[prefix].env
    if prefix in keys or env is None or config.base_url is not None:
        return keys
    return {**keys, prefix: tools.secrets.resolve(f"env:{env}")}


def _wait_s(error: Any) -> float | None:
    """What the provider's own answer says of when to come back: the library keeps its headers beside the error."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    return retry_after_s({name.lower().encode(): value.encode() for name, value in headers.items()}, time.time())


def _json(value: Any) -> bytes:
    """The library's answers are pydantic models."""
    return str(value.model_dump_json()).encode()


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Embeds]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return LiteLLM, LiteLLM, LiteLLM
