"""Whole Chat Completions replies: bytes to a ChatReply and back, and the cheap looks that a relay takes at raw bodies.

Knows the reply object and the words for why an answer ended. Reading is lenient, since many servers leave fields out.
Fields without a core name are kept: the message's in `Message.extra`, the others in `ChatReply.extra` in the shape they had
(the choice's under `extra["choices"][0]`). Nulls and empty containers count as absent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken
from jackfield.core.events import ChatReply, FinishReason
from jackfield.core.messages import Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.dialects.json_value import Object, left, present, rest
from jackfield.dialects.openai_chat_messages import (
    REASONING_FIELDS,
    SIGNATURE_FIELD,
    encode_tool_call,
    reasoning_fields,
)
from jackfield.dialects.openai_chat_usage import encode_usage, read_count, read_usage
from jackfield.dialects.openai_errors import in_band_error

WIRE_REASONING_FIELD = "reasoning_content"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_REPLY_FIELDS = frozenset(("id", "object", "created", "model", "choices", "usage", "error"))
_CHOICE_FIELDS = frozenset(("index", "message", "delta", "finish_reason", "logprobs", "error"))
_MESSAGE_FIELDS = ("role", "content", "refusal", "tool_calls", "function_call", SIGNATURE_FIELD)
TEXT_FIELDS = frozenset(("role", "content"))
_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
_BROKEN_REASONS = frozenset(("error", "abort", "aborted", "cancelled", "canceled"))


def decode_reply(body: bytes, *, provider: str = "", reasoning_field: str | None = None) -> ChatReply:
    """The answer in `body`. `reasoning_field` None reads either common name.

    Raises Malformed for what is no chat completion, the mapped error for an error sent with a good status, StreamBroken when
    the source says that it stopped half-way.
    """
    value = _object(body, provider)
    error = in_band_error(value, provider=provider)
    if error is not None:
        raise error
    choice = _first_choice(value, provider)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Malformed("the answer's choice holds no message", provider=provider or None)
    id_ = _text(value.get("id"))
    parts, message_extra = read_message(message, id_, reasoning_field)
    logprobs = read_logprobs(choice.get("logprobs"))
    if logprobs and not any(isinstance(part, TextPart | RefusalPart) for part in parts):
        parts.append(TextPart(""))
    called = ToolCallPart in map(type, parts)
    reason, raw_reason = read_reason(choice.get("finish_reason"), called=called, provider=provider)
    usage = value.get("usage")
    return ChatReply(
        message=Message("assistant", tuple(parts), extra=message_extra),
        model=_text(value.get("model")),
        finish_reason=reason,
        id=id_,
        created=read_count(value.get("created")),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        raw_finish_reason=raw_reason,
        logprobs=logprobs,
        extra=reply_extra(left(value, _REPLY_FIELDS), left(choice, _CHOICE_FIELDS)),
    )


def _object(body: bytes, provider: str) -> Object:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the answer is not valid JSON: {error}", provider=provider or None) from None
    if not isinstance(value, dict):
        raise Malformed("the answer is no JSON object", provider=provider or None)
    return value


def _first_choice(value: Object, provider: str) -> Object:
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    raise Malformed("the answer holds no choices", provider=provider or None)


def read_message(message: Object, reply_id: str, reasoning_field: str | None) -> tuple[list[Part], Object]:
    """The parts of an answer's message, in the order reasoning, text, refusal, tool calls; and what has no core name."""
    if _is_plain(message):
        return [TextPart(message["content"])], {}
    found, reasoning, signature = read_reasoning(message, reasoning_field)
    texts, thoughts, unknown = read_content(message.get("content"))
    parts: list[Part] = []
    if reasoning or thoughts:
        parts.append(ReasoningPart(reasoning or thoughts, signature))
    parts += [TextPart(text) for text in texts]
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(RefusalPart(refusal))
    parts += _tool_calls(message, reply_id)
    extra = present(rest(message, (*_MESSAGE_FIELDS, *found)))
    return parts, extra | ({"content_parts": unknown} if unknown else {})


def _is_plain(message: Object) -> bool:
    """Whether a message is a text and tells nothing else, as most do: its other fields are null or empty, and no call."""
    text = message.get("content")
    return type(text) is str and text != "" and not left(message, TEXT_FIELDS) and "function_call" not in message


def read_reasoning(message: Object, reasoning_field: str | None) -> tuple[tuple[str, ...], str, str | None]:
    """Which fields were read, the reasoning's text, its signature. Fields that repeat the same text count as read."""
    names = (reasoning_field, *REASONING_FIELDS) if reasoning_field else REASONING_FIELDS
    text = next((value for name in names if isinstance(value := message.get(name), str) and value), "")
    read = tuple(name for name in names if message.get(name) in (text, "", None))
    signature = message.get(SIGNATURE_FIELD)
    return read, text, signature if isinstance(signature, str) else None


def read_content(content: Any) -> tuple[list[str], str, list[Any]]:
    """Texts, reasoning and unknown parts of `content`, which is text or, for some servers, an array of parts."""
    if isinstance(content, str):
        return ([content] if content else []), "", []
    texts: list[str] = []
    thoughts: list[str] = []
    unknown: list[Any] = []
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "thinking":
            inner = part.get("thinking")
            thoughts += [inner] if isinstance(inner, str) else read_content(inner)[0]
        else:
            unknown.append(part)
    return [text for text in texts if text], "".join(thoughts), unknown


