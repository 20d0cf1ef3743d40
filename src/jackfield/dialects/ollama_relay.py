"""Watches the bytes of an Ollama stream that passes through, and changes none of them; what follows its end is cut off.

Counts on nothing about how the bytes are cut, nor on which call the stream answers.
"""

from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.usage import Usage
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.ollama_errors import in_band_error
from jackfield.dialects.ollama_usage import read_usage
from jackfield.dialects.sse import MAX_EVENT_BYTES


class _Said(msgspec.Struct, gc=False):
    content: Any = None
    thinking: Any = None
    tool_calls: Any = None
    images: Any = None


class _Line(msgspec.Struct, gc=False):
    message: _Said | None = None
    response: Any = None
    thinking: Any = None
    tool_calls: Any = None
    image: Any = None
    done: Any = None
    error: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None

    @property
    def is_content(self) -> bool:
        said = self.message
        if said is not None and (said.content or said.thinking or said.tool_calls or said.images):
            return True
        return bool(self.response or self.thinking or self.tool_calls or self.image)


_look = msgspec.json.Decoder(_Line).decode


class StreamRelay:
    """`feed` every chunk and send on what it returns; `finish` once upstream has ended; then read the attributes.

    `pieces` counts the lines with text, thought, call or picture, and `has_content` turns true with the first. The line that
    says `done` is the end mark, so `done` and `finished` are one; a second one, as some servers send, is cut off. `error` is
    the first error inside the stream. `show_usage` changes nothing: the counts are part of the end.
    """

    __slots__ = ("_provider", "_tail", "done", "error", "finished", "has_content", "pieces", "usage")

    def __init__(self, *, show_usage: bool = True, provider: str = "") -> None:
        self._provider = provider
        self._tail = b""
        self.usage: Usage | None = None
        self.done = False
        self.has_content = False
        self.pieces = 0
        self.finished = False
        self.error: JackfieldError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The whole lines to send on; an unfinished one is held back. Raises Malformed when one grows past MAX_EVENT_BYTES."""
        if self.done:
            return b""
        data = self._tail + chunk if self._tail else chunk
        end = data.rfind(b"\n") + 1
        self._tail = data[end:]
        if len(self._tail) > MAX_EVENT_BYTES:
            raise Malformed(f"one line of the stream is larger than {MAX_EVENT_BYTES} bytes", provider=self._provider or None)
        return self._watched(data[:end] if self._tail else data)

    def finish(self) -> bytes:
        """A last line that upstream left without its end, if it is whole; half a line is not sent on."""
        tail, self._tail = self._tail, b""
        if self.done or not tail.strip() or not _is_whole(tail):
            return b""
        return self._watched(tail) + b"\n"

    def _watched(self, data: bytes) -> bytes:
        at = 0
        for line in data.splitlines(keepends=True):
            at += len(line)
            if line.strip():
                self._note(line)
            if self.done:
                return data[:at]
        return data

    def _note(self, line: bytes) -> None:
        try:
            seen = _look(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            told = f"the stream holds a line that cannot be read: {error}"
            self.error = self.error or Malformed(told, provider=self._provider or None)
            return
        if seen.is_content:
            self.has_content = True
            self.pieces += 1
        if seen.error is not None and self.error is None:
            self.error = in_band_error(answer_object(line, self._provider), provider=self._provider)
        if seen.done is True:
            self.done = self.finished = True
            counts = {"prompt_eval_count": seen.prompt_eval_count, "eval_count": seen.eval_count}
            self.usage = read_usage(counts)


def _is_whole(line: bytes) -> bool:
    try:
        _look(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
