"""Newline-delimited JSON: bytes to lines and back, cut anywhere.

Knows line ends only; what a line means is the dialect's business. Lines stay bytes, because JSON decoders take bytes and a cut
may fall inside a character.
"""

from jackfield.core.errors import Malformed
from jackfield.dialects.sse import MAX_EVENT_BYTES

_BOM = b"\xef\xbb\xbf"


class NdjsonDecoder:
    """Feed bytes as they arrive, get whole lines without their ends; blank ones are dropped. `limit_bytes` bounds one line."""

    def __init__(self, *, limit_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._is_first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes. Raises Malformed when a line grows past the limit."""
        first, end, more = chunk.partition(b"\n")
        if first:
            self._open.append(first)
            self._open_bytes += len(first)
        lines = [] if not end else [self._taken(), *more.split(b"\n")]
        if end and lines[-1]:
            self._open.append(lines[-1])
            self._open_bytes += len(lines[-1])
        if self._open_bytes > self._limit_bytes or any(len(line) > self._limit_bytes for line in lines):
            raise Malformed(f"one line of the stream is larger than {self._limit_bytes} bytes")
        return self._told(lines[:-1])

    def finish(self) -> list[bytes]:
        """A last line without its end. The decoder is spent after it."""
        return self._told([self._taken()])

    def _taken(self) -> bytes:
        line = b"".join(self._open)
        self._open = []
        self._open_bytes = 0
        return line

    def _told(self, lines: list[bytes]) -> list[bytes]:
        told = [line for line in map(bytes.strip, lines) if line]
        if told and self._is_first:
            self._is_first = False
            told[0] = told[0].removeprefix(_BOM)
        return told


def encode(data: bytes) -> bytes:
    """One line's bytes. `data` is JSON as an encoder writes it: without line ends."""
    return data + b"\n"
