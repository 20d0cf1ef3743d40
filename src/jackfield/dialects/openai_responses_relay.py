"""Requests and streams of the Responses API that pass through: only the model is replaced, no byte of a stream is changed.

Counts on nothing about how the bytes of a stream are cut; every event is glanced at, only the last one is read.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.usage import Usage
from jackfield.dialects import sse
from jackfield.dialects.openai_responses_reply import failure, read_reason, response_error
from jackfield.dialects.openai_responses_usage import read_usage

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_NEWS = frozenset(("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"))
_SILENT = frozenset(("response.created", "response.in_progress", "response.queued"))
_SAID = (".delta", "output_text.done", "refusal.done", "_arguments.done", "partial_image", "annotation.added")


class _Glance(msgspec.Struct, gc=False):
    type: Any = None
    error: Any = None
    item: Any = None


_glance = msgspec.json.Decoder(_Glance).decode


def splice_request(fields: Mapping[str, msgspec.Raw], *, model: str | None, stream: bool) -> bytes:
    """The body to send; `model` None keeps the client's. `stream` says what `fields` already ask for."""
    return _encode(fields if model is None else {**fields, "model": msgspec.Raw(_encode(model))})


class StreamRelay:
    """`feed` every chunk and send on what it returns; `finish` once upstream has ended; then read the attributes.

    `has_content` turns true with the first words or tool call; `pieces` counts the events with any. `error` is the first error
    in the stream, or Malformed for an event that cannot be read. There is no end mark: `done` and `finished` come with the
    closing event.
    """

    __slots__ = ("_provider", "_sse", "done", "error", "finished", "has_content", "pieces", "usage")

    def __init__(self, *, show_usage: bool = True, provider: str = "") -> None:
        self._provider = provider
        self._sse = sse.SseDecoder()
        self.usage: Usage | None = None
        self.done = False
        self.finished = False
        self.has_content = False
        self.pieces = 0
        self.error: JackfieldError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What to send on now: all of it. Raises Malformed when one event grows past sse.MAX_EVENT_BYTES."""
        for event in self._sse.feed(chunk):
            self._look(event, is_whole=True)
        return chunk

    def finish(self) -> bytes:
        for event in self._sse.finish():
            self._look(event, is_whole=False)
        return b""

    def _look(self, event: sse.SseEvent, *, is_whole: bool) -> None:
        data = event.data.strip()
        if not data or data == b"[DONE]":
            return
        try:
            seen = _glance(data)
            kind = seen.type if isinstance(seen.type, str) else event.event or ""
            if kind in _NEWS or seen.error:
                self._read(kind, _decode(data))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if is_whole and self.error is None:
                self.error = Malformed(
                    f"the stream holds an event that cannot be read: {error}", provider=self._provider or None
                )
            return
        if kind not in _SILENT and (kind.endswith(_SAID) or _is_call(seen.item)):
            self.has_content = True
            self.pieces += 1

    def _read(self, kind: str, value: dict[str, Any]) -> None:
        if kind == "error" or "response" not in value:
            self.error = self.error or failure(value if value.get("error") else {"error": value}, self._provider)
            return
        response = value["response"] if isinstance(value["response"], dict) else {}
        if isinstance(response.get("usage"), dict):
            self.usage = read_usage(response["usage"])
        try:
            read_reason(response, called=False, provider=self._provider)
            error = response_error(response, self._provider)
        except JackfieldError as broken:
            error = response_error(response, self._provider) or broken
        if error is not None:
            self.error = self.error or error
        else:
            self.done = self.finished = True


def _is_call(item: Any) -> bool:
    """Whether an item that was added shows that the answer began: all but an empty message or reasoning."""
    return isinstance(item, dict) and item.get("type") not in ("message", "reasoning", None)
