"""Whole answers of the Converse API: bytes to a ChatReply.

Knows the answer object. It names neither the model nor itself, so the caller tells the model. Leftovers stay in `extra`.
"""

from typing import Any

from jackfield.core.errors import Malformed
from jackfield.core.events import ChatReply
from jackfield.core.messages import Message
from jackfield.dialects.bedrock_converse_blocks import decode_blocks
from jackfield.dialects.bedrock_converse_usage import read_reason, read_usage
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_value import present, rest

_READ = ("output", "stopReason", "usage")


def decode_reply(body: bytes, *, provider: str = "", model: str = "") -> ChatReply:
    """Raises Malformed for what is no answer of this dialect, or one that its own API could not read."""
    value = answer_object(body, provider)
    output = value.get("output")
    message: Any = output.get("message") if isinstance(output, dict) else None
    if not isinstance(message, dict) or not isinstance(value.get("stopReason"), str):
        raise Malformed("the answer holds no message", provider=provider or None)
    parts, others = decode_blocks(message.get("content"))
    reason, raw = read_reason(value["stopReason"], provider=provider)
    return ChatReply(
        message=Message("assistant", tuple(parts), extra={"content_parts": others} if others else {}),
        model=model,
        finish_reason=reason,
        usage=read_usage(value.get("usage")),
        raw_finish_reason=raw,
        extra=present(rest(value, _READ)),
    )
