"""Whole Messages replies: bytes to a ChatReply and back.

Knows the message object and the words for why an answer ended. Reading is lenient. What has no core name is kept: fields of
the message in `ChatReply.extra`, and in `Message.extra` the blocks without a core part (`content_blocks`: each with its place)
and the citations of texts (`citations`: each with the place of its block).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.events import ChatReply, FinishReason
from jackfield.core.messages import Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.dialects.anthropic_errors import in_band_error
from jackfield.dialects.anthropic_messages_blocks import tool_arguments, tool_input
from jackfield.dialects.anthropic_messages_usage import encode_usage, read_usage
from jackfield.dialects.json_value import Object, present, rest

BLOCKS = "content_blocks"
CITATIONS = "citations"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
MESSAGE_FIELDS = frozenset(("id", "type", "role", "model", "content", "stop_reason", "usage", "error"))
_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "other",
}
_WORDS: Mapping[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "other": "end_turn",
}


def decode_reply(body: bytes, *, provider: str = "") -> ChatReply:
    """The answer in `body`. Raises Malformed for what is no message, the mapped error for an error sent with a good status."""
    value = read_message(body, provider)
    content = value.get("content")
    if not isinstance(content, list):
        raise Malformed("the answer holds no content", provider=provider or None)
    parts, extra = read_blocks(content)
    called = any(isinstance(part, ToolCallPart) for part in parts)
    reason, raw = read_reason(value.get("stop_reason"), called=called)
    usage = value.get("usage")
    return ChatReply(
        message=Message("assistant", tuple(parts), extra=extra),
        model=text(value.get("model")),
        finish_reason=reason,
        id=text(value.get("id")),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        raw_finish_reason=raw,
        extra=present(rest(value, MESSAGE_FIELDS)),
    )


def read_message(body: bytes, provider: str) -> Object:
    """The body as an object that is no error. Raises as `decode_reply` does."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the answer is not valid JSON: {error}", provider=provider or None) from None
    if not isinstance(value, dict):
        raise Malformed("the answer is no JSON object", provider=provider or None)
    told = in_band_error(value, provider=provider)
    if told is not None:
        raise told
    return value


def reply_error(body: bytes, *, provider: str = "") -> JackfieldError | None:
    """The error that a body sent with status 200 really is: an error object, or no JSON object at all. None for a good one."""
    if b'"error"' not in body and body[:1] == b"{" and body[-1:] in b"}\n":
        return None
    try:
        read_message(body, provider)
    except JackfieldError as error:
        return error
    return None


def is_empty(body: bytes) -> bool:
    """Whether a whole answer says nothing: no text, no tool call, and no reason why it could not."""
    reply = decode_reply(body)
    said = any(part.text if isinstance(part, TextPart) else True for part in reply.message.parts)
    return not said and not reply.message.extra and reply.finish_reason not in ("length", "content_filter")


def read_blocks(content: list[Any]) -> tuple[list[Part], Object]:
    """The core parts of an answer's blocks, in order, and what has no core part, for `Message.extra`."""
    parts: list[Part] = []
    others: list[Object] = []
    citations: list[Object] = []
    for index, block in enumerate(content):
        part = read_block(block) if isinstance(block, dict) else None
        if part is None:
            others.append({"index": index, "block": block})
            continue
        parts.append(part)
        if isinstance(block.get(CITATIONS), list):
            citations += [{"index": index, "citation": item} for item in block[CITATIONS]]
    return parts, message_extra(others, citations)


def message_extra(others: list[Object], citations: list[Object]) -> Object:
    return ({BLOCKS: others} if others else {}) | ({CITATIONS: citations} if citations else {})


def read_block(block: Object) -> Part | None:
    """None for a kind of block that has no core part."""
    match block.get("type"):
        case "text":
            return TextPart(text(block.get("text")), block_extra(block))
        case "thinking":
            signature = block.get("signature")
            return ReasoningPart(
                text(block.get("thinking")), signature if isinstance(signature, str) else None, extra=block_extra(block)
            )
        case "redacted_thinking":
            return ReasoningPart("", text(block.get("data")), redacted=True, extra=block_extra(block))
        case "tool_use":
            arguments = tool_arguments(block.get("input"))
            return ToolCallPart(text(block.get("id")), text(block.get("name")), arguments, block_extra(block))
    return None


def block_extra(block: Object) -> Object:
    """What a block that opens a part tells beside its content."""
    return present(rest(block, ("type", "text", "thinking", "signature", "data", "id", "name", "input", CITATIONS)))


def read_reason(value: Any, *, called: bool) -> tuple[FinishReason, str | None]:
    """Our word and, where it differs, the source's own. `called` says that there are tool calls, which outweighs "stop"."""
    if not isinstance(value, str):
        return ("tool_calls" if called else "other"), None
    reason = _REASONS.get(value, "other")
    if called and reason == "stop":
        reason = "tool_calls"
    return reason, None if value == reason else value


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def encode_reply(reply: ChatReply, *, id: str, created: int = 0) -> bytes:
    """The body of a whole answer. This format tells no time: `created` is not written."""
    body: Object = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": encode_content(reply.message),
        **encode_stop(reply.finish_reason, reply.raw_finish_reason, reply.extra),
        "usage": encode_usage(reply.usage),
    }
    if reply.extra:
        body = {**{name: value for name, value in reply.extra.items() if name not in MESSAGE_FIELDS}, **body}
    return _encode(body)


def encode_stop(reason: FinishReason, raw_reason: str | None, extra: Mapping[str, Any]) -> Object:
    """Why the answer ended: the source's own word if it is one of this format."""
    word = raw_reason if raw_reason is not None and _REASONS.get(raw_reason) is not None else _WORDS[reason]
    if reason == "tool_calls":
        word = "tool_use"
    sequence = extra.get("stop_sequence")
    return {"stop_reason": word, "stop_sequence": sequence if isinstance(sequence, str) else None}


def encode_content(message: Message) -> list[Object]:
    blocks = [block for part in message.parts if (block := encode_part(part)) is not None]
    if not message.extra:
        return blocks
    for other in placed(message.extra, BLOCKS):
        blocks.insert(other["index"], other.get("block") or {})
    for cited in placed(message.extra, CITATIONS):
        if cited["index"] < len(blocks):
            blocks[cited["index"]].setdefault(CITATIONS, []).append(cited.get("citation"))
    return blocks


def placed(extra: Mapping[str, Any], name: str) -> list[Object]:
    """The entries under `name` of a message's extra, if they are ours: objects with an `index`."""
    found = extra.get(name)
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("index"), int)]


def encode_part(part: Part) -> Object | None:
    """A block of an answer; None for what has none. A text that holds nothing is no block."""
    match part:
        case TextPart(said, extra) | RefusalPart(said, extra):
            return {**extra, "type": "text", "text": said} if said else None
        case ReasoningPart(thought, signature, is_redacted, extra):
            if is_redacted:
                return {**extra, "type": "redacted_thinking", "data": signature} if signature else None
            return {**extra, "type": "thinking", "thinking": thought, "signature": signature or ""}
        case ToolCallPart(id_, name, arguments, extra):
            value, _ = tool_input(arguments)
            return {**extra, "type": "tool_use", "id": id_, "name": name, "input": value}
    return None
