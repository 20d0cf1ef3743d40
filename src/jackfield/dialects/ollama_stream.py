"""Ollama streams: lines of JSON to core events and core events to lines.

Knows how a stream begins, goes on and ends; what an answer object means is in ollama_events.py. A tool call goes out whole,
when its last piece has come, because this dialect has no half calls.
"""

from collections.abc import Mapping
from typing import Any, assert_never

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
from jackfield.core.messages import ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects import ndjson
from jackfield.dialects.framed import FramedDecoder
from jackfield.dialects.json_events import around_text
from jackfield.dialects.json_value import Object
from jackfield.dialects.ollama_errors import encode_stream_error
from jackfield.dialects.ollama_events import AnswerReader
from jackfield.dialects.ollama_reply import answer_end, encode_call, line_object, written_time
from jackfield.dialects.ollama_request import Form

_encode = msgspec.json.Encoder().encode
KEEP_ALIVE: Mapping[Form, bytes] = {
    "chat": b'{"message":{"role":"assistant","content":""},"done":false}\n',
    "generate": b'{"response":"","done":false}\n',
}
"""A line that says nothing: this wire has no comments, and blank lines break clients."""


class StreamDecoder(FramedDecoder[bytes]):
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    `model` is told by `Started` where the source names none.
    """

    def __init__(self, provider: str = "", *, model: str = "") -> None:
        super().__init__(ndjson.NdjsonDecoder())
        self._provider = provider
        self._reader = AnswerReader(provider, model)

    def _bytes_ended(self, events: list[Event]) -> None:
        events += self._reader.end()

    def _take(self, frame: bytes, events: list[Event]) -> None:
        self._reader.take(line_object(frame, self._provider), events)


class StreamEncoder:
    """One answer's events as the lines that Ollama's clients read. `id` is not told on this wire.

    `encode` gives b"" for events that have no bytes of their own. After the last event call `end`; after a fault call `error`
    instead and close: a stream that failed never looks finished. `form` is the call that is answered.
    """

    def __init__(self, *, id: str, created: int, model: str, include_usage: bool = True, form: Form = "chat") -> None:
        self._same: Object = {"model": model, "created_at": written_time(created)}
        self._include_usage = include_usage
        self._form = form
        self._usage: Usage | None = None
        self._calls: dict[int, PartStarted] = {}
        self._arguments: dict[int, list[str]] = {}
        self._redacted: set[int] = set()
        self._around: dict[str, tuple[bytes, bytes]] = {}

    def encode(self, event: Event) -> bytes:
        """Raises ToolCallParseError for a call whose arguments are no JSON object, not even repaired."""
        if type(event) is TextDelta and not event.logprobs:
            return self._plain("content", event.text)
        match event:
            case Started() | VoiceStarted() | VoiceEnded() | Verdict():
                return b""
            case PartStarted(index):
                if event.kind == "tool_call":
                    self._calls[index] = event
                    self._arguments[index] = []
                elif event.is_redacted:
                    self._redacted.add(index)
                return b""
            case TextDelta(_, text, logprobs):
                return self._said(text, {}, {"logprobs": list(logprobs)} if logprobs else {}) if text or logprobs else b""
            case ReasoningDelta(index, text):
                return self._plain("thinking", text) if index not in self._redacted else b""
            case ToolCallDelta(index, arguments):
                self._arguments[index].append(arguments)
                return b""
            case PartEnded(index):
                return self._called(index) if index in self._arguments else b""
            case UsageReported(usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finished(event)
            case _:
                assert_never(event)

    def end(self) -> bytes:
        """Nothing: the line that finishes the answer is its end mark."""
        return b""

    def error(self, error: JackfieldError) -> bytes:
        """The in-band error. Nothing follows it."""
        return encode_stream_error(error)

    def restarted(self, discard_chars: int) -> bytes:
        """A line that says that all text so far, `discard_chars` characters, is void: the answer begins anew after it."""
        return self._said("", {}, {"jackfield": {"restarted": True, "discard_chars": discard_chars}})

    def _plain(self, name: str, text: str) -> bytes:
        """`content` or `thinking` alone: in a stream such lines differ in it only, so what is around it is written once."""
        if not text:
            return b""
        around = self._around.get(name)
        if around is None:
            around = self._around[name] = around_text(
                lambda told: self._said(told, {}) if name == "content" else self._said("", {name: told})
            )
        before, after = around
        return before + _encode(text) + after

    def _called(self, index: int) -> bytes:
        started, arguments = self._calls[index], "".join(self._arguments.pop(index))
        number = list(self._calls).index(index)
        call = encode_call(ToolCallPart(started.id, started.name, arguments, started.extra), number)
        return self._said("", {"tool_calls": [call]})

    def _finished(self, event: Finished) -> bytes:
        usage = self._usage if self._include_usage else None
        left = event.message_extra if self._form == "chat" else {}
        return self._said("", left, answer_end(event.reason, event.raw_reason, usage, event.extra))

    def _said(self, text: str, more: Object, top: dict[str, Any] | None = None) -> bytes:
        if self._form == "chat":
            said: Object = {"message": {"role": "assistant", "content": text, **more}}
        else:
            said = {"response": text, **more}
        return ndjson.encode(_encode({**self._same, **said, "done": False, **(top or {})}))
