"""Server-sent events: bytes to events and back, cut anywhere.

Knows the event-stream format (WHATWG HTML, section 9.2) and nothing of what the data means. `data` stays bytes, because JSON
decoders take bytes and a cut may fall inside a character.
"""

import msgspec

from jackfield.core.errors import Malformed

MAX_EVENT_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event. `event` None means "message"; `id` is the last id the stream set, None if it set none."""

    event: str | None
    data: bytes
    id: str | None = None


class SseDecoder:
    """Feed bytes as they arrive, get whole events. Comments and `retry` are dropped, as the format says.

    `limit_bytes` bounds one unfinished event. `is_between` tells that what comes next begins an event.
    """

    def __init__(self, *, limit_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._rest = b""
        self._after_cr = False
        self._at_start = True
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event: str | None = None
        self._id: str | None = None
        self.is_between = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes. Raises Malformed when one event grows past the limit."""
        if self.is_between and (data := _only_data(chunk)):
            return [SseEvent(None, data, self._id)]
        if not chunk:
            return []
        text = self._joined(chunk)
        lines = text.split(b"\n") if b"\r" not in text else text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._after_cr = text.endswith(b"\r")
        self._rest = lines.pop()
        events: list[SseEvent] = []
        for line in lines:
            if not line:
                self._dispatch(events)
            else:
                self._take_line(line)
        self.is_between = not (self._rest or self._after_cr or self._data or self._event)
        if len(self._rest) + self._data_bytes > self._limit_bytes:
            raise Malformed(f"one event of the stream is larger than {self._limit_bytes} bytes")
        return events

    def finish(self) -> list[SseEvent]:
        """What an unterminated last event holds: many servers leave out the final blank line. The decoder is spent after it."""
        events: list[SseEvent] = []
        if self._rest:
            self._take_line(self._rest)
            self._rest = b""
        self._dispatch(events)
        return events

    def _joined(self, chunk: bytes) -> bytes:
        if self._after_cr:
            # The line already ended at the CR; the LF of a CRLF cut in two is no line of its own.
            chunk = chunk.removeprefix(b"\n")
        text = self._rest + chunk if self._rest else chunk
        if self._at_start and not (len(text) < len(_BOM) and _BOM.startswith(text)):
            self._at_start = False
            text = text.removeprefix(_BOM)
        return text

    def _take_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace") or None
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append(SseEvent(self._event, b"\n".join(self._data), self._id))
            self._data = []
            self._data_bytes = 0
        self._event = None


def _only_data(chunk: bytes) -> bytes:
    """The data of a chunk that is one event of one line, as most are; b"" for any other."""
    last = len(chunk) - 2
    is_one = chunk.startswith(b"data: ") and chunk.find(b"\n") == last and chunk.endswith(b"\n\n") and b"\r" not in chunk
    return chunk[6:last] if is_one else b""


def encode(data: bytes, event: str | None = None) -> bytes:
    """One event's bytes. `data` may hold line breaks; `event` may not (ValueError)."""
    head = b""
    if event is not None:
        if "\n" in event or "\r" in event:
            raise ValueError(f"an event's name must be one line, got {event!r}")
        head = b"event: " + event.encode() + b"\n"
    if b"\n" in data or b"\r" in data:
        return head + b"".join(b"data: " + line + b"\n" for line in _lines(data)) + b"\n"
    return head + b"data: " + data + b"\n\n"


def _lines(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
