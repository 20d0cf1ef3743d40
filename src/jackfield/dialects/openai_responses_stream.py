"""Responses streams to core events: SSE bytes in, cut anywhere.

Knows the events by their `type` (their SSE name only repeats it). A part begins at its first words or, where it has none, when
its item is done; a text that came without deltas is taken from the event that ends it. Bytes for clients are made in
openai_responses_encoder.py.
"""

from typing import Any

import msgspec

from jackfield.core.errors import Malformed, StreamBroken
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
)
from jackfield.dialects import sse
from jackfield.dialects.framed import FramedDecoder
from jackfield.dialects.json_value import Object, present, rest
from jackfield.dialects.openai_responses_items import SUMMARY_BREAK, read_reasoning
from jackfield.dialects.openai_responses_reply import (
    call_extra,
    content_of,
    failure,
    has_reasoning,
    note_message,
    others_extra,
    read_created,
    read_reason,
    reply_extra,
    response_error,
)
from jackfield.dialects.openai_responses_usage import read_usage

_decode = msgspec.json.Decoder().decode
_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class _Part:
    """A part on its way. `has_text` once a delta has been handed out."""

    __slots__ = ("has_text", "index", "place", "signature")

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_text = False
        self.signature: str | None = None
        self.place: Any = None


class StreamDecoder(FramedDecoder[sse.SseEvent]):
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    """

    def __init__(self, provider: str = "") -> None:
        super().__init__(sse.SseDecoder())
        self._provider = provider
        self._is_started = False
        self._is_ended = False
        self._parts = 0
        self._called = False
        self._open: dict[tuple[int, int], _Part] = {}
        self._ended: set[tuple[int, int]] = set()
        self._items: dict[int, Object] = {}
        self._others: list[list[Any]] = []
        self._message_extra: Object = {}

    def _bytes_ended(self, events: list[Event]) -> None:
        if not self._is_ended:
            raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)

    def _take(self, frame: sse.SseEvent, events: list[Event]) -> None:
        data = frame.data.strip()
        if self._is_ended or not data or data == b"[DONE]":
            return
        value = self._object(data)
        match value.get("type", frame.event):
            case "response.created" | "response.in_progress" | "response.queued":
                self._start(_dict(value.get("response")), events)
            case "response.output_item.added":
                self._item_added(value, events)
            case "response.output_text.delta":
                logprobs = value.get("logprobs")
                text, rated = _text(value.get("delta")), tuple(logprobs) if isinstance(logprobs, list) else ()
                self._say("text", value, text, rated, events)
            case "response.refusal.delta":
                self._say("refusal", value, _text(value.get("delta")), (), events)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._think(value, events)
            case "response.function_call_arguments.delta":
                self._argue(value, _text(value.get("delta")), events)
            case "response.output_text.done" | "response.refusal.done" | "response.content_part.done":
                self._text_done(value, events)
            case "response.output_item.done":
                self._item_done(value, events)
            case "error":
                raise failure(value if value.get("error") else {"error": rest(value, ("type",))}, self._provider)
            case str(kind) if kind in _TERMINAL:
                self._end(_dict(value.get("response")), events)
            case None if value.get("error"):
                raise failure(value, self._provider)

    def _object(self, data: bytes) -> Object:
        try:
            value = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"the stream holds an event that is not JSON: {error}", provider=self._provider or None) from None
        if not isinstance(value, dict):
            raise Malformed("the stream holds an event that is no JSON object", provider=self._provider or None)
        return value

    def _start(self, response: Object, events: list[Event]) -> None:
        if (error := response_error(response, self._provider)) is not None:
            raise error
        if not self._is_started:
            self._is_started = True
            events.append(Started(_text(response.get("model")), _text(response.get("id")), read_created(response)))

    def _item_added(self, value: Object, events: list[Event]) -> None:
        self._start({}, events)
        item = _dict(value.get("item"))
        self._items[_at(value)] = item
        if item.get("type") == "function_call":
            self._begin_call(_at(value), item, events)

    def _begin_call(self, at: int, item: Object, events: list[Event]) -> _Part:
        self._called = True
        id_ = _text(item.get("call_id")) or _text(item.get("id"))
        part = self._begin((at, 0), "tool_call", events, id_, _text(item.get("name")), call_extra(item))
        if arguments := _text(item.get("arguments")):
            part.has_text = True
            events.append(ToolCallDelta(part.index, arguments))
        return part

    def _begin(
        self,
        key: tuple[int, int],
        kind: PartKind,
        events: list[Event],
        id_: str = "",
        name: str = "",
        extra: Object | None = None,
        *,
        redacted: bool = False,
    ) -> _Part:
        self._start({}, events)
        part = self._open[key] = _Part(self._parts)
        self._parts += 1
        events.append(PartStarted(part.index, kind, id_, name, extra or {}, redacted))
        return part

    def _say(self, kind: PartKind, value: Object, text: str, logprobs: tuple[Any, ...], events: list[Event]) -> None:
        key = (_at(value), _at(value, "content_index"))
        part = self._open.get(key) or self._begin(key, kind, events)
        if text or logprobs:
            part.has_text = True
            events.append(TextDelta(part.index, text, logprobs))

    def _think(self, value: Object, events: list[Event]) -> None:
        """Summaries and told reasoning are one part; a break stands where the next piece of it begins."""
        text, key = _text(value.get("delta")), (_at(value), 0)
        if not text:
            return
        part = self._open.get(key) or self._begin(key, "reasoning", events, extra=_own_id(self._items.get(_at(value), {})))
        place = (value.get("type"), value.get("summary_index"), value.get("content_index"))
        if part.has_text and part.place != place:
            text = SUMMARY_BREAK + text
        part.place = place
        part.has_text = True
        events.append(ReasoningDelta(part.index, text))

    def _argue(self, value: Object, text: str, events: list[Event]) -> None:
        part = self._open.get((_at(value), 0))
        if part is not None and text:
            part.has_text = True
            events.append(ToolCallDelta(part.index, text))

    def _text_done(self, value: Object, events: list[Event]) -> None:
        """The end of one text. Without deltas before it, it is the text; what it tells besides has no part in the events."""
        whole = _dict(value.get("part")) or value
        refusal = _text(whole.get("refusal"))
        kind: PartKind = "refusal" if refusal or whole.get("type") == "refusal" else "text"
        if whole.get("type") == "reasoning_text":
            return
        key = (_at(value), _at(value, "content_index"))
        if key in self._ended:
            return
        part = self._open.get(key)
        if part is None or not part.has_text:
            self._say(kind, value, refusal or _text(whole.get("text")), (), events)

    def _item_done(self, value: Object, events: list[Event]) -> None:
        at, item = _at(value), _dict(value.get("item"))
        match item.get("type"):
            case "message":
                self._finish_message(at, item, events)
            case "function_call":
                part = self._open.get((at, 0)) or self._begin_call(at, {**item, "arguments": ""}, events)
                if not part.has_text and (arguments := _text(item.get("arguments"))):
                    events.append(ToolCallDelta(part.index, arguments))
            case "reasoning" if has_reasoning(item):
                self._finish_reasoning(at, item, events)
            case _:
                self._others.append([self._parts, item])
        for key in [key for key in self._open if key[0] == at]:
            events.append(PartEnded(self._open.pop(key).index))
            self._ended.add(key)

    def _finish_message(self, at: int, item: Object, events: list[Event]) -> None:
        for number, part in enumerate(content_of(item)):
            self._text_done({"output_index": at, "content_index": number, "part": part}, events)
        note_message(self._message_extra, item)

    def _finish_reasoning(self, at: int, item: Object, events: list[Event]) -> None:
        told = read_reasoning(item)
        part = self._open.get((at, 0))
        if part is None:
            part = self._begin((at, 0), "reasoning", events, extra=told.extra, redacted=told.redacted)
            events.append(ReasoningDelta(part.index, told.text, told.signature))
        elif told.signature is not None:
            events.append(ReasoningDelta(part.index, "", told.signature))

    def _end(self, response: Object, events: list[Event]) -> None:
        self._start(response, events)
        if (error := response_error(response, self._provider)) is not None:
            raise error
        reason, raw = read_reason(response, called=self._called, provider=self._provider)
        self._is_ended = True
        events += [PartEnded(part.index) for part in self._open.values()]
        if isinstance(response.get("usage"), dict):
            events.append(UsageReported(read_usage(response["usage"])))
        events.append(Finished(reason, raw, reply_extra(response), self._message_extra | others_extra(self._others)))


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _at(value: Object, name: str = "output_index") -> int:
    at = value.get(name)
    return at if isinstance(at, int) else 0


def _own_id(item: Object) -> Object:
    return present({"id": item.get("id") if isinstance(item.get("id"), str) else None})
