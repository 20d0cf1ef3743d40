"""Plays a script instead of a model: for tests, demonstrations and documentation without keys. Always labelled simulated.

Knows events and errors, and neither files, sockets nor any wire format. What it says is decided by its config alone.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Self

import msgspec

from jackfield.core import errors
from jackfield.core.contracts import (
    CompletesBatch,
    Embeds,
    ListsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
)
from jackfield.core.errors import BadRequest, JackfieldError, StreamBroken
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    FinishReason,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    fold,
)
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest, Generation
from jackfield.core.usage import Usage
from jackfield.providers.config import merge_generation, read_config
from jackfield.providers.fit import check_fit

DEFAULT_TEXT = "This answer is simulated: it was written in a script, and no model made it."
_WORD = re.compile(r"\S+\s*|\s+")
_ERRORS: Mapping[str, type[JackfieldError]] = {
    kind.default_code: kind
    for kind in reversed([found for found in vars(errors).values() if isinstance(found, type)])
    if issubclass(kind, JackfieldError)
}


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to make; `arguments` a JSON object, or text as it is."""

    name: str
    arguments: dict[str, Any] | str = ""


class ScriptedError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error to raise, by its `code` (core/errors.py: "rate_limit_exceeded", "overloaded", "timeout", ...)."""

    code: str
    message: str = "the script says so"
    retry_after_s: float | None = None


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the script: said when `match` (a regular expression) is found in the last user message.

    `{prompt}` in `text` stands for that message. `cut_after` breaks the answer off after so many pieces; with `error` they
    come before it, else it comes at once. `times` plays the line so often, then the next that matches.
    """

    match: str = ""
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    finish_reason: FinishReason | None = None
    error: ScriptedError | None = None
    cut_after: int | None = None
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    times: int | None = None


class ScriptedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`replies` in order, first match wins; then `text`. `dimensions` of the made-up embeddings, `vision` to accept images.

    With `max_batch_size` above 1 it plays that many answers at once.
    """

    replies: tuple[ScriptedReply, ...] = ()
    text: str = DEFAULT_TEXT
    model: str = "scripted"
    models: tuple[str, ...] = ()
    max_context: int | None = None
    vision: bool = True
    dimensions: int = 8
    max_batch_size: Annotated[int, msgspec.Meta(ge=1)] = 1
    ready: bool = True


class Scripted:
    """A provider without a model behind it."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="scripted",
        type="local",
        display_name="Scripted (simulated)",
        capabilities=Capabilities(
            embeddings=True,
            images=True,
            tools=True,
            vision=True,
            json_mode=True,
            system_messages=True,
            default_model="scripted",
        ),
        aliases=("simulated",),
        limits=("simulated: no model makes its answers",),
        config_keys=ScriptedConfig.__struct_fields__,
    )

    def __init__(self, config: ScriptedConfig, generation: Generation) -> None:
        for line in config.replies:
            _check(line)
        self._config = config
        self._generation = generation
        self._lines = [(re.compile(line.match, re.IGNORECASE), line) for line in config.replies]
        self._played: dict[int, int] = {}
        self._count = 0
        self.info = ProviderInfo("scripted", "local", self.card.display_name, simulated=True)
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities,
            default_model=config.model,
            max_context=config.max_context,
            vision=config.vision,
            images=config.vision,
            supported_models=config.models,
            supports_batching=config.max_batch_size > 1,
            max_batch_size=config.max_batch_size,
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        read, generation = read_config(ScriptedConfig, config, cls.card.id, {"script": "replies", "model_id": "model"})
        return cls(read, generation)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        model = request.model or self._config.model
        check_fit(request, model, self.card.id, self.capabilities, None)
        generation = merge_generation(request.generation, self._generation)
        self._count += 1
        prompt = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        line = self._line(prompt)
        if line.delay_s:
            await asyncio.sleep(line.delay_s)
        if line.error is not None and line.cut_after is None:
            raise _error(line.error)
        events = self._events(line, prompt, model, request, generation)
        try:
            yield events
        finally:
            await events.aclose()

    async def _events(
        self, line: ScriptedReply, prompt: str, model: str, request: ChatRequest, generation: Generation
    ) -> AsyncGenerator[Event, None]:
        yield Started(model, f"scripted-{self._count}", extra={"simulated": True})
        left = line.cut_after
        written = 0
        reason: FinishReason = line.finish_reason or ("tool_calls" if line.tool_calls else "stop")
        budget = generation.max_tokens
        for opened, deltas in _parts(line, prompt, self._count):
            yield opened
            for delta in deltas:
                if left is not None and written >= left:
                    raise _error(line.error) if line.error else StreamBroken("the script cuts here", provider=self.card.id)
                if budget is not None and written >= budget and not isinstance(delta, ToolCallDelta):
                    reason = "length"
                    break
                if line.chunk_delay_s:
                    await asyncio.sleep(line.chunk_delay_s)
                written += 1
                yield delta
            yield PartEnded(opened.index)
        if left is not None:
            raise _error(line.error) if line.error else StreamBroken("the script cuts here", provider=self.card.id)
        asked = sum(len(_WORD.findall(message.text)) for message in request.messages)
        yield UsageReported(Usage(prompt_tokens=asked, completion_tokens=written))
        yield Finished(reason)

    def _line(self, prompt: str) -> ScriptedReply:
        for index, (pattern, line) in enumerate(self._lines):
            if pattern.search(prompt) and (line.times is None or self._played.get(index, 0) < line.times):
                self._played[index] = self._played.get(index, 0) + 1
                return line
        return ScriptedReply(text=self._config.text)

    async def complete_batch(self, requests: Sequence[ChatRequest]) -> list[ChatReply | JackfieldError]:
        """Each answer as it would be by itself; they take as long as the slowest."""
        return list(await asyncio.gather(*map(self._complete, requests)))

    async def _complete(self, request: ChatRequest) -> ChatReply | JackfieldError:
        try:
            async with self.open(request) as events:
                return await fold(events)
        except JackfieldError as error:
            return error

    async def list_models(self) -> tuple[ModelProfile, ...]:
        names = self._config.models or (self._config.model,)
        return tuple(
            ModelProfile(name, context_length=self._config.max_context, vision=self._config.vision, source="script")
            for name in names
        )

    async def probe(self) -> ProbeResult:
        detail = "simulated" if self._config.ready else "the script says that it is down"
        return ProbeResult(self._config.ready, 0.0, detail, models=tuple(model.id for model in await self.list_models()))

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Vectors that depend on the text alone: equal texts, equal vectors, of length `dimensions`."""
        size = request.dimensions or self._config.dimensions
        vectors = tuple(_vector(str(text), size) for text in request.inputs)
        words = sum(len(_WORD.findall(str(text))) for text in request.inputs)
        return EmbedReply(vectors, request.model or self._config.model, Usage(prompt_tokens=words))

    async def aclose(self) -> None:
        self._played.clear()


def _parts(line: ScriptedReply, prompt: str, count: int) -> list[tuple[PartStarted, list[Event]]]:
    parts: list[tuple[PartStarted, list[Event]]] = []
    if line.reasoning:
        parts.append((PartStarted(0, "reasoning"), [ReasoningDelta(0, word) for word in _WORD.findall(line.reasoning)]))
    text = line.text.replace("{prompt}", prompt)
    if text or not (line.tool_calls or parts):
        index = len(parts)
        parts.append((PartStarted(index, "text"), [TextDelta(index, word) for word in _WORD.findall(text)]))
    for call in line.tool_calls:
        index = len(parts)
        arguments = call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()
        started = PartStarted(index, "tool_call", f"call_{count}_{index}", call.name)
        parts.append((started, [ToolCallDelta(index, piece) for piece in _halves(arguments or "{}")]))
    return parts


def _halves(text: str) -> Sequence[str]:
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def _check(line: ScriptedReply) -> None:
    try:
        re.compile(line.match)
    except re.error as error:
        raise BadRequest(f"match is no regular expression: {error}", provider="scripted", param="replies") from None
    if line.error is not None and line.error.code not in _ERRORS:
        raise BadRequest(
            f"no error has the code {line.error.code!r}: known are {', '.join(sorted(_ERRORS))}",
            provider="scripted",
            param="replies",
        )


def _error(told: ScriptedError) -> JackfieldError:
    return _ERRORS[told.code](f"{told.message} (simulated)", provider="scripted", retry_after_s=told.retry_after_s)


def _vector(text: str, size: int) -> tuple[float, ...]:
    digest = hashlib.shake_256(text.encode()).digest(size * 2)
    return tuple(int.from_bytes(digest[at : at + 2], "big") / 32767.5 - 1.0 for at in range(0, size * 2, 2))


def _satisfies() -> tuple[
    type[ProviderType], type[Provider], type[ListsModels], type[Probes], type[Embeds], type[CompletesBatch]
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return Scripted, Scripted, Scripted, Scripted, Scripted, Scripted
