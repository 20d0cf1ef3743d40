"""InferenceProviderAdapter: what a person holds to talk to one source, and the base that third parties subclass.

Everything is derived from one method, `open(request)`, an event stream. A subclass gives `open`, or `stream`, or `forward`;
the rest follows. Counts, logs, limits of time and error messages are therefore the same for every source.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import time
from abc import ABC
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from functools import cache
from importlib.util import find_spec
from time import perf_counter
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import PROVIDER_KINDS, ProviderKind
from jackfield.core.errors import BadRequest, JackfieldError, Malformed, NotSupported, TimedOut, Upstream
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    Folder,
    PartEnded,
    PartStarted,
    Started,
    TextDelta,
    UsageReported,
    unfold,
)
from jackfield.core.messages import Message, text_message
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, ResponseFormat
from jackfield.core.usage import Money, Usage
from jackfield.providers.fit import check_fit
from jackfield.slots.asking import Asked, asked
from jackfield.slots.completion import Completion, HealthState, HealthStatus
from jackfield.slots.json_answer import INSTRUCTION, NOT_JSON, RETRY, json_in
from jackfield.slots.json_schema import KEPT, UNCHECKED, breach_of
from jackfield.slots.live import Standing
from jackfield.slots.loop_thread import run, run_stream
from jackfield.slots.metrics import GOOD, SlotMetrics

_log = logging.getLogger("jackfield.adapter")
NO_USAGE = Usage()
IDENTITY = ("provider_id", "provider_type", "display_name")
MANY_FAILURES = 3
HEALTH_WITHIN_S = 10.0


class InferenceProviderAdapter(ABC):
    """One source of inference. Subclass it with the three identity fields and `forward`, `stream` or `open`.

    A subclass is made without arguments and given its config by `connect`. Capability fields say what it can do; `hosts`
    are where it sends prompts ("api.example.com:443"), which a person must then allow. Registering it is enough to plug it.
    """

    provider_id: str
    provider_type: ProviderKind
    display_name: str
    supports_streaming: bool = True
    supports_embeddings: bool = False
    supports_images: bool = False
    max_context: int | None = None
    hosts: tuple[str, ...] = ()
    version: str | None = None
    config: Mapping[str, Any]
    metrics: SlotMetrics
    standing: Standing
    _plays_by: ClassVar[str] = ""

    def __init_subclass__(cls, *, identity_per_instance: bool = False, **rest: Any) -> None:
        """Refuses a class without identity, of an unknown type, or that can answer nothing: raises BadRequest."""
        super().__init_subclass__(**rest)
        if not identity_per_instance:
            _check_identity(cls)
        own = [
            name for name in ("open", "stream", "forward") if getattr(cls, name) is not getattr(InferenceProviderAdapter, name)
        ]
        if not own:
            raise BadRequest(f"{cls.__name__} can answer nothing: override forward, stream or open", param="forward")
        cls._plays_by = own[0]
        if own == ["forward"] and "supports_streaming" not in vars(cls):
            cls.supports_streaming = False

    def __new__(cls, *args: Any, **rest: Any) -> Self:
        made = super().__new__(cls)
        made.config = {}
        made.metrics = SlotMetrics()
        made.standing = Standing()
        return made

    @property
    def capabilities(self) -> Capabilities:
        """All that is known of what it can do, before any connection; the four flags are fields of it."""
        return Capabilities(
            streaming=self.supports_streaming,
            embeddings=self.supports_embeddings,
            images=self.supports_images,
            max_context=self.max_context,
        )

    # Life

    async def connect(self, config: Mapping[str, Any] | None = None) -> bool:
        """Takes its config and looks whether the source is ready; True if it is. Override to open what must be opened."""
        self.config = dict(config or {})
        self.standing.note(is_ready=True, at=time.time())
        return True

    async def disconnect(self) -> None:
        """Frees what `connect` took. Idempotent."""
        self.standing.note(is_ready=False, at=time.time(), detail="disconnected")

    # Answers

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """The answer as events, as core/contracts.py lays down; here derived from the subclass's `stream` or `forward`."""
        return self._open_derived(request)

    @contextlib.asynccontextmanager
    async def _open_derived(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        prompt, options = _as_call(request)
        if self._plays_by == "forward":
            text = await self.forward(prompt, **options)
            reply = ChatReply(text_message("assistant", text), request.model or self.provider_id, "stop")
            yield _each(unfold(reply))
            return
        async with aclosing(_texts_as_events(self.stream(prompt, **options), request.model or self.provider_id)) as events:
            yield events

    async def stream_events(
        self, request: ChatRequest | str, *, timeout_s: float | None = None, request_id: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The answer as typed events, the last one `Finished`. Closing it, or leaving it, closes upstream.

        Counts the call. Raises any JackfieldError, with this provider's id in front; TimedOut after `timeout_s` seconds.
        """
        if isinstance(request, str):
            request = asked(request, {}, stream=True).request
        request_id = request_id or _new_request_id()
        with self._counted(request, request_id) as tally:
            self._check(request)
            ends_at = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
            async with AsyncExitStack() as stack:
                with _timed(timeout_s):
                    async with asyncio.timeout_at(ends_at):
                        events = await stack.enter_async_context(self.open(request))
                while True:
                    with _timed(timeout_s):
                        async with asyncio.timeout_at(ends_at):
                            event = await anext(events, None)
                    if event is None:
                        break
                    tally.note(event)
                    yield event

    async def complete(
        self, request: ChatRequest | str, *, timeout_s: float | None = None, warnings: Sequence[str] = ()
    ) -> Completion:
        """The whole answer with its usage, model and time. Raises as `stream_events`, StreamBroken for one without an end."""
        if isinstance(request, str):
            request = asked(request, {}).request
        request_id = _new_request_id()
        began = perf_counter()
        folder = Folder()
        async with aclosing(self.stream_events(request, timeout_s=timeout_s, request_id=request_id)) as events:
            async for event in events:
                folder.add(event)
        with self._named(request_id):
            reply = folder.reply()
        said = [*warnings, *reply.extra.get("warnings", ())]
        return Completion(
            text=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            model=reply.model,
            provider=self.provider_id,
            latency_ms=(perf_counter() - began) * 1000,
            raw=reply,
            request_id=request_id,
            metadata={"warnings": said} if said else {},
        )

    async def forward(self, prompt: str, **kwargs: Any) -> str:
        """The answer's text. `format` "json" gives JSON text, "embedding" the vector as JSON.

        Takes generation parameters under any of their names, and `system_prompt`, `messages`, `model`, `images`, `tools`,
        `timeout` (seconds) and `strict` (unknown parameters are errors). Raises Malformed where JSON could not be had.
        """
        wish = asked(prompt, kwargs)
        if wish.format == "embedding":
            return json.dumps(await self.embed(prompt))
        if wish.format == "json":
            return (await self._complete_json(wish)).text
        return (await self._complete_asked(wish)).text

    async def ask(self, prompt: str, **kwargs: Any) -> Completion:
        """`forward` with all that is known about the answer: usage, warnings, how JSON was made."""
        wish = asked(prompt, kwargs)
        return await (self._complete_json(wish) if wish.format == "json" else self._complete_asked(wish))

    async def stream(self, prompt: str, **kwargs: Any) -> AsyncGenerator[str, None]:
        """The answer's text, piece by piece. Raises NotSupported where the source cannot stream."""
        if not self.supports_streaming:
            raise self._cannot("stream its answers: use forward")
        wish = asked(prompt, kwargs, stream=True)
        async with aclosing(self.stream_events(wish.request, timeout_s=wish.timeout_s)) as events:
            async for event in events:
                if isinstance(event, TextDelta) and event.text:
                    yield event.text

    async def generate(self, prompt: str, **kwargs: Any) -> str:
        """The same as `forward`."""
        return await self.forward(prompt, **kwargs)

    def generate_stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
        """The same as `stream`."""
        return self.stream(prompt, **kwargs)

    async def embed(self, text: str) -> list[float]:
        """The text as a vector. Raises NotSupported where the source makes none."""
        raise self._cannot("make embeddings: plug an embedding model into another slot")

    def execute(
        self, model: str | None, prompt: str, system_prompt: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> str:
        """`forward` for code without async. Waits; works inside a running loop too, on a thread and connections of its own."""
        return run(self._executed(model, prompt, system_prompt, parameters))

    async def _executed(
        self, model: str | None, prompt: str, system_prompt: str | None, parameters: Mapping[str, Any] | None
    ) -> str:
        return await self.twin().forward(prompt, **_call_options(model, system_prompt, parameters))

    def stream_execute(
        self, model: str | None, prompt: str, system_prompt: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Iterator[str]:
        """`stream` for code without async. Closing the generator cancels the request."""
        options = _call_options(model, system_prompt, parameters)
        return run_stream(lambda: self.twin().stream(prompt, **options))

    def twin(self) -> "InferenceProviderAdapter":
        """Itself for another event loop, where it holds what belongs to one. Called on that loop."""
        return self

    # Facts

    def is_available(self) -> bool:
        """The last verdict, from memory; `available_age_s` says how old it is and `health()` renews it."""
        return self.standing.is_ready is not False and self.metrics.failures_in_a_row < MANY_FAILURES

    @property
    def available_age_s(self) -> float | None:
        """Seconds since somebody looked; None if nobody has."""
        return None if self.standing.checked_at is None else max(0.0, time.time() - self.standing.checked_at)

    async def health(self) -> HealthStatus:
        """Looks at the source now. Never raises an Upstream error: it is what the status tells."""
        return self._status()

    def _status(self) -> HealthStatus:
        standing = self.standing
        if standing.is_ready is None:
            state = HealthState.UNKNOWN
        elif not standing.is_ready:
            state = HealthState.UNHEALTHY
        elif self.metrics.failures_in_a_row >= MANY_FAILURES:
            state = HealthState.DEGRADED
        else:
            state = HealthState.HEALTHY
        return HealthStatus(state, standing.latency_s, standing.detail, standing.checked_at or time.time())

    def get_metrics(self) -> dict[str, Any]:
        """At least latency_ms, tokens_used and cost_estimate (sats); all numbers of this source since it was plugged."""
        return self.metrics.as_dict()

    def get_cost_estimate(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Sats for so many tokens: 0.0 is free, None is not priced (which is not free)."""
        return 0.0 if self.provider_type == "local" else None

    async def list_models(self) -> list[dict[str, Any]]:
        """What the source offers: dicts with at least `id`. A source that is down raises; it is never an empty list."""
        record = self.capabilities
        names = record.supported_models or (record.default_model or self.provider_id,)
        return [{"id": name, "context_length": record.max_context} for name in names]

    async def validate_config(self) -> bool:
        """Is the key accepted and the source reachable? Spends no money. The reason for a no is logged."""
        status = await self.health()
        is_valid = status.status in (HealthState.HEALTHY, HealthState.DEGRADED)
        if not is_valid:
            _log.warning("%s: config is not valid: %s", self.provider_id, status.detail, extra={"provider": self.provider_id})
        return is_valid

    def get_info(self) -> dict[str, Any]:
        """{name, version, status, capabilities, limits} and identity; from memory."""
        record = self.capabilities
        return {
            "name": self.display_name,
            "id": self.provider_id,
            "type": self.provider_type,
            "version": self.standing.version or self.version,
            "status": str(self._status().status),
            "capabilities": msgspec.to_builtins(record),
            "limits": {"max_context": record.max_context, "max_output_tokens": record.max_output_tokens},
        }

    # How every call runs

    def _check(self, request: ChatRequest) -> None:
        """Refuses, before anything is sent, what is known not to fit."""
        model = request.model or self.capabilities.default_model or self.provider_id
        check_fit(request, model, self.provider_id, self.capabilities, None)

    def _cost(self, model: str, usage: Usage) -> Money | None:
        return Money(0) if self.provider_type == "local" else None

    def _cannot(self, what: str) -> NotSupported:
        return NotSupported(f"it cannot {what}", provider=self.provider_id)

    async def _complete_asked(self, wish: Asked) -> Completion:
        return await self.complete(wish.request, timeout_s=wish.timeout_s, warnings=wish.warnings)

    async def _complete_json(self, wish: Asked) -> Completion:
        """Native where the record says so; else by instruction. One second try, then Malformed."""
        is_native = self.capabilities.json_mode is True
        request = _for_json(wish.request, is_native=is_native)
        schema = None if wish.request.response_format is None else wish.request.response_format.schema
        completion = await self.complete(request, timeout_s=wish.timeout_s, warnings=wish.warnings)
        found, problem = _judged(completion.text, schema)
        if problem is not None:
            request = _asked_again(request, completion.text, problem)
            completion = await self.complete(request, timeout_s=wish.timeout_s, warnings=wish.warnings)
            found, problem = _judged(completion.text, schema)
        if found is None or problem is not None:
            raise Malformed(
                f"{problem}, and neither is a second one: ask more plainly, or use a model with a JSON mode",
                provider=self.provider_id,
                request_id=completion.request_id,
                code="not_json" if found is None else "schema_violation",
            )
        metadata = {**completion.metadata, "json_mode": "native" if is_native else "emulated"}
        if schema is not None:
            metadata["schema"] = KEPT if _can_check() else UNCHECKED
        return msgspec.structs.replace(completion, text=found, metadata=metadata)

    @contextlib.contextmanager
    def _counted(self, request: ChatRequest, request_id: str) -> Iterator["_Tally"]:
        tally = _Tally(request.model or self.capabilities.default_model or "")
        outcome = "cancelled"
        try:
            with self._named(request_id):
                yield tally
            outcome = GOOD
        except JackfieldError as error:
            outcome = error.code
            if isinstance(error, Upstream):
                self.standing.detail = error.message
            extra = {"provider": self.provider_id, "model": tally.model, "request_id": request_id}
            _log.warning("%s: request %s failed: %s", self.provider_id, request_id, error.message, extra=extra)
            raise
        finally:
            if outcome == "cancelled" and tally.is_finished:
                outcome = GOOD
            usage = tally.usage
            cost = self._cost(tally.model, usage) if outcome == GOOD else None
            self.metrics.observe(tally.seconds, tally.first_token_s, usage, cost, outcome)
            if _log.isEnabledFor(logging.DEBUG):
                extra = {"provider": self.provider_id, "model": tally.model, "request_id": request_id}
                _log.debug("%s: request %s: %s", self.provider_id, request_id, outcome, extra=extra)

    @contextlib.contextmanager
    def _named(self, request_id: str) -> Iterator[None]:
        try:
            yield
        except JackfieldError as error:
            error.provider = error.provider or self.provider_id
            error.request_id = error.request_id or request_id
            raise


class _Tally:
    """What one call used, noted from its events as they pass."""

    __slots__ = ("_began", "first_token_s", "is_finished", "model", "usage")

    def __init__(self, model: str) -> None:
        self._began = perf_counter()
        self.model = model
        self.usage = NO_USAGE
        self.first_token_s: float | None = None
        self.is_finished = False

    @property
    def seconds(self) -> float:
        return perf_counter() - self._began

    def note(self, event: Event) -> None:
        if isinstance(event, Started):
            self.model = event.model
        elif isinstance(event, UsageReported):
            self.usage = event.usage
        elif isinstance(event, Finished):
            self.is_finished = True
        elif self.first_token_s is None:
            self.first_token_s = self.seconds


def _check_identity(cls: type) -> None:
    for name in IDENTITY:
        value = getattr(cls, name, None)
        if not isinstance(value, str) or not value.strip():
            raise BadRequest(f"{cls.__name__} lacks {name}: a provider needs {', '.join(IDENTITY)}", param=name)
    kind = cls.provider_type  # type: ignore[attr-defined]  # looked at just above
    if kind not in PROVIDER_KINDS:
        raise BadRequest(
            f"{cls.__name__}: provider_type must be one of {', '.join(PROVIDER_KINDS)}, got {kind!r}", param="provider_type"
        )


@contextlib.contextmanager
def _timed(timeout_s: float | None) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        shown = "its own limit" if timeout_s is None else f"{timeout_s:g} s"
        raise TimedOut(f"no whole answer within {shown}: raise timeout, or ask for less") from error


def _as_call(request: ChatRequest) -> tuple[str, dict[str, Any]]:
    """A request as `forward(prompt, **options)` takes it: canonical names, and `messages` only for a real conversation."""
    options = {name: value for name, value in msgspec.to_builtins(request.generation).items() if value is not None}
    if "stop" in options:
        options["stop_sequences"] = list(options.pop("stop"))
    system = "\n\n".join(message.text for message in request.messages if message.role in ("system", "developer"))
    if system:
        options["system_prompt"] = system
    if request.model is not None:
        options["model"] = request.model
    rest = [message for message in request.messages if message.role not in ("system", "developer")]
    if len(rest) > 1:
        options["messages"] = [{"role": message.role, "content": message.text} for message in rest]
    prompt = next((message.text for message in reversed(rest) if message.role == "user"), "")
    return prompt, {**options, **request.extra}


async def _each(events: Sequence[Event]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


async def _texts_as_events(texts: AsyncIterator[str], model: str) -> AsyncGenerator[Event, None]:
    yield Started(model)
    yield PartStarted(0, "text")
    async with AsyncExitStack() as stack:
        if isinstance(texts, AsyncGenerator):
            await stack.enter_async_context(aclosing(texts))
        async for text in texts:
            yield TextDelta(0, text)
    yield PartEnded(0)
    yield Finished("stop")


def _for_json(request: ChatRequest, *, is_native: bool) -> ChatRequest:
    if is_native:
        return msgspec.structs.replace(request, response_format=request.response_format or ResponseFormat("json"))
    wanted = request.response_format
    schema = f" It must match this JSON Schema: {json.dumps(wanted.schema)}" if wanted and wanted.schema else ""
    told = text_message("system", INSTRUCTION + schema)
    return msgspec.structs.replace(request, messages=(told, *request.messages), response_format=None)


def _judged(text: str, schema: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """The JSON in an answer, and what is wrong with it as an answer. Raises BadRequest for a schema that is none."""
    found = json_in(text)
    if found is None:
        return None, NOT_JSON
    if schema is None or not _can_check():
        return found, None
    try:
        breach = breach_of(found, schema)
    except ValueError as error:
        raise BadRequest(f"response_format: {error}", param="response_format") from None
    return found, None if breach is None else f"the answer breaks the schema at {breach}"


@cache
def _can_check() -> bool:
    return find_spec("jsonschema") is not None


def _asked_again(request: ChatRequest, answer: str, problem: str) -> ChatRequest:
    told = RETRY if problem == NOT_JSON else f"{problem}. {INSTRUCTION}"
    turns: tuple[Message, ...] = (text_message("assistant", answer or "(nothing)"), text_message("user", told))
    return msgspec.structs.replace(request, messages=(*request.messages, *turns))


def _call_options(model: str | None, system_prompt: str | None, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    options = dict(parameters or {})
    if model:
        options["model"] = model
    if system_prompt:
        options["system_prompt"] = system_prompt
    return options


def _new_request_id() -> str:
    return f"req-{secrets.token_hex(8)}"
