"""A Gemini stream in its other form, one JSON array that grows, made from the events that a source was asked for.

Knows how the array is written and no more; what its objects mean is gemini_relay.py's.
"""

from jackfield.core.errors import JackfieldError
from jackfield.dialects.gemini_errors import encode_error
from jackfield.dialects.gemini_relay import StreamRelay

END = b"\n]"


class ArrayWriter:
    """Puts objects into an array. `has_begun`: its bracket is open."""

    __slots__ = ("has_begun",)

    def __init__(self) -> None:
        self.has_begun = False

    def write(self, data: bytes) -> bytes:
        head = b",\n" if self.has_begun else b"["
        self.has_begun = True
        return head + data

    def error(self, error: JackfieldError) -> bytes:
        """The in-band error and the end of the array. Nothing follows."""
        return self.write(encode_error(error)) + END


class ArrayRelay(StreamRelay):
    """Gives an array where events come in. What comes before the first content is held back until then."""

    __slots__ = ("_held", "writer")

    def __init__(self, *, show_usage: bool = True, provider: str = "") -> None:
        super().__init__(show_usage=show_usage, provider=provider)
        self._held: list[bytes] = []
        self.writer = ArrayWriter()

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now. Raises Malformed when one object grows past sse.MAX_EVENT_BYTES."""
        for data in self._frames.feed(chunk):
            self.note(data)
        return self._given() if self.has_content else b""

    def finish(self) -> bytes:
        super().finish()
        return self._given()

    def note(self, data: bytes) -> None:
        """Keeps what is well: an error, or an object that was cut, is told by whoever ends the array."""
        super().note(data)
        if self.error is None and data.strip():
            self._held.append(data)

    def _given(self) -> bytes:
        held, self._held = self._held, []
        return b"".join(map(self.writer.write, held))
