"""Watches the bytes of an Ollama stream that passes through, and changes no line; what follows its end is cut off.

Counts on nothing about how the bytes are cut, nor on which call the stream answers.
"""

from typing import Any, Literal

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
    says `done` is the end mark. Some servers send two, the counts in the second: one without counts is held back until the
    next, or the end, has come, so a client gets one. `error` is the first error inside the stream. `show_usage` changes
    nothing: the counts are part of the end.
    """

    __slots__ = ("_held", "_provider", "_tail", "done", "error", "finished", "has_content", "pieces", "usage")

    def __init__(self, *, show_usage: bool = True, provider: str = "") -> None:
        self._provider = provider
        self._tail = b""
        self._held = b""
        self.usage: Usage | None = None
        self.done = False
        self.has_content = False
        self.pieces = 0
        self.finished = False
        self.error: JackfieldError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The whole lines to send on; an unfinished one is held back. Raises Malformed when one grows past MAX_EVENT_BYTES."""
        data = self._tail + chunk if self._tail else chunk
        end = data.rfind(b"\n") + 1
        self._tail = data[end:]
        if len(self._tail) > MAX_EVENT_BYTES:
            raise Malformed(f"one line of the stream is larger than {MAX_EVENT_BYTES} bytes", provider=self._provider or None)
        return self._watched(data[:end] if self._tail else data)

    def finish(self) -> bytes:
        """What was held back: an end without counts, or a last line without its end. Half a line is not sent on."""
        tail, self._tail = self._tail, b""
        out = self._watched(tail + b"\n") if tail.strip() and _is_whole(tail) else b""
        held, self._held = self._held, b""
        return out + held

    def _watched(self, data: bytes) -> bytes:
        if self.done:
            return b""
        out: list[bytes] = []
        for line in data.splitlines(keepends=True):
            if not line.strip():
                continue  # the official client stumbles over a blank line
            what = self._note(line)
            if what == "bare end":
                self._held = line
            elif what == "end" or not self._held:
                out.append(line)
            if what == "end":
                self._held = b""
                break
        return b"".join(out)

    def _note(self, line: bytes) -> Literal["line", "bare end", "end"]:
        """What the line is: an end is bare without counts."""
        try:
            seen = _look(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            told = f"the stream holds a line that cannot be read: {error}"
            self.error = self.error or Malformed(told, provider=self._provider or None)
            return "line"
        if seen.is_content and not self.finished:
            self.has_content = True
            self.pieces += 1
        if seen.error is not None and self.error is None:
            self.error = in_band_error(answer_object(line, self._provider), provider=self._provider)
        if seen.done is not True:
            return "line"
        self.finished = True
        self.done = isinstance(seen.prompt_eval_count, int) or isinstance(seen.eval_count, int)
        self.usage = read_usage({"prompt_eval_count": seen.prompt_eval_count, "eval_count": seen.eval_count})
        return "end" if self.done else "bare end"


def _is_whole(line: bytes) -> bool:
    try:
        _look(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
