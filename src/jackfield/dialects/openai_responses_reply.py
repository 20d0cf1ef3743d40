"""Whole Responses answers: bytes to a ChatReply and back, and the cheap looks that a relay takes at raw bodies.

Knows the response object, its output items and its words for how an answer ended. Items without a core part (those of
built-in tools) are kept in `Message.extra["output_items"]` with their place: [number of parts before it, item]. What the
response only repeats from its request is not kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, ContentRefused, JackfieldError, Malformed, RequestRejected, StreamBroken
from jackfield.core.events import ChatReply, FinishReason
from jackfield.core.messages import Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.dialects.json_value import Object, present, rest
from jackfield.dialects.openai_chat_usage import read_count
from jackfield.dialects.openai_errors import decode_error, in_band_error
from jackfield.dialects.openai_responses_items import FREEFORM_CALL, encode_call, encode_reasoning, read_reasoning
from jackfield.dialects.openai_responses_usage import encode_usage, read_usage

OUTPUT_ITEMS = "output_items"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_REPLY_FIELDS = frozenset(
    ("id", "object", "created_at", "completed_at", "model", "status", "output", "usage", "error", "incomplete_details")
)
_REQUEST_FIELDS = frozenset(
    (
        "background", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls",
        "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier",
        "store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
        "frequency_penalty", "presence_penalty", "output_text",
    )
)  # fmt: skip
_INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_CONTENT_CODES = ("bio_policy", "misalignment_policy_violation", "image_content_policy_violation")
_REQUEST_CODES = ("invalid_", "image_", "empty_image", "unsupported_image", "failed_to_download")


def decode_reply(body: bytes, *, provider: str = "") -> ChatReply:
    """Raises Malformed for what is no response or not finished, the mapped error for one that failed, StreamBroken for a
    cancelled one."""
    return read_response(_object(body, provider), provider)


def _object(body: bytes, provider: str) -> Object:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the answer is not valid JSON: {error}", provider=provider or None) from None
    if not isinstance(value, dict):
        raise Malformed("the answer is no JSON object", provider=provider or None)
    return value


def read_response(value: Object, provider: str) -> ChatReply:
    if (error := response_error(value, provider)) is not None:
        raise error
    output = value.get("output")
    if not isinstance(output, list):
        raise Malformed("the answer holds no output", provider=provider or None)
    found = read_output(output)
    called = any(isinstance(part, ToolCallPart) for part in found.parts)
    reason, raw_reason = read_reason(value, called=called, provider=provider)
    usage = value.get("usage")
    return ChatReply(
        message=Message("assistant", tuple(found.parts), extra=found.extra),
        model=_text(value.get("model")),
        finish_reason=reason,
        id=_text(value.get("id")),
        created=read_created(value),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        raw_finish_reason=raw_reason,
        logprobs=tuple(found.logprobs),
        extra=reply_extra(value),
    )


def response_error(value: Object, provider: str) -> JackfieldError | None:
    """The error of a response that failed, or that an object which is no response carries."""
    if value.get("error") or value.get("object") == "error":
        return failure(value, provider)
    if value.get("status") == "failed":
        return failure({"error": {"message": "the response failed without saying why"}}, provider)
    return None


def failure(value: Object, provider: str) -> JackfieldError:
    """The core error for `{"error": {"code": ..., "message": ...}}`, whose codes are this API's own."""
    error = value.get("error")
    code = _text(error.get("code")) if isinstance(error, dict) else ""
    if code.startswith((*_CONTENT_CODES, *_REQUEST_CODES)):
        made = decode_error(400, _encode(value), provider=provider)
        if isinstance(made, RequestRejected) and code not in _CONTENT_CODES:
            return made
        kind = ContentRefused if code in _CONTENT_CODES else BadRequest
        return kind(made.message, provider=provider or None, code=code, param=made.param)
    found = in_band_error(value, provider=provider)
    return found or Malformed("the answer is an error that says nothing", provider=provider or None)


