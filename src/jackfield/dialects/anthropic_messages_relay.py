"""Watches the bytes of a Messages stream that passes through, and changes none of them.

Counts on nothing about how the bytes are cut. What it learns (usage, the end, an error) it reads from whole events; deltas,
which are nearly all of a stream, are only checked to be readable.
"""

import re
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.usage import Usage
from jackfield.dialects.anthropic_errors import in_band_error
from jackfield.dialects.anthropic_messages_usage import read_usage
from jackfield.dialects.json_value import Object, present
from jackfield.dialects.sse import MAX_EVENT_BYTES, SseDecoder

_EVENT_END = re.compile(rb"\n\r?\n")
_DELTA = b"event: content_block_delta\ndata: {"
_DATA_AT = len(_DELTA) - 1


class _Glance(msgspec.Struct, gc=False):
    type: Any = None


_glance = msgspec.json.Decoder(_Glance).decode
_decode = msgspec.json.Decoder().decode


class StreamRelay:
    """`feed` every chunk and send on what it returns; `finish` once upstream has ended; then read the attributes.

    `has_content` turns true with the first block or delta: the point after which a fault can no longer be hidden. `pieces`
    counts the events with any; pings, empty starts and ends are none. `error` is the first in-band error, or Malformed for an
    event that cannot be read; its bytes are passed on like all others.
    """

    __slots__ = ("_counts", "_provider", "_tail", "done", "error", "finished", "has_content", "pieces", "usage")

    def __init__(self, *, show_usage: bool = True, provider: str = "") -> None:
        self._provider = provider
        self._tail = b""
        self._counts: Object = {}
        self.usage: Usage | None = None
        self.done = False
        self.finished = False
        self.has_content = False
        self.pieces = 0
        self.error: JackfieldError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now: all of it. Raises Malformed when one event grows past sse.MAX_EVENT_BYTES."""
        data = self._tail + chunk if self._tail else chunk
        start = 0
        for match in _EVENT_END.finditer(data, max(0, len(self._tail) - 2)):
            self._inspect(data[start : match.end()], is_whole=True)
            start = match.end()
        self._tail = data[start:]
        if len(self._tail) > MAX_EVENT_BYTES:
            raise Malformed(f"one event of the stream is larger than {MAX_EVENT_BYTES} bytes", provider=self._provider)
        return chunk

    def finish(self) -> bytes:
        """Nothing is held back; a last event without its end is read."""
        tail, self._tail = self._tail, b""
        if tail:
            self._inspect(tail, is_whole=False)
        return b""

    def _inspect(self, event: bytes, *, is_whole: bool) -> None:
        if self.has_content and event.startswith(_DELTA) and _is_readable(event[_DATA_AT:]):
            self.pieces += 1
            return
        decoder = SseDecoder()
        for item in (*decoder.feed(event), *decoder.finish()):
            data = item.data.strip()
            if data and data != b"[DONE]":
                self._note(data, item.event, is_whole)

    def _note(self, data: bytes, name: str | None, is_whole: bool) -> None:
        try:
            value = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if is_whole and self.error is None:
                self.error = Malformed(
                    f"the stream holds an event that cannot be read: {error}", provider=self._provider or None
                )
            return
        if isinstance(value, dict):
            self._note_event(value, value.get("type") or name)

    def _note_event(self, value: Object, kind: str | None) -> None:
        if kind == "error" and "error" not in value:
            value = {"error": value}
        match kind:
            case "content_block_start":
                if _says_something(value.get("content_block")):
                    self._note_content()
            case "content_block_delta":
                self._note_content()
            case "message_start":
                message = value.get("message")
                self._count(message.get("usage") if isinstance(message, dict) else None)
            case "message_delta":
                self._count(value.get("usage"))
                delta = value.get("delta")
                self.finished = self.finished or (isinstance(delta, dict) and delta.get("stop_reason") is not None)
            case "message_stop":
                self.done = self.finished = True
        self.error = self.error or in_band_error(value, provider=self._provider)

    def _note_content(self) -> None:
        self.has_content = True
        self.pieces += 1

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._counts |= present(usage)
            self.usage = read_usage(self._counts)


def _is_readable(data: bytes) -> bool:
    try:
        _glance(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _says_something(block: Any) -> bool:
    """A text or thinking block opens empty; any other kind is content by itself."""
    if not isinstance(block, dict):
        return False
    return bool(block.get("text") or block.get("thinking")) or block.get("type") not in ("text", "thinking")
