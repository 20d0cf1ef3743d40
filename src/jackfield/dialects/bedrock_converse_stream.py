"""ConverseStream: event-stream bytes to core events.

Knows the events and exceptions of the stream. Text and reasoning blocks are not announced, so they open with their first delta;
`metadata` comes after `messageStop`, so the end is told when it has come, or with the bytes' end.
"""

from typing import Any

from jackfield.core.errors import JackfieldError, StreamBroken
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from jackfield.dialects.bedrock_converse_usage import read_reason, read_usage
from jackfield.dialects.bedrock_errors import stream_error
from jackfield.dialects.event_stream import EventStreamDecoder, Message
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_value import Object, present, rest

STREAM_TYPE = b"application/vnd.amazon.eventstream"
_PADDING = "p"


class StreamDecoder:
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An exception inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    """

    def __init__(self, provider: str = "", *, model: str = "") -> None:
        self._provider = provider
        self._model = model
        self._frames = EventStreamDecoder()
        self._failure: JackfieldError | None = None
        self._is_started = False
        self._is_ended = False
        self._parts = 0
        self._open: dict[int, tuple[int, str]] = {}
        self._reason: Any = None
        self._extra: Object = {}
        self._message: Object = {}

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises Malformed, or what an exception in the stream maps to."""
        if self._failure is not None:
            raise self._failure
        events: list[Event] = []
        try:
            for message in self._frames.feed(chunk):
                self._take(message, events)
        except JackfieldError as error:
            error.provider = error.provider or self._provider or None
            self._failure = error
            if not events:
                raise
        return events

    def finish(self) -> list[Event]:
        """The last events, once the bytes have ended. Raises StreamBroken if the answer was not told to be whole."""
        if self._failure is not None:
            raise self._failure
        events: list[Event] = []
        if not self._is_ended:
            if self._reason is None:
                raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)
            self._end(events)
        return events

    def _take(self, message: Message, events: list[Event]) -> None:
        kind = message.text(":message-type")
        if kind == "exception":
            raise stream_error(message.text(":exception-type"), message.payload, provider=self._provider)
        if kind == "error":
            told = message.text(":error-message").encode()
            raise stream_error(message.text(":error-code"), told, provider=self._provider)
        if not self._is_ended:
            self._event(message.text(":event-type"), answer_object(message.payload, self._provider), events)

    def _event(self, kind: str, value: Object, events: list[Event]) -> None:
        match kind:
            case "messageStart":
                self._start(events)
            case "contentBlockStart":
                self._block(value, events)
            case "contentBlockDelta":
                self._delta(value, events)
            case "contentBlockStop":
                self._close(_index(value), events)
            case "messageStop":
                self._stop(value)
            case "metadata":
                self._metadata(value, events)

    def _start(self, events: list[Event]) -> None:
        if not self._is_started:
            self._is_started = True
            events.append(Started(self._model))

    def _block(self, value: Object, events: list[Event]) -> None:
        self._start(events)
        start = value.get("start")
        use = start.get("toolUse") if isinstance(start, dict) else None
        if isinstance(use, dict):
            self._open_part(
                _index(value),
                "tool_call",
                events,
                PartStarted(self._parts, "tool_call", str(use.get("toolUseId") or ""), str(use.get("name") or "")),
            )

    def _open_part(self, at: int, kind: str, events: list[Event], started: PartStarted) -> int:
        self._close(at, events)
        self._open[at] = (self._parts, kind)
        self._parts += 1
        events.append(started)
        return self._open[at][0]

    def _part(self, at: int, kind: Any, events: list[Event], *, is_redacted: bool = False) -> int:
        """The open part of a block, opened now if this is its first delta, or if the block turns to another kind."""
        self._start(events)
        name = f"{kind} redacted" if is_redacted else kind
        known = self._open.get(at)
        if known is not None and known[1] == name:
            return known[0]
        return self._open_part(at, name, events, PartStarted(self._parts, kind, is_redacted=is_redacted))

    def _close(self, at: int, events: list[Event]) -> None:
        known = self._open.pop(at, None)
        if known is not None:
            events.append(PartEnded(known[0]))

    def _delta(self, value: Object, events: list[Event]) -> None:
        at, delta = _index(value), value.get("delta")
        match delta:
            case {"text": str(text)}:
                if text:
                    events.append(TextDelta(self._part(at, "text", events), text))
            case {"toolUse": {"input": str(arguments)}}:
                index, kind = self._open.get(at, (0, ""))
                if kind == "tool_call" and arguments:
                    events.append(ToolCallDelta(index, arguments))
            case {"reasoningContent": {"redactedContent": str(data)}}:
                events.append(ReasoningDelta(self._part(at, "reasoning", events, is_redacted=True), "", data))
            case {"reasoningContent": {**thought}}:
                words, signature = thought.get("text"), thought.get("signature")
                index = self._part(at, "reasoning", events)
                events.append(
                    ReasoningDelta(
                        index, words if isinstance(words, str) else "", signature if isinstance(signature, str) else None
                    )
                )
            case dict(other):
                self._message["content_parts"] = [*self._message.get("content_parts", ()), other]

    def _stop(self, value: Object) -> None:
        read_reason(value.get("stopReason"), provider=self._provider)
        self._reason = value.get("stopReason")
        self._extra |= present(rest(value, ("stopReason", _PADDING)))

    def _metadata(self, value: Object, events: list[Event]) -> None:
        usage = read_usage(value.get("usage"))
        if usage is not None:
            self._start(events)
            events.append(UsageReported(usage))
        self._extra |= present(rest(value, ("usage", _PADDING)))
        if self._reason is not None:
            self._end(events)

    def _end(self, events: list[Event]) -> None:
        self._is_ended = True
        self._start(events)
        for at in list(self._open):
            self._close(at, events)
        reason, raw = read_reason(self._reason, provider=self._provider)
        events.append(Finished(reason, raw, self._extra, self._message))


def _index(value: Object) -> int:
    at = value.get("contentBlockIndex")
    return at if isinstance(at, int) else 0