class Output(msgspec.Struct):
    """What a response's items hold; `extra` is the message's: kept items, annotations, `phase`."""

    parts: list[Part] = []
    logprobs: list[Any] = []
    others: list[list[Any]] = []
    extra: Object = {}


def read_output(output: Sequence[Any]) -> Output:
    """The parts of an answer, the log-probabilities of its texts, and the other items with their places."""
    found = Output()
    for item in output:
        if not isinstance(item, dict):
            continue
        match item.get("type"):
            case "message":
                for part in content_of(item):
                    found.parts.append(read_content_part(part))
                    found.logprobs += part.get("logprobs") or []
                note_message(found.extra, item)
            case "function_call":
                found.parts.append(read_call(item))
            case "reasoning" if has_reasoning(item):
                found.parts.append(read_reasoning(item))
            case _:
                found.others.append([len(found.parts), item])
    found.extra |= others_extra(found.others)
    return found


def content_of(item: Object) -> list[Object]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def read_content_part(part: Object) -> TextPart | RefusalPart:
    if part.get("type") == "refusal":
        return RefusalPart(_text(part.get("refusal")))
    return TextPart(_text(part.get("text")))


def note_message(extra: Object, item: Object) -> None:
    """Adds to a message's `extra` what one message item tells beside its words, as Chat Completions would tell it."""
    notes = [note for part in content_of(item) for note in part.get("annotations") or [] if isinstance(note, dict)]
    if notes:
        extra["annotations"] = [*extra.get("annotations", []), *map(_nested_note, notes)]
    if isinstance(item.get("phase"), str):
        extra["phase"] = item["phase"]


def _nested_note(note: Object) -> Object:
    kind = note.get("type")
    return {"type": kind, kind: rest(note, ("type",))} if kind == "url_citation" else note


def _flat_note(note: Object) -> Object:
    kind = note.get("type")
    inner = note.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **inner} if isinstance(inner, dict) else note


def read_call(item: Object) -> ToolCallPart:
    arguments = item.get("arguments")
    return ToolCallPart(
        _text(item.get("call_id")) or _text(item.get("id")),
        _text(item.get("name")),
        arguments if isinstance(arguments, str) else "",
        call_extra(item),
    )


def call_extra(item: Object) -> Object:
    return present(rest(item, ("type", "id", "call_id", "name", "arguments", "status")))


def has_reasoning(item: Object) -> bool:
    """Whether there is anything to read or to keep for the next turn; else the item is no more than an id."""
    part = read_reasoning(item)
    return bool(part.text or part.signature)


def others_extra(others: list[list[Any]]) -> Object:
    return {OUTPUT_ITEMS: others} if others else {}


def read_created(value: Object) -> int:
    created = value.get("created_at")
    return int(created) if isinstance(created, float) else read_count(created)


def reply_extra(value: Object) -> Object:
    return present(rest(value, _REPLY_FIELDS | _REQUEST_FIELDS))


def read_reason(value: Object, *, called: bool, provider: str) -> tuple[FinishReason, str | None]:
    """Our word and, where it says more, the API's own. Raises StreamBroken or Malformed for an answer that is not whole."""
    status = value.get("status")
    match status:
        case "completed" | None:
            return ("tool_calls" if called else "stop"), None
        case "incomplete":
            details = value.get("incomplete_details")
            raw = _text(details.get("reason")) if isinstance(details, dict) else ""
            return _INCOMPLETE.get(raw, "other"), raw or "incomplete"
        case "cancelled":
            raise StreamBroken("the source gave up its answer half-way (cancelled)", provider=provider or None)
    raise Malformed(f"the answer is not finished: its status is {str(status)[:40]}", provider=provider or None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def encode_reply(reply: ChatReply, *, id: str, created: int, echo: Mapping[str, Any] | None = None) -> bytes:
    """The body of a whole answer. `created` is Unix seconds; `echo` are the request's fields that its response repeats."""
    frame = response_frame(id=id, created=created, model=reply.model, echo=echo or {})
    usage = None if reply.usage is None else encode_usage(reply.usage)
    output = encode_output(reply.message, id, reply.logprobs)
    extra = {name: value for name, value in reply.extra.items() if name not in frame}
    return _encode(extra | ended(frame, reply.finish_reason, output, usage))


def response_frame(*, id: str, created: int, model: str, echo: Mapping[str, Any]) -> Object:
    """A response as it begins: every field that clients rely on, and what the request said of them."""
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        **echo,
    }


