"""Gemini streams: bytes to core events and core events to bytes, as server-sent events or as one JSON array.

Knows how a stream begins, goes on and ends; what an answer object means is in gemini_events.py. A tool call goes out whole,
when its last piece has come, because this dialect has no half calls.
"""

from collections.abc import Sequence
from typing import Any, Literal, assert_never

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verdict,
    VoiceEnded,
    VoiceStarted,
)
from jackfield.core.messages import ReasoningPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects import sse
from jackfield.dialects.framed import FramedDecoder
from jackfield.dialects.gemini_array import END, ArrayWriter
from jackfield.dialects.gemini_errors import encode_error
from jackfield.dialects.gemini_events import AnswerReader
from jackfield.dialects.gemini_framing import ObjectDecoder
from jackfield.dialects.gemini_logprobs import encode_logprobs
from jackfield.dialects.gemini_reply import candidate_end, top_extra
from jackfield.dialects.gemini_turns import answer_part, kept_parts
from jackfield.dialects.gemini_usage import encode_usage
from jackfield.dialects.json_answer import answer_object, arguments_object
from jackfield.dialects.json_events import around_text
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
Form = Literal["sse", "array"]


class StreamDecoder(FramedDecoder[bytes]):
    """Feed the bytes of one stream as they come, in either form; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    `model` is told by `Started` where the source names none.
    """

    def __init__(self, provider: str = "", *, model: str = "") -> None:
        super().__init__(ObjectDecoder())
        self._provider = provider
        self._reader = AnswerReader(provider, model)

    def _bytes_ended(self, events: list[Event]) -> None:
        events += self._reader.end()

    def _take(self, frame: bytes, events: list[Event]) -> None:
        if frame.strip():
            self._reader.take(answer_object(frame, self._provider), events)


class StreamEncoder:
    """One answer's events as the bytes that Google's clients read. `created` is not told on this wire.

    `encode` gives b"" for events that have no bytes of their own. After the last event call `end`; after a fault call `error`
    instead and close. `include_usage` only says whether the last object counts tokens, as Google's always does.
    """

    def __init__(self, *, id: str, created: int, model: str, include_usage: bool = True, form: Form = "sse") -> None:
        self._same: Object = {"modelVersion": model, "responseId": id}
        self._include_usage = include_usage
        self._form = form
        self.writer = ArrayWriter()
        self._usage: Usage | None = None
        self._started: dict[int, PartStarted] = {}
        self._arguments: dict[int, list[str]] = {}
        self._unsigned: set[int] = set()
        self._unreadable = ""
        self._around: dict[bool, tuple[bytes, bytes]] = {}

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta and event.index not in self._unsigned and not event.logprobs:
            return self._plain(event.text, is_thought=False)
        match event:
            case Started():
                return b""
            case PartStarted(index):
                self._started[index] = event
                if event.extra:
                    self._unsigned.add(index)
                if event.kind == "tool_call":
                    self._arguments[index] = []
                return b""
            case TextDelta(index, text, logprobs):
                return self._text(index, text, logprobs)
            case ReasoningDelta(index, text, signature):
                return self._reasoning(index, text, signature)
            case ToolCallDelta(index, arguments):
                self._arguments[index].append(arguments)
                return b""
            case PartEnded(index):
                return self._call(index) if index in self._arguments else self._signature(index)
            case UsageReported(usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finished(event)
            case VoiceStarted() | VoiceEnded() | Verdict():
                return b""
            case _:
                assert_never(event)

    def restarted(self, discard_chars: int) -> bytes:
        """An answer that says nothing, whose field `jackfield` says that all text so far is void: a client discards it."""
        return self._object([], {}, {"jackfield": {"restarted": True, "discard_chars": discard_chars}})

    def end(self) -> bytes:
        """What closes the stream: nothing for events, a bracket for an array."""
        if self._form == "sse":
            return b""
        return END if self.writer.has_begun else b"[]"

    def error(self, error: JackfieldError) -> bytes:
        """The in-band error. Nothing follows it."""
        return encode_stream_error(error) if self._form == "sse" else self.writer.error(error)

    def _text(self, index: int, text: str, logprobs: tuple[Any, ...]) -> bytes:
        if not text and not logprobs:
            return b""
        # A signature goes out once, with the first piece of its part.
        extra = self._started[index].extra if index in self._unsigned else {}
        self._unsigned.discard(index)
        item = answer_part(TextPart(text, extra))
        return self._object([item], {"logprobsResult": encode_logprobs(logprobs)} if logprobs else {})

    def _plain(self, text: str, *, is_thought: bool) -> bytes:
        """Text alone: in a stream all such objects of one kind differ in it only, so what is around it is written once."""
        if not text:
            return b""
        around = self._around.get(is_thought)
        if around is None:
            thought = {"thought": True} if is_thought else {}
            before, after = around_text(lambda told: self._data([{"text": told, **thought}], {}))
            around = (before, after) if self._form == "array" else (b"data: " + before, after + b"\n\n")
            self._around[is_thought] = around
        before, after = around
        written = before + _encode(text) + after
        return written if self._form == "sse" else self.writer.write(written)

    def _reasoning(self, index: int, text: str, signature: str | None) -> bytes:
        if self._started[index].is_redacted or not (text or signature):
            return b""
        if signature is None:
            return self._plain(text, is_thought=True)
        return self._object([answer_part(ReasoningPart(text, signature))], {})

    def _signature(self, index: int) -> bytes:
        """A text part that holds nothing but a signature."""
        started = self._started[index]
        if index not in self._unsigned or started.kind != "text":
            return b""
        return self._object([answer_part(TextPart("", started.extra))], {})

    def _call(self, index: int) -> bytes:
        started, arguments = self._started[index], "".join(self._arguments.pop(index))
        if arguments_object(arguments) is None:
            self._unreadable = self._unreadable or started.name
            return b""
        return self._object([answer_part(ToolCallPart(started.id, started.name, arguments, started.extra))], {})

    def _finished(self, event: Finished) -> bytes:
        candidate = candidate_end(event.reason, event.raw_reason, event.extra, self._unreadable)
        top = top_extra(event.extra)
        if self._usage is not None and self._include_usage:
            top["usageMetadata"] = encode_usage(self._usage)
        return self._object(kept_parts(event.message_extra), candidate, top)

    def _object(self, parts: Sequence[Object | None], candidate: Object, top: Object | None = None) -> bytes:
        return self._framed(self._data(parts, candidate, top))

    def _data(self, parts: Sequence[Object | None], candidate: Object, top: Object | None = None) -> bytes:
        # Google's own clients take a turn without parts for a broken one and forget all of it.
        content = {"parts": [part for part in parts if part is not None] or [{"text": ""}], "role": "model"}
        return _encode({"candidates": [{"content": content, "index": 0, **candidate}], **(top or {}), **self._same})

    def _framed(self, data: bytes) -> bytes:
        return b"data: %b\n\n" % data if self._form == "sse" else self.writer.write(data)


def encode_stream_error(error: JackfieldError) -> bytes:
    """An error as an event of a stream that has already begun, also one that was relayed. The stream must end after it."""
    return sse.encode(encode_error(error))