def _tool_calls(message: Object, reply_id: str) -> list[Part]:
    calls = message.get("tool_calls")
    items = calls if isinstance(calls, list) else []
    parts: list[Part] = [read_tool_call(call, reply_id, index) for index, call in enumerate(items) if isinstance(call, dict)]
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(read_tool_call({"function": legacy}, reply_id, len(parts)))
    return parts


def read_tool_call(call: Object, reply_id: str, index: int) -> ToolCallPart:
    """A call as servers write it: perhaps without an id (one is made from the answer's), perhaps with arguments undumped."""
    function = call.get("function")
    if not isinstance(function, dict):
        function = {}
    extra = present(rest(call, ("id", "type", "function", "index"), {"function": rest(function, ("name", "arguments"))}))
    return ToolCallPart(
        _text(call.get("id")) or made_call_id(reply_id, index),
        _text(function.get("name")),
        read_arguments(function.get("arguments")),
        extra,
    )


def read_arguments(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _encode(value).decode()


def made_call_id(reply_id: str, index: int) -> str:
    """A tool call's id where the server gave none: the same for a stream and its whole answer."""
    return f"call_{reply_id}_{index}" if reply_id else f"call_{index}"


def read_logprobs(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, dict):
        return ()
    lists = (value.get("content"), value.get("refusal"))
    return tuple(entry for entries in lists if isinstance(entries, list) for entry in entries)


def read_reason(value: Any, *, called: bool, provider: str = "") -> tuple[FinishReason, str | None]:
    """Our word and, where it differs, the server's own. `called` says that there are tool calls, which outweighs "stop".

    Raises StreamBroken for words that say the answer was abandoned: such an answer is never passed off as whole.
    """
    raw = value if isinstance(value, str) else None
    if raw is None:
        return ("tool_calls" if called else "other"), None
    word = raw.lower()
    if word in _BROKEN_REASONS:
        raise StreamBroken(f"the source gave up its answer half-way (finish_reason {word})", provider=provider or None)
    reason = _REASONS.get(word, "other")
    if called and reason == "stop":
        reason = "tool_calls"
    return reason, None if raw == reason else raw


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def reply_extra(top: Object, choice: Object) -> Object:
    """Leftovers in the shape of the reply itself."""
    return top | ({"choices": [choice]} if choice else {})


def split_extra(extra: Mapping[str, Any]) -> tuple[Object, Object]:
    """The reverse of `reply_extra`: for the top and for the choice."""
    top = {name: value for name, value in extra.items() if name not in _REPLY_FIELDS}
    choices = extra.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return top, {name: value for name, value in choice.items() if name not in _CHOICE_FIELDS}


def encode_reply(reply: ChatReply, *, id: str, created: int) -> bytes:
    """The body of a whole answer. `created` is Unix seconds. A reason without an OpenAI word is written as "stop"."""
    top, choice = split_extra(reply.extra)
    body: Object = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": reply.model,
        "choices": [
            {
                "index": 0,
                "message": _encode_message(reply.message),
                "logprobs": _encode_logprobs(reply),
                "finish_reason": encode_reason(reply.finish_reason),
                **choice,
            }
        ],
    }
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    return _encode(body | top)


def _encode_message(message: Message) -> Object:
    parts = message.parts
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    refusals = [part.text for part in parts if isinstance(part, RefusalPart)]
    calls = [encode_tool_call(part) for part in parts if isinstance(part, ToolCallPart)]
    # Clients take the text of an answer for granted unless it is a refusal or a tool call.
    empty = None if refusals or calls else ""
    item: Object = {
        "role": "assistant",
        "content": "".join(texts) if texts else empty,
        "refusal": "".join(refusals) if refusals else None,
    }
    shown = [part for part in parts if isinstance(part, ReasoningPart) and not part.redacted]
    item |= reasoning_fields(shown, WIRE_REASONING_FIELD)
    if calls:
        item["tool_calls"] = calls
    return message.extra | item


def _encode_logprobs(reply: ChatReply) -> Object | None:
    if not reply.logprobs:
        return None
    parts = reply.message.parts
    refused = any(isinstance(part, RefusalPart) for part in parts) and not any(isinstance(part, TextPart) for part in parts)
    return logprobs_object(reply.logprobs, refused=refused)


def logprobs_object(entries: Sequence[Any], *, refused: bool) -> Object:
    given = list(entries)
    return {"content": None, "refusal": given} if refused else {"content": given, "refusal": None}


def encode_reason(reason: FinishReason) -> str:
    return "stop" if reason == "other" else reason


def reply_error(body: bytes, *, provider: str = "") -> JackfieldError | None:
    """The error that a body sent with status 200 really is: an error object, or no JSON object at all. None for a good one."""
    if b'"error"' not in body and body[:1] == b"{" and body[-1:] in b"}\n":
        return None
    try:
        return in_band_error(_object(body, provider), provider=provider)
    except Malformed as error:
        return error
