"""Chat Completions streams: SSE bytes to core events and core events to SSE bytes.

Knows the chunk object. Part boundaries, which the wire does not mark, are found here: a text, refusal or reasoning part ends
where another kind begins, tool calls stay open until the end because their deltas may alternate. The end is told only at
[DONE] or at the end of the bytes, since usage and other leftovers come after the finish reason.
"""

from typing import Any, Literal, assert_never

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartKind,
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
from jackfield.core.usage import Usage
from jackfield.dialects import sse
from jackfield.dialects.framed import FramedDecoder
from jackfield.dialects.json_value import Object, left, present, rest, with_extra
from jackfield.dialects.open_parts import OpenParts
from jackfield.dialects.openai_chat_messages import SIGNATURE_FIELD
from jackfield.dialects.openai_chat_repeat import FILLER_FIELD, Repeat, repeat_of
from jackfield.dialects.openai_chat_reply import (
    TEXT_FIELDS,
    WIRE_REASONING_FIELD,
    encode_reason,
    logprobs_object,
    made_call_id,
    read_arguments,
    read_content,
    read_logprobs,
    read_reason,
    read_reasoning,
    reply_extra,
    split_extra,
)
from jackfield.dialects.openai_chat_usage import encode_usage, read_usage
from jackfield.dialects.openai_errors import encode_error, in_band_error

DONE = b"[DONE]"
DONE_EVENT = sse.encode(DONE)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_CHUNK_FIELDS = frozenset(("id", "object", "created", "model", "choices", "usage", "error", FILLER_FIELD))
_CHOICE_FIELDS = frozenset(("index", "delta", "message", "finish_reason", "logprobs", "error"))
_DELTA_FIELDS = ("role", "content", "refusal", "tool_calls", "function_call", SIGNATURE_FIELD)
_WHOLE_STRINGS = ("id", "type", "format", "role", "name")
_PATIENCE, _EVERY = 4, 16
"""After so many events in a row that were no repeats, only every so many-th is taken for one that may be repeated."""
_EVERY_CHUNK = ("system_fingerprint", "service_tier")

TextKind = Literal["text", "refusal", "reasoning"]


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


class _Call:
    """A tool call on its way. `part` is None until its name is known; until then its arguments are held."""

    __slots__ = ("extra", "held", "id", "is_made", "name", "part")

    def __init__(self, id_: str, made_id: str) -> None:
        self.id = id_ or made_id
        self.is_made = not id_
        self.name = ""
        self.extra: Object = {}
        self.held = ""
        self.part: int | None = None


