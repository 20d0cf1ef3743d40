"""Watches the bytes of a Gemini stream that passes through and changes none of them.

Counts on nothing about how the bytes are cut, nor on which of the two forms they have.
"""

import re
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.usage import Usage
from jackfield.dialects.gemini_errors import blocked, in_band_error
from jackfield.dialects.gemini_events import read_reason
from jackfield.dialects.gemini_framing import ObjectDecoder
from jackfield.dialects.gemini_usage import read_usage
from jackfield.dialects.json_answer import answer_object

_NEWS = re.compile(rb'"(?:finishReason|error|promptFeedback)"')
_EVENT_ENDS = (b"}\r\n\r\n", b"}\n\n")


class _Part(msgspec.Struct, gc=False):
    text: str | None = None
    functionCall: Any = None  # noqa: N815 - Google's names
    inlineData: Any = None  # noqa: N815
    executableCode: Any = None  # noqa: N815


def _is_content(part: _Part) -> bool:
    return bool(part.text or part.functionCall or part.inlineData or part.executableCode)


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815
    finishMessage: Any = None  # noqa: N815


class _Answer(msgspec.Struct, gc=False):
    candidates: list[_Candidate] | None = None
    usageMetadata: Any = None  # noqa: N815
    promptFeedback: Any = None  # noqa: N815
    error: Any = None


_look = msgspec.json.Decoder(_Answer).decode


class StreamRelay:
    """`feed` every chunk and send on what it returns; `finish` once upstream has ended; then read the attributes.

    `done` stays false: this wire has no end mark, its end is the end of the bytes. `has_content` turns true with the first
    text, thought, call or picture, `pieces` counts the objects with any; `error` is the first error inside the stream.
    `show_usage` changes nothing.
    """

    __slots__ = ("_frames", "_is_between", "_provider", "done", "error", "finished", "has_content", "pieces", "usage")

    def __init__(self, *, show_usage: bool = True, provider: str = "") -> None:
        self._provider = provider
        self._frames = ObjectDecoder()
        self._is_between = False
        self.usage: Usage | None = None
        self.done = False
        self.finished = False
        self.has_content = False
        self.pieces = 0
        self.error: JackfieldError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The same bytes. Raises Malformed when one object grows past sse.MAX_EVENT_BYTES.

        Whole events without news are not read once there is content: the last object counts all tokens once more.
        """
        is_whole = chunk.endswith(_EVENT_ENDS)
        if self.has_content and self._is_between and is_whole and chunk.startswith(b"data: {") and not _NEWS.search(chunk):
            self.pieces += 1 + chunk.count(b"\ndata: {")
            return chunk
        self._is_between = is_whole
        for data in self._frames.feed(chunk):
            self.note(data)
        return chunk

    def finish(self) -> bytes:
        """Nothing is ever held back."""
        was = self.error
        for data in self._frames.finish():
            self.note(data)
        if not self.finished and isinstance(self.error, Malformed):
            self.error = was  # half an object: the stream was cut inside it
        return b""

    def note(self, data: bytes) -> None:
        """Looks at one whole object."""
        if not data.strip():
            return
        try:
            answer = _look(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            told = f"the stream holds an object that cannot be read: {error}"
            self.error = self.error or Malformed(told, provider=self._provider or None)
            return
        self.usage = read_usage(answer.usageMetadata) or self.usage
        if answer.error is not None and self.error is None:
            self.error = in_band_error(answer_object(data, self._provider), provider=self._provider)
        if answer.candidates:
            self._note_candidate(answer.candidates[0])
        elif answer.promptFeedback is not None:
            self.error = self.error or blocked(answer.promptFeedback, provider=self._provider)

    def _note_candidate(self, candidate: _Candidate) -> None:
        if candidate.content is not None and candidate.content.parts and any(map(_is_content, candidate.content.parts)):
            self.has_content = True
            self.pieces += 1
        if candidate.finishReason is not None:
            try:
                read_reason(candidate.finishReason, candidate.finishMessage, called=False, provider=self._provider)
            except Malformed as error:
                self.error = self.error or error
            else:
                self.finished = True
