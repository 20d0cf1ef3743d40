"""Messages streams written: core events to the SSE bytes that clients of this dialect read.

Knows the order that the wire wants: one message_start, one block open at a time, indices that rise. Parts that are open side
by side, as other dialects have them, wait here for their turn.
"""

from typing import assert_never

import msgspec

from jackfield.core.errors import JackfieldError
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
    Verdict,
    VoiceEnded,
    VoiceStarted,
)
from jackfield.core.usage import Usage
from jackfield.dialects import sse
from jackfield.dialects.anthropic_errors import encode_stream_error
from jackfield.dialects.anthropic_messages_reply import BLOCKS, MESSAGE_FIELDS, encode_stop, placed
from jackfield.dialects.anthropic_messages_usage import encode_usage
from jackfield.dialects.json_events import around_text, framed
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
PING_EVENT = sse.encode(b'{"type":"ping"}', "ping")
STOP_EVENT = sse.encode(b'{"type":"message_stop"}', "message_stop")
_Waiting = PartStarted | TextDelta | ReasoningDelta | ToolCallDelta | PartEnded


def _event(kind: str, **fields: object) -> bytes:
    return framed(kind, _encode({"type": kind, **fields}))


class StreamEncoder:
    """One answer's events as bytes. Usage is always part of this format, so `include_usage` changes nothing.

    Citations reach clients in whole answers only: they are known when their block has ended. `encode` gives b"" for events
    that have no bytes of their own. After the last event call `end`; after a fault call `error`
    instead and close: a stream that failed never looks finished.
    """

    def __init__(self, *, id: str, created: int = 0, model: str, include_usage: bool = True) -> None:
        self._id = id
        self._model = model
        self._usage: Usage | None = None
        self._blocks = 0
        self._current: int | None = None
        self._place = 0
        self._growing = ""
        self._around = b"", b""
        self._is_opened = False
        self._redacted: str | None = None
        self._waiting: dict[int, list[_Waiting]] = {}

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta and self._growing == "text_delta" and event.index == self._current:
            return self._grow("text_delta", "text", event.text)
        match event:
            case Started(_, _, _, extra):
                return self._started(extra)
            case PartStarted() | TextDelta() | ReasoningDelta() | ToolCallDelta() | PartEnded():
                return self._part(event)
            case UsageReported(usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finished(event)
            case VoiceStarted() | VoiceEnded() | Verdict():
                return b""
            case _:
                assert_never(event)

    def restarted(self, discard_chars: int) -> bytes:
        """A ping, which every client skips, whose field `jackfield` says that all text so far is void: discard it."""
        return _event("ping", jackfield={"restarted": True, "discard_chars": discard_chars})

    def end(self) -> bytes:
        """The end mark."""
        return STOP_EVENT

    def error(self, error: JackfieldError) -> bytes:
        """The in-band error. Nothing follows it."""
        return encode_stream_error(error)

    def _started(self, extra: Object) -> bytes:
        message: Object = {
            **{name: value for name, value in extra.items() if name not in MESSAGE_FIELDS},
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(self._usage),
        }
        return _event("message_start", message=message)

    def _part(self, event: _Waiting) -> bytes:
        if self._current is None:
            self._current = event.index
        if event.index != self._current:
            self._waiting.setdefault(event.index, []).append(event)
            return b""
        return self._write(event)

    def _write(self, event: _Waiting) -> bytes:
        match event:
            case PartStarted():
                return self._open(event)
            case TextDelta(_, text, _):
                return self._grow("text_delta", "text", text)
            case ReasoningDelta(_, text, signature):
                return self._reasoning(text, signature)
            case ToolCallDelta(_, arguments):
                return self._grow("input_json_delta", "partial_json", arguments)
            case PartEnded():
                return self._close() + self._next()

    def _open(self, event: PartStarted) -> bytes:
        self._place, self._growing, self._is_opened, self._redacted = self._blocks, "", True, None
        match event.kind:
            case "text" | "refusal":
                block: Object = {**event.extra, "type": "text", "text": ""}
            case "tool_call":
                block = {**event.extra, "type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            case "reasoning" if event.is_redacted:
                # its only content stands in the event that opens the block, so the block waits for it
                self._is_opened, self._redacted = False, ""
                return b""
            case "reasoning":
                block = {**event.extra, "type": "thinking", "thinking": "", "signature": ""}
            case _:
                assert_never(event.kind)
        return self._start_block(block)

    def _start_block(self, block: Object) -> bytes:
        self._blocks += 1
        return _event("content_block_start", index=self._place, content_block=block)

    def _reasoning(self, text: str, signature: str | None) -> bytes:
        if self._redacted is not None:
            self._redacted += signature or ""
            return b""
        thought = self._grow("thinking_delta", "thinking", text)
        signed = self._delta({"type": "signature_delta", "signature": signature}) if signature else b""
        return thought + signed

    def _grow(self, kind: str, name: str, text: str) -> bytes:
        """A delta of the open block. Those of one kind differ in their text alone, so what is around it is written once."""
        if not text:
            return b""
        if self._growing != kind:
            self._growing, self._around = kind, around_text(lambda told: self._delta({"type": kind, name: told}))
        before, after = self._around
        return before + _encode(text) + after

    def _delta(self, delta: Object) -> bytes:
        return _event("content_block_delta", index=self._place, delta=delta)

    def _close(self) -> bytes:
        opened = b""
        if self._redacted:
            opened, self._is_opened = self._start_block({"type": "redacted_thinking", "data": self._redacted}), True
        self._current, self._growing = None, ""
        return opened + _event("content_block_stop", index=self._place) if self._is_opened else b""

    def _next(self) -> bytes:
        """What waited for the block that has just ended."""
        written = b""
        while self._current is None and self._waiting:
            self._current = min(self._waiting)
            for event in self._waiting.pop(self._current):
                written += self._write(event)
        return written

    def _finished(self, event: Finished) -> bytes:
        late = b"".join(self._late_block(other) for other in placed(event.message_extra, BLOCKS))
        stop = encode_stop(event.reason, event.raw_reason, event.extra)
        stop |= {name: event.extra[name] for name in ("stop_details", "container") if name in event.extra}
        return late + _event("message_delta", delta=stop, usage=encode_usage(self._usage))

    def _late_block(self, other: Object) -> bytes:
        """Blocks without a core part are known only at the end, and so they stand there."""
        self._place = self._blocks
        return self._start_block(other.get("block") or {}) + _event("content_block_stop", index=self._place)