class StreamDecoder(FramedDecoder[sse.SseEvent]):
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    `reasoning_field` None reads either common name.
    """

    def __init__(self, provider: str = "", *, reasoning_field: str | None = None) -> None:
        self._sse = sse.SseDecoder()
        super().__init__(self._sse)
        self._provider = provider
        self._repeat: Repeat | None = None
        self._others = 0
        self._reasoning_field = reasoning_field
        self._is_started = False
        self._is_ended = False
        self._id = ""
        self._parts = OpenParts()
        self._calls: list[_Call] = []
        self._call_at: dict[int, _Call] = {}
        self._finish_reason: Any = None
        self._usage: Usage | None = None
        self._logprobs: tuple[Any, ...] = ()
        self._early: Object = {}
        self._late_top: Object = {}
        self._late_choice: Object = {}
        self._message_extra: Object = {}

    def _bytes_ended(self, events: list[Event]) -> None:
        if not self._is_ended:
            if self._finish_reason is None:
                raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)
            self._end(events)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises Malformed, or what an error in the stream maps to."""
        if self._repeat is None or not self._sse.is_between:
            return super().feed(data)
        events: list[Event] = []
        taken = self._repeat.take_frames(data, events)
        if not taken:
            return super().feed(data)
        if taken < len(data):
            try:
                events += super().feed(data[taken:])
            except JackfieldError as error:
                self._failure, self._repeat = error, None
        return events

    def _take(self, frame: sse.SseEvent, events: list[Event]) -> None:
        if self._is_ended:
            return
        data = frame.data.strip()
        if self._repeat is not None:
            if frame.event is None and self._repeat.take(data, events):
                return
            if self._repeat.took_any:
                self._others = 0
            self._repeat = None
        if data == DONE:
            self._end(events)
        elif data:
            chunk = self._chunk(data)
            count = len(events)
            self._read(chunk, frame.event, events)
            if len(events) > count:
                self._others += 1
                if self._others < _PATIENCE or self._others % _EVERY == 0:
                    self._repeat = repeat_of(data, chunk, events[-1])

    def _read(self, chunk: Object, name: str | None, events: list[Event]) -> None:
        if name == "error" and "error" not in chunk:
            chunk = {"error": chunk}
        if (error := in_band_error(chunk, provider=self._provider)) is not None:
            raise error
        if isinstance(chunk.get("usage"), dict):
            self._usage = read_usage(chunk["usage"])
        self._note_extra(chunk)
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                self._start(chunk, events)
                self._choice(choice, events)

    def _chunk(self, data: bytes) -> Object:
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"the stream holds an event that is not JSON: {error}", provider=self._provider or None) from None
        if not isinstance(chunk, dict):
            raise Malformed("the stream holds an event that is no JSON object", provider=self._provider or None)
        return chunk

    def _note_extra(self, chunk: Object) -> None:
        extra = left(chunk, _CHUNK_FIELDS)
        if not self._is_started:
            self._early |= extra
        elif extra and extra != self._early:
            self._late_top.update({name: value for name, value in extra.items() if self._early.get(name) != value})

    def _start(self, chunk: Object, events: list[Event]) -> None:
        if self._is_started:
            return
        self._is_started = True
        self._id = _text(chunk.get("id"))
        created = chunk.get("created")
        events.append(
            Started(_text(chunk.get("model")), self._id, created if isinstance(created, int) else 0, dict(self._early))
        )

    def _choice(self, choice: Object, events: list[Event]) -> None:
        if choice.get("error") and (error := in_band_error(choice, provider=self._provider)) is not None:
            raise error
        if choice.get("logprobs") is not None:
            self._logprobs += read_logprobs(choice["logprobs"])
        self._late_choice.update(left(choice, _CHOICE_FIELDS))
        delta = _dict(choice.get("delta")) or _dict(choice.get("message"))
        if delta:
            self._delta(delta, events)
        reason = choice.get("finish_reason")
        if reason is not None:
            read_reason(reason, called=False, provider=self._provider)
            self._finish_reason = reason

    def _delta(self, delta: Object, events: list[Event]) -> None:
        content = delta.get("content")
        if isinstance(content, str) and delta.keys() <= TEXT_FIELDS:
            if content:
                self._say("text", content, events)
            return
        read, reasoning, signature = read_reasoning(delta, self._reasoning_field)
        texts, thoughts, unknown = read_content(content)
        if reasoning or thoughts or signature is not None:
            index = self._parts.grow("reasoning", events)
            events.append(ReasoningDelta(index, reasoning or thoughts, signature))
        for text in texts:
            self._say("text", text, events)
        if refusal := _text(delta.get("refusal")):
            self._say("refusal", refusal, events)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._call(call, events)
        if isinstance(delta.get("function_call"), dict):
            self._call({"index": -1, "function": delta["function_call"]}, events)
        merge_delta(self._message_extra, present(rest(delta, (*_DELTA_FIELDS, *read))))
        if unknown:
            merge_delta(self._message_extra, {"content_parts": unknown})

    def _say(self, kind: TextKind, text: str, events: list[Event]) -> None:
        index = self._parts.grow(kind, events)
        events.append(TextDelta(index, text, self._logprobs))
        self._logprobs = ()

    def _call(self, value: Object, events: list[Event]) -> None:
        function = _dict(value.get("function"))
        name = _text(function.get("name"))
        call = self._call_for(value, name)
        call.name = call.name or name
        arguments = read_arguments(function.get("arguments"))
        if call.part is not None:
            if arguments:
                events.append(ToolCallDelta(call.part, arguments))
            return
        known = ("id", "type", "function", "index")
        call.extra |= present(rest(value, known, {"function": rest(function, ("name", "arguments"))}))
        call.held += arguments
        if call.name:
            self._open_call(call, events)

    def _call_for(self, value: Object, name: str) -> _Call:
        """The call a delta belongs to. Servers that number nothing, or number every call 0, are told apart by id and name."""
        id_ = _text(value.get("id"))
        at = value.get("index")
        if not isinstance(at, int):
            at = len(self._calls) if name or not self._calls else len(self._calls) - 1
        call = self._call_at.get(at)
        is_another = call is not None and bool(id_) and bool(name) and not call.is_made and call.id != id_
        if call is None or is_another:
            call = _Call(id_, made_call_id(self._id, len(self._calls)))
            self._calls.append(call)
            self._call_at[at] = call
        return call

    def _open_call(self, call: _Call, events: list[Event]) -> None:
        call.part = self._parts.take(events)
        events.append(PartStarted(call.part, "tool_call", call.id, call.name, call.extra))
        if call.held:
            events.append(ToolCallDelta(call.part, call.held))

    def _end(self, events: list[Event]) -> None:
        if not self._is_started:
            raise StreamBroken("the stream ended before the answer began", provider=self._provider or None)
        self._is_ended = True
        for call in self._calls:
            if call.part is None:
                self._open_call(call, events)
        if self._logprobs:
            self._say("text", "", events)
        self._parts.close(events)
        events += [PartEnded(call.part) for call in self._calls if call.part is not None]
        if self._usage is not None:
            events.append(UsageReported(self._usage))
        reason, raw = read_reason(self._finish_reason, called=bool(self._calls), provider=self._provider)
        events.append(Finished(reason, raw, reply_extra(self._late_top, self._late_choice), self._message_extra))


