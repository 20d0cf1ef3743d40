"""Watches the bytes of a stream of chat or older completions that passes through, and changes none of them but one.

Sends on what came in, event by event; takes out only the usage chunk that the client did not ask for. Counts on nothing about
how the bytes are cut. The steady state, one whole event of text without other news, costs about half a microsecond: it is
glanced at with a decoder that skips all else.
"""

import re
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken
from jackfield.core.usage import Usage
from jackfield.dialects.openai_chat_reply import read_reason
from jackfield.dialects.openai_chat_usage import read_usage
from jackfield.dialects.openai_errors import in_band_error
from jackfield.dialects.sse import MAX_EVENT_BYTES, SseDecoder

_EVENT_END = re.compile(rb"\n\r?\n")
_decode = msgspec.json.Decoder().decode


class _GlanceDelta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Glance(msgspec.Struct, gc=False):
    delta: _GlanceDelta | None = None
    text: str | None = None
    finish_reason: Any = None
    error: Any = None


class _GlanceChunk(msgspec.Struct, gc=False):
    choices: list[_Glance] | None = None
    usage: Any = None
    error: Any = None


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: Any = None
    tool_calls: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    function_call: Any = None
    audio: Any = None

    @property
    def is_content(self) -> bool:
        spoken = self.content or self.refusal or self.tool_calls
        return bool(spoken or self.reasoning_content or self.reasoning or self.function_call or self.audio)


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    text: Any = None
    finish_reason: Any = None
    error: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None


_glance = msgspec.json.Decoder(_GlanceChunk).decode
_look = msgspec.json.Decoder(_Chunk).decode


def _count_quiet(chunk: bytes) -> int:
    """How many events `chunk` holds, if all are whole, of the usual form, with content and no usage, error or end; else 0."""
    if chunk.find(b"\n") == len(chunk) - 2:
        return _is_quiet_event(chunk)
    events = chunk[:-2].split(b"\n\n")
    return len(events) if all(map(_is_quiet_event, events)) else 0


def _is_quiet_event(event: bytes) -> bool:
    if not event.startswith(b"data: {"):
        return False
    try:
        seen = _glance(event[6:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    if seen.usage is not None or seen.error or not seen.choices:
        return False
    choice = seen.choices[0]
    delta = choice.delta
    if choice.finish_reason is not None or choice.error:
        return False
    if delta is None:
        return bool(choice.text)
    if delta.content:
        return True
    return bool(delta.reasoning_content or delta.reasoning or delta.tool_calls)


class StreamRelay:
    """`feed` every chunk and send on what it returns; `finish` once upstream has ended; then read the attributes.

    `has_content` turns true with the first text, reasoning, refusal or tool call: the point after which a fault can no longer
    be hidden. `pieces` counts the events with any; a heartbeat, a role or an empty delta is none. `error` is the first in-band
    error, or Malformed for an event that cannot be read; its bytes are passed on like all others.
    """

    __slots__ = ("_provider", "_show_usage", "_tail", "done", "error", "finished", "has_content", "pieces", "usage")

    def __init__(self, *, show_usage: bool, provider: str = "") -> None:
        self._show_usage = show_usage
        self._provider = provider
        self._tail = b""
        self.usage: Usage | None = None
        self.done = False
        self.has_content = False
        self.pieces = 0
        self.finished = False
        self.error: JackfieldError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The whole events to send on. An unfinished one is held back: if it is never finished, what follows can still be read.

        Raises Malformed when one event grows past sse.MAX_EVENT_BYTES.
        """
        if self.has_content and not self._tail and chunk.endswith(b"}\n\n") and (pieces := _count_quiet(chunk)):
            self.pieces += pieces
            return chunk
        return self._walk(chunk)

    def finish(self) -> bytes:
        """What was held back when upstream ended without ending its last event."""
        tail, self._tail = self._tail, b""
        return b"" if not tail or self._inspect(tail, is_whole=False) else tail

    def _walk(self, chunk: bytes) -> bytes:
        data = self._tail + chunk if self._tail else chunk
        out: list[bytes] = []
        start = 0
        for match in _EVENT_END.finditer(data, max(0, len(self._tail) - 2)):
            end = match.end()
            if not self._inspect(data[start:end], is_whole=True):
                out.append(data[start:end])
            start = end
        self._tail = data[start:]
        if len(self._tail) > MAX_EVENT_BYTES:
            raise Malformed(f"one event of the stream is larger than {MAX_EVENT_BYTES} bytes", provider=self._provider)
        return out[0] if len(out) == 1 else b"".join(out)

    def _inspect(self, event: bytes, *, is_whole: bool) -> bool:
        """Takes note of one event; true if it is the usage chunk and the client is not to see it."""
        end = event.find(b"\n")
        if event.startswith(b"data: ") and (end == len(event) - 2 or (end < 0 and b"\r" not in event)):
            return self._inspect_data(event[6:].strip(), is_whole, named_error=False)
        decoder = SseDecoder()
        hidden = [
            self._inspect_data(item.data.strip(), is_whole, named_error=item.event == "error")
            for item in (*decoder.feed(event), *decoder.finish())
        ]
        return bool(hidden) and all(hidden)

    def _inspect_data(self, data: bytes, is_whole: bool, *, named_error: bool) -> bool:
        if data == b"[DONE]":
            self.done = True
            return False
        if not data:
            return False
        try:
            chunk = _look(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if is_whole and self.error is None:
                self.error = Malformed(
                    f"the stream holds an event that cannot be read: {error}", provider=self._provider or None
                )
            return False
        if isinstance(chunk.usage, dict):
            self.usage = read_usage(chunk.usage)
        if chunk.error or chunk.object == "error" or named_error or (chunk.choices and chunk.choices[0].error):
            self._note_error(data, named_error)
        if chunk.choices:
            self._note_choice(chunk.choices[0])
        return not self._show_usage and chunk.choices == [] and isinstance(chunk.usage, dict) and not chunk.error

    def _note_choice(self, choice: _Choice) -> None:
        if choice.finish_reason is not None:
            self._note_reason(choice.finish_reason)
        if choice.text or (choice.delta is not None and choice.delta.is_content):
            self.has_content = True
            self.pieces += 1

    def _note_reason(self, reason: Any) -> None:
        """A reason that says the answer was given up makes it broken, not finished."""
        try:
            read_reason(reason, called=False, provider=self._provider)
        except StreamBroken as error:
            self.error = self.error or error
        else:
            self.finished = True

    def _note_error(self, data: bytes, named_error: bool) -> None:
        if self.error is not None:
            return
        value = _decode(data)
        if named_error and "error" not in value:
            value = {"error": value}
        choices = value.get("choices")
        inner = choices[0] if isinstance(choices, list) and choices else None
        self.error = in_band_error(value, provider=self._provider) or in_band_error(inner, provider=self._provider)
