"""Whole answers of Cohere's chat API: bytes to a ChatReply.

Knows the answer object. It does not name the model, so the caller tells it. A tool plan is reasoning: it says why the tools are
called, and is no answer. Leftovers stay in `extra`.
"""

from typing import Any

from jackfield.core.errors import Malformed
from jackfield.core.events import ChatReply
from jackfield.core.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart
from jackfield.dialects.cohere_chat_usage import read_logprobs, read_reason, read_usage
from jackfield.dialects.cohere_errors import ended_error, in_band_error
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_value import Object, present, rest

CITATIONS = "citations"
_READ = ("id", "finish_reason", "message", "usage", "logprobs")


def decode_reply(body: bytes, *, provider: str = "", model: str = "") -> ChatReply:
    """Raises Malformed for what is no answer of this dialect, and the error that an answer which failed tells."""
    value = answer_object(body, provider)
    message, told = value.get("message"), value.get("finish_reason")
    if not isinstance(message, dict) or not isinstance(told, str):
        raise in_band_error(value, provider=provider) or Malformed("the answer holds no message", provider=provider or None)
    if (failed := ended_error(told, value.get("error"), provider=provider)) is not None:
        raise failed
    parts, others = _parts(message)
    called = any(isinstance(part, ToolCallPart) for part in parts)
    reason, raw = read_reason(told, called=called)
    return ChatReply(
        message=Message("assistant", tuple(parts), extra=message_extra(message.get(CITATIONS), others)),
        model=model,
        finish_reason=reason,
        id=text(value.get("id")),
        usage=read_usage(value.get("usage")),
        raw_finish_reason=raw,
        logprobs=read_logprobs(value.get("logprobs")),
        extra=present(rest(value, _READ)),
    )


def _parts(message: Object) -> tuple[list[Part], list[Object]]:
    """The parts of an answer, and the blocks that no core type names."""
    parts: list[Part] = []
    others: list[Object] = []
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) and content else content
    for block in blocks if isinstance(blocks, list) else ():
        match block:
            case {"type": "text"}:
                parts.append(TextPart(text(block.get("text"))))
            case {"type": "thinking"}:
                parts.append(ReasoningPart(text(block.get("thinking"))))
            case dict():
                others.append(block)
    if plan := text(message.get("tool_plan")):
        parts.append(ReasoningPart(plan))
    calls = message.get("tool_calls")
    parts += [_call(call) for call in (calls if isinstance(calls, list) else ()) if isinstance(call, dict)]
    return parts, others


def _call(call: Object) -> ToolCallPart:
    id_, name, arguments = read_call(call)
    return ToolCallPart(id_, name, arguments or "{}")


def read_call(call: Object) -> tuple[str, str, str]:
    """Id, name and arguments of a tool call, "" for what is not told (yet)."""
    function = call.get("function")
    known: Object = function if isinstance(function, dict) else {}
    return text(call.get("id")), text(known.get("name")), text(known.get("arguments"))


def message_extra(citations: Any, others: list[Object]) -> Object:
    cited = {CITATIONS: citations} if isinstance(citations, list) and citations else {}
    return cited | ({"content_parts": others} if others else {})


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""
