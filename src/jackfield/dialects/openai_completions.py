"""OpenAI's older completions: a prompt in, its continuation out. For clients; sources are asked in their own dialect.

A prompt becomes the one message of a chat, so a chat model answers it. Pure. Source: platform.openai.com/docs/api-reference/
completions (October 2026).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError, NotSupported
from jackfield.core.events import ChatReply, Event, Finished, TextDelta, UsageReported
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat, sse
from jackfield.dialects.json_value import Object, field_value, missing, wrong_type
from jackfield.dialects.openai_chat_reply import encode_reason
from jackfield.dialects.openai_chat_usage import encode_usage, read_usage

NAME = "openai_completions"
PATH = "completions"
_OWN = frozenset({"prompt", "suffix", "best_of", "echo", "logprobs", "n"})
_encode = msgspec.json.encode


def decode_request(fields: Mapping[str, msgspec.Raw]) -> ChatRequest:
    """Raises BadRequest naming the field, NotSupported for what a chat model has no answer to."""
    prompt = _prompt(None if "prompt" not in fields else field_value("prompt", fields["prompt"]))
    for name in ("suffix", "echo", "logprobs"):
        if name in fields and field_value(name, fields[name]) not in (None, False, ""):
            raise NotSupported(f"{name} is not served here: leave it out, or use chat completions", param=name)
    for name in ("n", "best_of"):
        if name in fields and field_value(name, fields[name]) not in (None, 1):
            raise NotSupported(f"{name} must be 1 here: ask several times for several answers", param=name)
    messages = msgspec.Raw(_encode([{"role": "user", "content": prompt}]))
    others = {name: raw for name, raw in fields.items() if name not in _OWN}
    return openai_chat.decode_request({**others, "messages": messages})


def _prompt(value: Any) -> str:
    if value is None:
        raise missing("prompt")
    if isinstance(value, list):
        if len(value) != 1:
            raise BadRequest(f"prompt must be one text, got a list of {len(value)}: send a request for each", param="prompt")
        value = value[0]
    if not isinstance(value, str):
        raise wrong_type("prompt", "a text", value)
    return value


def encode_reply(reply: ChatReply, *, id: str, created: int) -> bytes:
    choice = _choice(reply.text, encode_reason(reply.finish_reason))
    body: Object = {"id": id, "object": "text_completion", "created": created, "model": reply.model, "choices": [choice]}
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    return _encode(body)


def decode_reply(body: bytes) -> ChatReply:
    """What `encode_reply` wrote."""
    whole = msgspec.json.decode(body)
    choice = whole["choices"][0]
    used = whole.get("usage")
    return ChatReply(
        text_message("assistant", choice["text"]),
        whole["model"],
        choice["finish_reason"],
        id=whole["id"],
        created=whole["created"],
        usage=None if used is None else read_usage(used),
    )


class StreamEncoder:
    """A chat's events as completion chunks; what is no text has no place in them."""

    def __init__(self, *, id: str, created: int, model: str, include_usage: bool) -> None:
        self._same: Object = {"id": id, "object": "text_completion", "created": created, "model": model}
        self._include_usage = include_usage
        self._usage: Usage | None = None

    def encode(self, event: Event) -> bytes:
        match event:
            case TextDelta(_, text, _):
                return self._chunk(_choice(text, None))
            case UsageReported(usage):
                self._usage = usage
            case Finished(reason):
                return self._chunk(_choice("", encode_reason(reason)))
            case _:
                pass
        return b""

    def restarted(self, discard_chars: int) -> bytes:
        """A chunk without text whose field `jackfield` says that all text so far is void."""
        return self._chunk(_choice("", None), {"jackfield": {"restarted": True, "discard_chars": discard_chars}})

    def end(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return openai_chat.DONE_EVENT
        return sse.encode(_encode({**self._same, "choices": [], "usage": encode_usage(self._usage)})) + openai_chat.DONE_EVENT

    def error(self, error: JackfieldError) -> bytes:
        return openai_chat.encode_stream_error(error)

    def _chunk(self, choice: Object, extra: Mapping[str, Any] | None = None) -> bytes:
        return sse.encode(_encode({**self._same, "choices": [choice], **(extra or {})}))


def _choice(text: str, reason: str | None) -> Object:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
