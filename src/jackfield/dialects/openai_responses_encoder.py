"""Core events to the SSE bytes of a Responses stream.

Knows the order in which clients expect items, parts, deltas and their ends, each event numbered. The closing event repeats the
whole answer, so it is gathered on the way. Reading such streams is openai_responses_stream.py's.
"""

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from jackfield.core.errors import JackfieldError, RateLimited
from jackfield.core.events import (
    Event,
    Finished,
    FinishReason,
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
from jackfield.core.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects import sse
from jackfield.dialects.json_events import around_text, framed
from jackfield.dialects.json_value import Object
from jackfield.dialects.openai_errors import error_object
from jackfield.dialects.openai_responses_items import FREEFORM_CALL, encode_call, encode_reasoning
from jackfield.dialects.openai_responses_reply import (
    ItemNames,
    content_part,
    ended,
    message_item,
    notes_of,
    other_items,
    response_frame,
)
from jackfield.dialects.openai_responses_usage import encode_usage

_encode = msgspec.json.Encoder().encode


class _Open:
    """A part being told: which item it belongs to, where in it, and its words so far.

    `growth` is what stands in its deltas around their number and their text, from the first of them on.
    """

    __slots__ = ("growth", "item", "logprobs", "output_index", "place", "signature", "started", "where", "words")

    def __init__(self, started: PartStarted, item: Object, output_index: int, place: int) -> None:
        self.started = started
        self.item = item
        self.output_index = output_index
        self.where: Object = {"item_id": item["id"], "output_index": output_index}
        self.place = place
        self.words: list[str] = []
        self.logprobs: list[Any] = []
        self.signature: str | None = None
        self.growth: tuple[bytes, bytes, bytes] | None = None

    @property
    def text(self) -> str:
        return "".join(self.words)


class StreamEncoder:
    """One answer's events as the SSE bytes that clients of the Responses API read. `created` is Unix seconds.

    `echo` are the request's fields that its response repeats. After the last event call `end`; after a fault call `error`
    instead and close. Usage is always told, as this API does: `include_usage` False leaves it out.
    """

    def __init__(
        self, *, id: str, created: int, model: str, include_usage: bool = True, echo: Mapping[str, Any] | None = None
    ) -> None:
        self._id = id
        self._frame = response_frame(id=id, created=created, model=model, echo=echo or {})
        self._names = ItemNames(id)
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._number = 0
        self._output: list[Object] = []
        self._open: dict[int, _Open] = {}
        self._spoken: tuple[int, Object] | None = None
        self._finished: Finished | None = None

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta and not event.logprobs:
            return self._grown(self._open[event.index], event.text)
        match event:
            case Started():
                frame = msgspec.Raw(_encode(self._frame))
                created = self._response_event("response.created", frame)
                return created + self._response_event("response.in_progress", frame)
            case PartStarted():
                return self._part_started(event)
            case TextDelta(index, text, logprobs):
                return self._text(self._open[index], text, logprobs)
            case ReasoningDelta(index, text, signature):
                return self._reasoning(self._open[index], text, signature)
            case ToolCallDelta(index, arguments):
                return self._grown(self._open[index], arguments)
            case PartEnded(index):
                return self._part_ended(self._open.pop(index))
            case UsageReported(usage):
                self._usage = usage
                return b""
            case Finished():
                self._finished = event
                return self._close_message(event.message_extra) + self._others(event)
            case VoiceStarted() | VoiceEnded() | Verdict():
                return b""
            case _:
                assert_never(event)

    def restarted(self, discard_chars: int) -> bytes:
        """One more `in_progress` whose field `jackfield` says that all text so far is void; the closing event leaves it out."""
        for part in self._open.values():
            if part.started.kind == "text":
                part.words.clear()
                part.logprobs.clear()
        for item in self._output:
            if item["type"] == "message":
                item["content"] = [_emptied(content) for content in item["content"]]
        told = {"restarted": True, "discard_chars": discard_chars}
        return self._response_event("response.in_progress", self._frame, jackfield=told)

    def end(self) -> bytes:
        """The closing event, which holds the whole answer."""
        reason: FinishReason = self._finished.reason if self._finished else "other"
        extra = self._finished.extra if self._finished else {}
        usage = encode_usage(self._usage) if self._usage is not None and self._include_usage else None
        whole = ended(self._frame, reason, self._output, usage)
        return self._response_event(f"response.{whole['status']}", {**extra, **whole})

    def error(self, error: JackfieldError) -> bytes:
        """The in-band error. Nothing follows it."""
        return encode_stream_error(error, sequence_number=self._number)

    def _event(self, kind: str, **fields: Any) -> bytes:
        written = _written(kind, self._number, fields)
        self._number += 1
        return framed(kind, written)

    def _response_event(self, kind: str, response: Object | msgspec.Raw, **fields: Any) -> bytes:
        """One that repeats fields of the request as the client wrote them, which may be in several lines."""
        written = _written(kind, self._number, {"response": response, **fields})
        self._number += 1
        return sse.encode(written, kind)

    def _grown(self, part: _Open, text: str) -> bytes:
        """A delta of a part. Those of one part differ in number and text alone, so what is around these is written once."""
        part.words.append(text)
        if not text:
            return b""
        if part.growth is None:
            part.growth = _growth(part)
        start, middle, end = part.growth
        written = b"%b%d%b%b%b" % (start, self._number, middle, _encode(text), end)
        self._number += 1
        return written

    def _part_started(self, event: PartStarted) -> bytes:
        match event.kind:
            case "text" | "refusal":
                return self._content_started(event)
            case "reasoning":
                item: Object = {"type": "reasoning", "id": event.extra.get("id") or self._names.next("rs"), "summary": []}
                return self._item_started(event, item)
            case "tool_call":
                call = encode_call(ToolCallPart(event.id, event.name, "", event.extra))
                return self._item_started(event, {"id": self._names.next_call(call), "status": "in_progress", **call})
            case _:
                assert_never(event.kind)

    def _item_started(self, event: PartStarted, item: Object) -> bytes:
        closed = self._close_message({})
        self._open[event.index] = _Open(event, item, len(self._output), 0)
        return closed + self._add_item(item)

    def _add_item(self, item: Object) -> bytes:
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _content_started(self, event: PartStarted) -> bytes:
        """A text or refusal joins the message that is open: other parts close it."""
        opened = b""
        if self._spoken is None:
            item = message_item(self._names.next("msg"), "in_progress", {})
            self._spoken = (len(self._output), item)
            opened = self._add_item(item)
        at, item = self._spoken
        part = self._open[event.index] = _Open(event, item, at, len(item["content"]))
        content = _content(part)
        item["content"].append(content)
        return opened + self._event("response.content_part.added", content_index=part.place, part=content, **part.where)

    def _text(self, part: _Open, text: str, logprobs: tuple[Any, ...]) -> bytes:
        part.words.append(text)
        part.logprobs += logprobs
        told: Object = {"content_index": part.place, "delta": text, **part.where}
        if part.started.kind == "refusal":
            return self._event("response.refusal.delta", **told)
        return self._event("response.output_text.delta", **told, logprobs=list(logprobs))

    def _reasoning(self, part: _Open, text: str, signature: str | None) -> bytes:
        if signature is not None:
            part.signature = signature
        if not text or part.started.is_redacted:
            return b""
        opened = b""
        if not part.words:
            empty = {"type": "summary_text", "text": ""}
            opened = self._event("response.reasoning_summary_part.added", summary_index=0, part=empty, **part.where)
        return opened + self._grown(part, text)

    def _part_ended(self, part: _Open) -> bytes:
        match part.started.kind:
            case "text" | "refusal":
                return self._content_ended(part)
            case "reasoning":
                return self._reasoning_ended(part)
            case "tool_call":
                return self._call_ended(part)
            case _:
                assert_never(part.started.kind)

    def _content_ended(self, part: _Open) -> bytes:
        content = _content(part)
        part.item["content"][part.place] = content
        told: Object = {"content_index": part.place, **part.where}
        if part.started.kind == "refusal":
            done = self._event("response.refusal.done", refusal=part.text, **told)
        else:
            done = self._event("response.output_text.done", text=part.text, logprobs=part.logprobs, **told)
        return done + self._event("response.content_part.done", part=content, **told)

    def _reasoning_ended(self, part: _Open) -> bytes:
        done = b""
        if part.words:
            whole = {"type": "summary_text", "text": part.text}
            done = self._event("response.reasoning_summary_text.done", summary_index=0, text=part.text, **part.where)
            done += self._event("response.reasoning_summary_part.done", summary_index=0, part=whole, **part.where)
        item = encode_reasoning(ReasoningPart(part.text, part.signature, extra={"id": part.item["id"]}))
        return done + self._item_done(part.output_index, item)

    def _call_ended(self, part: _Open) -> bytes:
        if part.item["type"] == FREEFORM_CALL:
            field = "input"
            done = self._event("response.custom_tool_call_input.done", input=part.text, **part.where)
        else:
            field, name = "arguments", part.started.name
            done = self._event("response.function_call_arguments.done", name=name, arguments=part.text, **part.where)
        return done + self._item_done(part.output_index, {**part.item, field: part.text, "status": "completed"})

    def _item_done(self, at: int, item: Object) -> bytes:
        self._output[at] = item
        return self._event("response.output_item.done", output_index=at, item=item)

    def _close_message(self, extra: Object) -> bytes:
        """Ends the open message. What is told of it only at the end (annotations, phase) is told here."""
        if self._spoken is None:
            return b""
        at, item = self._spoken
        self._spoken = None
        notes = notes_of(extra)
        content = item["content"]
        if notes and content and content[0]["type"] == "output_text":
            content[0] = {**content[0], "annotations": notes}
        return self._item_done(at, {**message_item(item["id"], "completed", extra), "content": content})

    def _others(self, event: Finished) -> bytes:
        told = b""
        for _, item in other_items(Message("assistant", extra=event.message_extra)):
            told += self._add_item(item) + self._item_done(len(self._output) - 1, item)
        return told


def _written(kind: str, number: int, fields: Object) -> bytes:
    return _encode({"type": kind, "sequence_number": number, **fields})


def _growth(part: _Open) -> tuple[bytes, bytes, bytes]:
    """What stands before the number, between number and text, and after the text in every delta of a part."""
    before: Object
    match part.started.kind:
        case "text" | "refusal" as spoken:
            kind, before = f"response.{'output_text' if spoken == 'text' else 'refusal'}.delta", {"content_index": part.place}
        case "reasoning":
            kind, before = "response.reasoning_summary_text.delta", {"summary_index": 0}
        case "tool_call":
            freeform = part.item["type"] == FREEFORM_CALL
            kind, before = f"response.{'custom_tool_call_input' if freeform else 'function_call_arguments'}.delta", {}
        case _:
            assert_never(part.started.kind)
    after: Object = {"logprobs": []} if part.started.kind == "text" else {}
    head, end = around_text(lambda text: framed(kind, _written(kind, 0, {**before, "delta": text, **part.where, **after})))
    start, number, middle = head.partition(b'"sequence_number":')
    return start + number, middle.removeprefix(b"0"), end


def _emptied(content: Object) -> Object:
    return {**content, "text": "", "annotations": [], "logprobs": []} if content.get("type") == "output_text" else content


def _content(part: _Open) -> Object:
    kept = RefusalPart(part.text) if part.started.kind == "refusal" else TextPart(part.text)
    return content_part(kept, part.logprobs, [])


def encode_stream_error(error: JackfieldError, *, sequence_number: int = 0) -> bytes:
    """An error as an event of a stream that has already begun, also one that was relayed. The stream must end after it.

    The words stand twice, since clients look for them in either place: flat, as documented, and under `error`.
    """
    told = error_object(error)
    flat = {name: told[name] for name in ("code", "message", "param")}
    value = {"type": "error", "sequence_number": sequence_number, **flat, "error": told}
    return sse.encode(_encode(value), "error")


def failed_response(error: JackfieldError, *, id: str, created: int, model: str) -> Object:
    """A response that ended in `error`, for who keeps responses: the API knows two codes for what is not the caller's fault."""
    code = "rate_limit_exceeded" if isinstance(error, RateLimited) else "server_error"
    frame = response_frame(id=id, created=created, model=model, echo={})
    return frame | {"status": "failed", "error": {"code": code, "message": error_object(error)["message"]}}
