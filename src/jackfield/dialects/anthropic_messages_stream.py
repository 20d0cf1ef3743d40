"""Messages streams read: SSE bytes to core events. Writing them is anthropic_messages_encoder.py's.

Knows the stream's events and how servers get them wrong: a delta that does not fit its block, a block or a message that is
started twice or never, several objects in one event, a missing end. Parts follow what the deltas are, not what was announced.
"""

from typing import Any

import msgspec

from jackfield.core.errors import Malformed, StreamBroken
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartKind,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from jackfield.dialects import sse
from jackfield.dialects.anthropic_errors import in_band_error
from jackfield.dialects.anthropic_messages_blocks import tool_arguments
from jackfield.dialects.anthropic_messages_reply import (
    CITATIONS,
    MESSAGE_FIELDS,
    block_extra,
    message_extra,
    read_reason,
    text,
)
from jackfield.dialects.anthropic_messages_usage import read_usage
from jackfield.dialects.framed import FramedDecoder
from jackfield.dialects.json_value import Object, present, rest

_decode = msgspec.json.Decoder().decode
_KINDS: dict[str, PartKind] = {
    "text": "text",
    "thinking": "reasoning",
    "redacted_thinking": "reasoning",
    "tool_use": "tool_call",
}
_DELTA_KINDS: dict[str, PartKind] = {
    "text_delta": "text",
    "thinking_delta": "reasoning",
    "signature_delta": "reasoning",
    "input_json_delta": "tool_call",
}
_DELTA_FIELDS = ("stop_reason", "type")


class _Open:
    """The block that is being written: its place on the wire and, if it has a core part, that part's number and kind."""

    __slots__ = ("input", "is_empty", "kind", "other", "part", "place")

    def __init__(self, place: int, kind: PartKind | None, part: int) -> None:
        self.place = place
        self.kind = kind
        self.part = part
        self.input = ""
        self.is_empty = True
        self.other: Object = {}


