"""Streams of Cohere's chat API: SSE bytes to core events.

Knows the stream's events. Content blocks and tool calls are counted apart, each from 0; a tool plan is not announced, so it
opens with its first delta. Parts follow what the deltas are, not what was announced.
"""

from typing import Any

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
from jackfield.dialects.cohere_chat_reply import message_extra, read_call, text
from jackfield.dialects.cohere_chat_usage import read_logprobs, read_reason, read_usage
from jackfield.dialects.cohere_errors import ended_error, in_band_error
from jackfield.dialects.framed import FramedDecoder
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_value import Object, present, rest

_END_FIELDS = ("finish_reason", "usage", "error")


class _Open:
    """The text, thought or plan that is being written, by its place on the wire; -1 is the plan's."""

    __slots__ = ("kind", "part", "place")

    def __init__(self, place: int, kind: PartKind, part: int) -> None:
        self.place = place
        self.kind = kind
        self.part = part


class StreamDecoder(FramedDecoder[sse.SseEvent]):
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    """

    def __init__(self, provider: str = "", *, model: str = "") -> None:
        super().__init__(sse.SseDecoder())
        self._provider = provider
        self._model = model
        self._is_started = False
        self._is_ended = False
        self._parts = 0
        self._open: _Open | None = None
        self._calls: dict[int, tuple[int, bool]] = {}
        self._called = False
        self._citations: list[Any] = []
        self._others: list[Object] = []

    def _bytes_ended(self, events: list[Event]) -> None:
        if not self._is_ended:
            raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)

    def _take(self, frame: sse.SseEvent, events: list[Event]) -> None:
        data = frame.data.strip()
        if data and data != b"[DONE]" and not self._is_ended:
            self._event(answer_object(data, self._provider), frame.event, events)

    def _event(self, value: Object, name: str | None, events: list[Event]) -> None:
        if "type" not in value and (error := in_band_error(value, provider=self._provider)) is not None:
            raise error
        place, message = _place(value), _inside(value, "delta", "message")
        match value.get("type") or name:
            case "message-start":
                self._start(text(value.get("id")), events)
            case "content-start":
                self._content_start(place, _inside(message, "content"), events)
            case "content-delta":
                self._content(place, _inside(message, "content"), value.get("logprobs"), events)
            case "content-end":
                self._close(events)
            case "tool-plan-delta":
                self._plan(text(message.get("tool_plan")), events)
            case "tool-call-start":
                self._call_start(place, _one(message.get("tool_calls")), events)
            case "tool-call-delta":
                self._arguments(place, read_call(_one(message.get("tool_calls")))[2], events)
            case "tool-call-end":
                self._call_end(place, events)
            case "citation-start":
                self._cite(message.get("citations"))
            case "message-end":
                self._end(_inside(value, "delta"), events)

    def _start(self, id_: str, events: list[Event]) -> None:
        if not self._is_started:
            self._is_started = True
            events.append(Started(self._model, id_))

    def _content_start(self, place: int, block: Object, events: list[Event]) -> None:
        self._start("", events)
        self._close(events)
        match block.get("type"):
            case "text" | "thinking" as kind:
                self._open_part(place, "text" if kind == "text" else "reasoning", events)
                self._content(place, block, None, events)
            case _ if block:
                self._others.append(block)

    def _content(self, place: int, block: Object, logprobs: Any, events: list[Event]) -> None:
        if thought := text(block.get("thinking")):
            events.append(ReasoningDelta(self._part(place, "reasoning", events), thought))
        said, likely = text(block.get("text")), read_logprobs([logprobs])
        if said or (likely and not thought):
            events.append(TextDelta(self._part(place, "text", events), said, likely))

    def _plan(self, more: str, events: list[Event]) -> None:
        if more:
            events.append(ReasoningDelta(self._part(-1, "reasoning", events), more))

    def _part(self, place: int, kind: PartKind, events: list[Event]) -> int:
        """The open part, opened now if it was not announced, or announced as something else."""
        self._start("", events)
        opened = self._open
        if opened is None or opened.place != place or opened.kind != kind:
            self._close(events)
            opened = self._open_part(place, kind, events)
        return opened.part

    def _open_part(self, place: int, kind: PartKind, events: list[Event]) -> _Open:
        self._open = _Open(place, kind, self._parts)
        self._parts += 1
        events.append(PartStarted(self._open.part, kind))
        return self._open

    def _close(self, events: list[Event]) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            events.append(PartEnded(opened.part))

    def _call_start(self, place: int, call: Object, events: list[Event]) -> None:
        self._start("", events)
        self._close(events)
        self._call_end(place, events)
        id_, name, arguments = read_call(call)
        self._calls[place] = (self._parts, False)
        self._called = True
        events.append(PartStarted(self._parts, "tool_call", id_, name))
        self._parts += 1
        self._arguments(place, arguments, events)

    def _arguments(self, place: int, more: str, events: list[Event]) -> None:
        if not more:
            return
        known = self._calls.get(place)
        if known is None:
            raise Malformed("the stream holds arguments of a tool call that has no name", provider=self._provider or None)
        self._calls[place] = (known[0], True)
        events.append(ToolCallDelta(known[0], more))

    def _call_end(self, place: int, events: list[Event]) -> None:
        known = self._calls.pop(place, None)
        if known is not None:
            part, is_written = known
            if not is_written:
                events.append(ToolCallDelta(part, "{}"))
            events.append(PartEnded(part))

    def _cite(self, citations: Any) -> None:
        self._citations += citations if isinstance(citations, list) else [citations] if citations else []

    def _end(self, delta: Object, events: list[Event]) -> None:
        told = delta.get("finish_reason")
        if (failed := ended_error(told, delta.get("error"), provider=self._provider)) is not None:
            raise failed
        self._is_ended = True
        self._start("", events)
        self._close(events)
        for place in list(self._calls):
            self._call_end(place, events)
        if (usage := read_usage(delta.get("usage"))) is not None:
            events.append(UsageReported(usage))
        reason, raw = read_reason(told, called=self._called)
        beside = message_extra(self._citations, self._others)
        events.append(Finished(reason, raw, present(rest(delta, _END_FIELDS)), beside))


def _place(value: Object) -> int:
    at = value.get("index")
    return at if isinstance(at, int) and not isinstance(at, bool) else 0


def _inside(value: Any, *names: str) -> Object:
    """The object below `names`, {} where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _one(value: Any) -> Object:
    """A call stands alone; older streams put it into a list."""
    found = value[0] if isinstance(value, list) and value else value
    return found if isinstance(found, dict) else {}