def ended(frame: Object, reason: FinishReason, output: list[Object], usage: Object | None) -> Object:
    """The frame of an answer that is whole, or that stopped short of its end and says why."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)
    return frame | {
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": usage,
    }


class ItemNames:
    """Ids for the items of one response: made from the response's own, so that an answer encoded twice is the same."""

    def __init__(self, response_id: str) -> None:
        self._stem = response_id.rpartition("_")[2].rpartition("-")[2]
        self._count = 0

    def next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._stem}_{self._count - 1}"

    def next_call(self, item: Object) -> str:
        return self.next("ctc" if item["type"] == FREEFORM_CALL else "fc")


def encode_output(message: Message, response_id: str, logprobs: Sequence[Any] = ()) -> list[Object]:
    """The output items: neighbouring texts and refusals are one message; kept items go back to their places."""
    names = ItemNames(response_id)
    items: list[Object] = []
    spoken: Object | None = None
    left = other_items(message)
    rated, notes = list(logprobs), notes_of(message.extra)
    for index, part in enumerate(message.parts):
        while left and left[0][0] <= index:
            items.append(left.pop(0)[1])
            spoken = None
        match part:
            case TextPart() | RefusalPart():
                if spoken is None:
                    spoken = message_item(names.next("msg"), "completed", message.extra)
                    items.append(spoken)
                spoken["content"].append(content_part(part, rated, notes))
                rated, notes = [], []
                continue
            case ReasoningPart():
                items.append(encode_reasoning(part, names.next("rs")))
            case ToolCallPart():
                call = encode_call(part)
                items.append({"id": names.next_call(call), "status": "completed", **call})
        spoken = None
    return items + [item for _, item in left]


def other_items(message: Message) -> list[tuple[int, Object]]:
    kept = message.extra.get(OUTPUT_ITEMS)
    return [(int(place), dict(item)) for place, item in kept] if isinstance(kept, list) else []


def notes_of(extra: Mapping[str, Any]) -> list[Object]:
    """The annotations of a message as this API writes them. They stand with its first text."""
    notes = extra.get("annotations")
    return [_flat_note(note) for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []


def message_item(id_: str, status: str, extra: Mapping[str, Any]) -> Object:
    phase = {"phase": extra["phase"]} if "phase" in extra else {}
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": [], **phase}


def content_part(part: TextPart | RefusalPart, logprobs: list[Any], notes: list[Object]) -> Object:
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": notes, "logprobs": logprobs}


def reply_error(body: bytes, *, provider: str = "") -> JackfieldError | None:
    """The error that a body sent with status 200 really is: a response that failed, or no JSON object. None for a good one."""
    try:
        return response_error(_object(body, provider), provider)
    except Malformed as error:
        return error


def is_empty(body: bytes) -> bool:
    """Whether a whole answer says nothing: no text, no refusal, no tool call of any kind."""
    try:
        output = _decode(body).get("output")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError):
        return True
    found = read_output(output if isinstance(output, list) else [])
    called = any(isinstance(part, ToolCallPart) for part in found.parts)
    said = any(isinstance(part, TextPart | RefusalPart) and part.text for part in found.parts)
    return not called and not said and all(item.get("type") == "reasoning" for _, item in found.others)