class StreamDecoder(FramedDecoder[sse.SseEvent]):
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    """

    def __init__(self, provider: str = "") -> None:
        super().__init__(sse.SseDecoder())
        self._provider = provider
        self._is_started = False
        self._is_ended = False
        self._open: _Open | None = None
        self._parts = 0
        self._called = False
        self._usage: Object = {}
        self._reason: Any = None
        self._late: Object = {}
        self._others: list[Object] = []
        self._citations: list[Object] = []

    def _bytes_ended(self, events: list[Event]) -> None:
        if not self._is_ended:
            if self._reason is None:
                raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)
            self._end(events)

    def _take(self, frame: sse.SseEvent, events: list[Event]) -> None:
        for value in self._values(frame.data.strip()):
            if not self._is_ended:
                self._event(value, frame.event, events)

    def _values(self, data: bytes) -> list[Object]:
        """Usually one object. Some servers add OpenAI's end mark, or put several objects, one a line, into one event."""
        if not data or data == b"[DONE]":
            return []
        try:
            return [self._object(data)]
        except Malformed:
            lines = data.split(b"\n")
            if len(lines) == 1:
                raise
            return [value for line in lines for value in self._values(line.strip())]

    def _object(self, data: bytes) -> Object:
        try:
            value = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"the stream holds an event that is not JSON: {error}", provider=self._provider or None) from None
        if not isinstance(value, dict):
            raise Malformed("the stream holds an event that is no JSON object", provider=self._provider or None)
        return value

    def _event(self, value: Object, name: str | None, events: list[Event]) -> None:
        kind = value.get("type") or name
        if kind == "error" and "error" not in value:
            value = {"error": value}
        if (error := in_band_error(value, provider=self._provider)) is not None:
            raise error
        match kind:
            case "message_start":
                self._start(_dict(value.get("message")), events)
            case "content_block_start":
                self._block_start(_place(value), _dict(value.get("content_block")), events)
            case "content_block_delta":
                self._delta(_place(value), _dict(value.get("delta")), events)
            case "content_block_stop":
                self._close(events)
            case "message_delta":
                self._message_delta(value, events)
            case "message_stop":
                self._end(events)

    def _start(self, message: Object, events: list[Event]) -> None:
        """A message that is started twice is one message: only its counts are news."""
        self._usage |= present(_dict(message.get("usage")))
        if self._is_started:
            return
        self._is_started = True
        extra = present(rest(message, MESSAGE_FIELDS))
        events.append(Started(text(message.get("model")), text(message.get("id")), extra=extra))

    def _block_start(self, place: int, block: Object, events: list[Event]) -> None:
        self._start({}, events)
        self._close(events)
        kind = _KINDS.get(text(block.get("type")))
        if kind is None:
            self._open = _Open(place, None, -1)
            self._open.other = block
            return
        opened = self._open_part(place, kind, block, events)
        match kind:
            case "text":
                self._text(opened, text(block.get("text")), events)
                self._cite(place, block.get(CITATIONS))
            case "reasoning":
                thought = text(block.get("thinking"))
                signature = block.get("data", block.get("signature"))
                if thought or signature:
                    events.append(ReasoningDelta(opened.part, thought, signature if isinstance(signature, str) else None))
            case "tool_call":
                opened.input = tool_arguments(block.get("input"))

    def _open_part(self, place: int, kind: PartKind, block: Object, events: list[Event]) -> _Open:
        opened = _Open(place, kind, self._parts)
        self._open = opened
        self._parts += 1
        is_call = kind == "tool_call"
        self._called = self._called or is_call
        id_, name = (text(block.get("id")), text(block.get("name"))) if is_call else ("", "")
        is_redacted = block.get("type") == "redacted_thinking"
        events.append(PartStarted(opened.part, kind, id_, name, block_extra(block), is_redacted))
        return opened

    def _delta(self, place: int, delta: Object, events: list[Event]) -> None:
        name = text(delta.get("type"))
        if name == "citations_delta":
            self._cite(place, [delta.get("citation")])
            return
        kind = _DELTA_KINDS.get(name)
        opened = self._open
        if opened is not None and opened.kind is None:
            opened.input += text(delta.get("partial_json"))
            return
        if kind is None:
            return
        if opened is None or opened.kind != kind or opened.place != place:
            # announced as something else, or not at all: the delta says what it is
            if kind == "tool_call":
                raise Malformed("the stream holds arguments of a tool call that has no name", provider=self._provider or None)
            self._start({}, events)
            self._close(events)
            opened = self._open_part(place, kind, {}, events)
        match kind:
            case "reasoning":
                signature = delta.get("signature")
                said = text(delta.get("thinking"))
                events.append(ReasoningDelta(opened.part, said, signature if isinstance(signature, str) else None))
            case "tool_call":
                self._arguments(opened, text(delta.get("partial_json")), events)
            case _:
                self._text(opened, text(delta.get("text")), events)

    def _text(self, opened: _Open, said: str, events: list[Event]) -> None:
        if said:
            events.append(TextDelta(opened.part, said))

    def _arguments(self, opened: _Open, more: str, events: list[Event]) -> None:
        if more:
            opened.is_empty = False
            events.append(ToolCallDelta(opened.part, more))

    def _cite(self, place: int, citations: Any) -> None:
        found = citations if isinstance(citations, list) else []
        self._citations += [{"index": place, "citation": item} for item in found]

    def _close(self, events: list[Event]) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        if opened.kind is None:
            self._others.append({"index": opened.place, "block": _filled(opened.other, opened.input)})
            return
        if opened.kind == "tool_call" and opened.is_empty:
            # a call without deltas has its input, perhaps an empty one, in the block that opened it
            self._arguments(opened, opened.input or "{}", events)
        events.append(PartEnded(opened.part))

    def _message_delta(self, value: Object, events: list[Event]) -> None:
        self._start({}, events)
        delta = _dict(value.get("delta"))
        if delta.get("stop_reason") is not None:
            self._reason = delta["stop_reason"]
        self._late |= present(rest(delta, _DELTA_FIELDS)) | present(rest(value, ("type", "delta", "usage")))
        self._usage |= present(_dict(value.get("usage")))

    def _end(self, events: list[Event]) -> None:
        self._is_ended = True
        self._start({}, events)
        self._close(events)
        if self._usage:
            events.append(UsageReported(read_usage(self._usage)))
        reason, raw = read_reason(self._reason, called=self._called)
        extra = message_extra(self._others, self._citations)
        events.append(Finished(reason, raw, self._late, extra))


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _place(value: Object) -> int:
    place = value.get("index")
    return place if isinstance(place, int) else 0


def _filled(block: Object, input_: str) -> Object:
    """A block without a core part, with the input that came in pieces."""
    if not input_:
        return block
    try:
        return {**block, "input": _decode(input_.encode())}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {**block, "input": input_}
