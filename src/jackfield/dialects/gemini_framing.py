"""How a stream of Gemini answers is cut into JSON objects: server-sent events, or one JSON array that grows.

`alt=sse` asks for the first; without it the second comes. The first byte tells which, and a single object (an error, or an
answer that was not streamed) counts as an array of one.
"""

import re

from jackfield.core.errors import Malformed
from jackfield.dialects.sse import MAX_EVENT_BYTES, SseDecoder

_MARKS = re.compile(rb'["\\{}]')
_BETWEEN = b" \t\r\n,["


class ObjectDecoder:
    """Feed bytes as they arrive, get whole JSON objects. Raises Malformed when one grows past the limit."""

    def __init__(self, *, limit_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._frames: SseDecoder | _ArrayDecoder | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._frames is None:
            chunk = chunk.lstrip(b" \t\r\n")
            if not chunk:
                return []
            self._frames = (_ArrayDecoder if chunk[:1] in b"[{" else SseDecoder)(limit_bytes=self._limit_bytes)
        if isinstance(self._frames, _ArrayDecoder):
            return self._frames.feed(chunk)
        return [event.data for event in self._frames.feed(chunk)]

    def finish(self) -> list[bytes]:
        """What an unterminated last event holds."""
        if isinstance(self._frames, SseDecoder):
            return [event.data for event in self._frames.finish()]
        return []


class _ArrayDecoder:
    """The objects of an array, by counting braces outside of strings."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._rest = b""
        self._seen = 0
        self._depth = 0
        self._is_text = False

    def feed(self, chunk: bytes) -> list[bytes]:
        data = self._rest + chunk if self._rest else chunk
        found: list[bytes] = []
        start = 0
        position = self._seen
        while (mark := _MARKS.search(data, position)) is not None:
            position = mark.end()
            sign = mark[0]
            if self._is_text:
                if sign == b"\\":
                    if position == len(data):
                        position -= 1  # what it escapes has not come yet
                        break
                    position += 1
                elif sign == b'"':
                    self._is_text = False
            elif sign == b'"':
                self._is_text = True
            elif sign == b"{":
                self._depth += 1
            elif sign == b"}":
                self._depth -= 1
                if self._depth == 0:
                    found.append(data[start:position].lstrip(_BETWEEN))
                    start = position
        else:
            position = len(data)
        self._rest = data[start:]
        self._seen = position - start
        if len(self._rest) > self._limit_bytes:
            raise Malformed(f"one event of the stream is larger than {self._limit_bytes} bytes")
        return found