def merge_delta(into: Object, delta: Object) -> None:
    """Adds one delta's leftovers to those before: texts and lists grow, objects merge, all else is replaced."""
    for name, value in delta.items():
        old = into.get(name)
        if isinstance(old, str) and isinstance(value, str) and name not in _WHOLE_STRINGS:
            into[name] = old + value
        elif isinstance(old, list) and isinstance(value, list):
            into[name] = [*old, *value]
        elif isinstance(old, dict) and isinstance(value, dict):
            into[name] = dict(old)
            merge_delta(into[name], value)
        else:
            into[name] = value


class StreamEncoder:
    """One answer's events as the SSE bytes that OpenAI clients read. `created` is Unix seconds.

    `encode` gives b"" for events that have no bytes of their own. After the last event call `end`; after a fault call `error`
    instead and close: a stream that failed never looks finished.
    """

    def __init__(self, *, id: str, created: int, model: str, include_usage: bool) -> None:
        self._same: Object = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._kinds: dict[int, PartKind] = {}
        self._call_numbers: dict[int, int] = {}
        self._redacted: set[int] = set()
        self._prefix = self._prefixed()

    def _prefixed(self) -> bytes:
        return b"data: " + _encode(self._same)[:-1] + b',"choices":[{"index":0,"delta":'

    def encode(self, event: Event) -> bytes:
        match event:
            case Started(_, _, _, extra):
                return self._started(extra)
            case PartStarted():
                return self._part_started(event)
            case TextDelta(index, text, logprobs):
                return self._text(index, text, logprobs)
            case ReasoningDelta(index, text, signature):
                return b"" if index in self._redacted else self._reasoning(text, signature)
            case ToolCallDelta(index, arguments):
                call = {"index": self._call_numbers.get(index, 0), "function": {"arguments": arguments}}
                return self._plain(_encode({"tool_calls": [call]})) if arguments else b""
            case UsageReported(usage):
                self._usage = usage
                return b""
            case Finished(reason, _, extra, message_extra):
                top, choice = split_extra(extra)
                return self._chunk(message_extra, encode_reason(reason), choice, top)
            case PartEnded() | VoiceStarted() | VoiceEnded() | Verdict():
                return b""
            case _:
                assert_never(event)

    def restarted(self, discard_chars: int) -> bytes:
        """A chunk without content whose field `jackfield` says that all text so far is void: a client discards it."""
        return self._chunk({}, None, {}, {"jackfield": {"restarted": True, "discard_chars": discard_chars}})

    def end(self) -> bytes:
        """The usage chunk, if it was asked for and is known, and the end mark."""
        if not self._include_usage or self._usage is None:
            return DONE_EVENT
        return sse.encode(_encode({**self._same, "choices": [], "usage": encode_usage(self._usage)})) + DONE_EVENT

    def error(self, error: JackfieldError) -> bytes:
        """The in-band error. Nothing follows it."""
        return encode_stream_error(error)

    def _started(self, extra: Object) -> bytes:
        top, choice = split_extra(extra)
        self._same |= {name: top[name] for name in _EVERY_CHUNK if name in top}
        self._prefix = self._prefixed()
        return self._chunk({"role": "assistant", "content": ""}, None, choice, top)

    def _part_started(self, event: PartStarted) -> bytes:
        self._kinds[event.index] = event.kind
        if event.is_redacted:
            self._redacted.add(event.index)
        if event.kind != "tool_call":
            return b""
        number = len(self._call_numbers)
        self._call_numbers[event.index] = number
        call: Object = {
            "index": number,
            "id": event.id,
            "type": "function",
            "function": {"name": event.name, "arguments": ""},
        }
        return self._plain(_encode({"tool_calls": [with_extra(call, event.extra, "function")]}))

    def _reasoning(self, text: str, signature: str | None) -> bytes:
        delta: Object = {WIRE_REASONING_FIELD: text} if text else {}
        if signature is not None:
            delta[SIGNATURE_FIELD] = signature
        return self._plain(_encode(delta)) if delta else b""

    def _text(self, index: int, text: str, logprobs: tuple[Any, ...]) -> bytes:
        refused = self._kinds.get(index) == "refusal"
        if logprobs:
            delta = {"refusal" if refused else "content": text}
            return self._chunk(delta, None, {"logprobs": logprobs_object(logprobs, refused=refused)}, {})
        if not text:
            return b""
        return self._plain((b'{"refusal":' if refused else b'{"content":') + _encode(text) + b"}")

    def _plain(self, delta: bytes) -> bytes:
        return self._prefix + delta + b',"logprobs":null,"finish_reason":null}]}\n\n'

    def _chunk(self, delta: Object, finish_reason: str | None, choice: Object, top: Object) -> bytes:
        filled = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, **choice}
        return sse.encode(_encode({**self._same, "choices": [filled], **top}))


def encode_stream_error(error: JackfieldError) -> bytes:
    """An error as an event of a stream that has already begun, also one that was relayed. The stream must end after it."""
    return sse.encode(encode_error(error))
