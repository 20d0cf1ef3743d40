"""The one event stream that every provider speaks and every door listens to, and `fold`, which turns it into a reply.

Laws (checked for every provider): one `Started`, first; a part is started before its deltas and ended after them; part
indices rise; at most one `UsageReported` counts (a later one replaces it); at most one `Finished`, last. A stream that was
cut has no `Finished`. Consumers match exhaustively and end with `assert_never`.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal, assert_never

import msgspec

from jackfield.core.errors import Malformed, StreamBroken
from jackfield.core.messages import Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]
PartKind = Literal["text", "refusal", "reasoning", "tool_call"]
Extra = dict[str, Any]


class Started(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The answer begins. `created` is Unix seconds as the provider told it, 0 if it did not."""

    model: str
    id: str = ""
    created: int = 0
    extra: Extra = msgspec.field(default_factory=dict)


class PartStarted(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A part opens. `id` and `name` are set for tool calls only, `is_redacted` for reasoning whose text is withheld."""

    index: int
    kind: PartKind
    id: str = ""
    name: str = ""
    extra: Extra = msgspec.field(default_factory=dict)
    is_redacted: bool = False


class TextDelta(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """More text of a text or refusal part. `logprobs` are token entries in OpenAI's shape, if asked for."""

    index: int
    text: str
    logprobs: tuple[Any, ...] = ()


class ReasoningDelta(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    index: int
    text: str
    signature: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, tag=True):
    """More of a tool call's arguments: JSON text, cut anywhere."""

    index: int
    arguments: str


class PartEnded(msgspec.Struct, frozen=True, tag=True):
    index: int


class UsageReported(msgspec.Struct, frozen=True, tag=True):
    usage: Usage


class Finished(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The answer is whole. `raw_reason` is the provider's own word where it differs from ours.

    `extra` belongs to the reply, `message_extra` to its message.
    """

    reason: FinishReason
    raw_reason: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)
    message_extra: Extra = msgspec.field(default_factory=dict)


class VoiceStarted(msgspec.Struct, frozen=True, tag=True):
    """Concerto: a slot begins to play. Shown to ordinary clients only when asked for."""

    slot: int


class VoiceEnded(msgspec.Struct, frozen=True, tag=True):
    slot: int


class Verdict(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Concerto: how the voices were fused."""

    method: str
    detail: Extra = msgspec.field(default_factory=dict)


Event = (
    Started
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | PartEnded
    | UsageReported
    | Finished
    | VoiceStarted
    | VoiceEnded
    | Verdict
)


class ChatReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole answer: what `fold` makes of a stream and what a plain reply decodes to."""

    message: Message
    model: str
    finish_reason: FinishReason
    id: str = ""
    created: int = 0
    usage: Usage | None = None
    raw_finish_reason: str | None = None
    logprobs: tuple[Any, ...] = ()
    extra: Extra = msgspec.field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.message.text


class _OpenPart:
    __slots__ = ("chunks", "signature", "started")

    def __init__(self, started: PartStarted) -> None:
        self.started = started
        self.chunks: list[str] = []
        self.signature: str | None = None

    def close(self) -> Part:
        text = "".join(self.chunks)
        started = self.started
        match started.kind:
            case "text":
                return TextPart(text, extra=started.extra)
            case "refusal":
                return RefusalPart(text, extra=started.extra)
            case "reasoning":
                return ReasoningPart(text, self.signature, started.is_redacted, started.extra)
            case "tool_call":
                return ToolCallPart(started.id, started.name, text, extra=started.extra)
            case _:
                assert_never(started.kind)


class Folder:
    """Folds events one at a time, so that a relay can watch a stream that it does not hold.

    Raises Malformed on an event that breaks the laws above.
    """

    def __init__(self) -> None:
        self._started: Started | None = None
        self._parts: dict[int, _OpenPart] = {}
        self._open: set[int] = set()
        self._last_index = -1
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._logprobs: list[Any] = []

    def add(self, event: Event) -> None:
        if self._finished is not None:
            raise Malformed("an event came after the end of the answer")
        if self._started is None and not isinstance(event, Started | VoiceStarted | VoiceEnded | Verdict):
            raise Malformed("the answer did not begin with Started")
        match event:
            case Started():
                if self._started is not None:
                    raise Malformed("the answer started twice")
                self._started = event
            case PartStarted():
                if event.index <= self._last_index:
                    raise Malformed(f"part {event.index} started out of order")
                self._last_index = event.index
                self._parts[event.index] = _OpenPart(event)
                self._open.add(event.index)
            case TextDelta(index, text, logprobs):
                self._part(index, "text", "refusal").chunks.append(text)
                self._logprobs.extend(logprobs)
            case ReasoningDelta(index, text, signature):
                part = self._part(index, "reasoning")
                part.chunks.append(text)
                if signature is not None:
                    part.signature = signature
            case ToolCallDelta(index, arguments):
                self._part(index, "tool_call").chunks.append(arguments)
            case PartEnded(index):
                self._part(index)
                self._open.discard(index)
            case UsageReported(usage):
                self._usage = usage
            case Finished():
                if self._open:
                    raise Malformed(f"parts {sorted(self._open)} were not ended")
                self._finished = event
            case VoiceStarted() | VoiceEnded() | Verdict():
                pass
            case _:
                assert_never(event)

    def _part(self, index: int, *kinds: PartKind) -> _OpenPart:
        part = self._parts.get(index)
        if part is None or index not in self._open:
            raise Malformed(f"part {index} is not open")
        if kinds and part.started.kind not in kinds:
            raise Malformed(f"part {index} is a {part.started.kind} part, not {' or '.join(kinds)}")
        return part

    def reply(self) -> ChatReply:
        """The whole answer. Raises StreamBroken if the stream ended without `Finished`."""
        if self._started is None or self._finished is None:
            raise StreamBroken("the answer stopped before it was finished")
        parts = tuple(part.close() for _, part in sorted(self._parts.items()))
        return ChatReply(
            message=Message("assistant", parts, extra=self._finished.message_extra),
            model=self._started.model,
            finish_reason=self._finished.reason,
            id=self._started.id,
            created=self._started.created,
            usage=self._usage,
            raw_finish_reason=self._finished.raw_reason,
            logprobs=tuple(self._logprobs),
            extra={**self._started.extra, **self._finished.extra},
        )


def fold_events(events: Iterable[Event]) -> ChatReply:
    """`fold` for events already at hand."""
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.reply()


async def fold(events: AsyncIterator[Event]) -> ChatReply:
    """Reads a stream to its end. Raises Malformed for a lawless stream, StreamBroken for one without an end."""
    folder = Folder()
    async for event in events:
        folder.add(event)
    return folder.reply()


def unfold(reply: ChatReply) -> list[Event]:
    """The events of an answer that came whole: `fold_events(unfold(reply)) == reply`.

    Logprobs ride on the first text or refusal, so an answer that has neither loses them. Raises Malformed for a part that
    only a request can hold.
    """
    events: list[Event] = [Started(reply.model, reply.id, reply.created, reply.extra)]
    logprobs = reply.logprobs
    for index, part in enumerate(reply.message.parts):
        match part:
            case TextPart(text, extra):
                events += [PartStarted(index, "text", extra=extra), TextDelta(index, text, logprobs), PartEnded(index)]
                logprobs = ()
            case RefusalPart(text, extra):
                events += [
                    PartStarted(index, "refusal", extra=extra),
                    TextDelta(index, text, logprobs),
                    PartEnded(index),
                ]
                logprobs = ()
            case ReasoningPart(text, signature, redacted, extra):
                events += [
                    PartStarted(index, "reasoning", extra=extra, is_redacted=redacted),
                    ReasoningDelta(index, text, signature),
                    PartEnded(index),
                ]
            case ToolCallPart(id_, name, arguments, extra):
                events += [
                    PartStarted(index, "tool_call", id_, name, extra),
                    ToolCallDelta(index, arguments),
                    PartEnded(index),
                ]
            case _:
                raise Malformed(f"an answer cannot hold a {type(part).__name__}")
    if reply.usage is not None:
        events.append(UsageReported(reply.usage))
    events.append(Finished(reply.finish_reason, reply.raw_finish_reason, message_extra=reply.message.extra))
    return events
