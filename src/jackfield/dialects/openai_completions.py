"""OpenAI's older completions: a prompt in, its continuation out.

A source that completes prompts is sent the request as it is. For all others a prompt becomes the one message of a chat, and
what only a completion has is refused by name. Pure. Source: platform.openai.com/docs/api-reference/completions (October 2026).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, NotSupported
from jackfield.core.events import ChatReply, Event, Finished, TextDelta, UsageReported
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat, sse
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_value import Object, field_value, missing, wrong_type
from jackfield.dialects.openai_chat_quirks import ChatQuirks
from jackfield.dialects.openai_chat_reply import encode_reason, read_reason
from jackfield.dialects.openai_chat_usage import encode_usage, read_count, read_usage
from jackfield.dialects.openai_errors import in_band_error

NAME = "openai_completions"
PATH = "completions"
_OWN = frozenset({"prompt", "suffix", "best_of", "echo", "logprobs", "n"})
_LOGPROBS = ("logprobs", "top_logprobs")
_OF_CHATS = ("reasoning_effort", "parallel_tool_calls", "context_length")
_ELSEWHERE = "name a slot whose source completes prompts, or leave it out"
_encode = msgspec.json.encode


def quirks_of(quirks: ChatQuirks) -> ChatQuirks:
    """What remains of a source's habits where it is sent a prompt: there is one name for the length, and nothing of chats."""
    return ChatQuirks(stream_usage=quirks.stream_usage, max_tokens_field="max_tokens", drop_fields=_OF_CHATS)


def settings_for(defaults: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The settings of a slot that mean the same here: `logprobs` is a number in this call and a flag in a chat."""
    return {name: value for name, value in defaults.items() if name not in _LOGPROBS}


def decode_request(fields: Mapping[str, msgspec.Raw]) -> ChatRequest:
    """For a source that chats. Raises BadRequest naming the field, NotSupported for what only a completion has."""
    prompt = _prompt(None if "prompt" not in fields else field_value("prompt", fields["prompt"]))
    for name in ("suffix", "echo", "logprobs"):
        if name in fields and field_value(name, fields[name]) not in (None, False, ""):
            raise NotSupported(f"{name} is nothing for a source that chats: {_ELSEWHERE}", param=name)
    for name in ("n", "best_of"):
        if name in fields and field_value(name, fields[name]) not in (None, 1):
            raise NotSupported(f"{name} must be 1 for a source that chats: {_ELSEWHERE} and ask several times", param=name)
    messages = msgspec.Raw(_encode([{"role": "user", "content": prompt}]))
    others = {name: raw for name, raw in fields.items() if name not in _OWN}
    return openai_chat.decode_request({**others, "messages": messages})


def _prompt(value: Any) -> str:
    if value is None:
        raise missing("prompt")
    if isinstance(value, list):
        if len(value) != 1:
            raise NotSupported(
                f"prompt must be one text for a source that chats, got a list of {len(value)}: "
                "send a request for each, or name a slot whose source completes prompts",
                param="prompt",
            )
        value = value[0]
    if isinstance(value, int | list):
        raise NotSupported("prompt must be text for a source that chats, got tokens", param="prompt")
    if not isinstance(value, str):
        raise wrong_type("prompt", "a text", value)
    return value


def encode_reply(reply: ChatReply, *, id: str, created: int) -> bytes:
    choice = _choice(reply.text, encode_reason(reply.finish_reason))
    body: Object = {"id": id, "object": "text_completion", "created": created, "model": reply.model, "choices": [choice]}
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    return _encode(body)


def decode_reply(body: bytes, *, provider: str = "") -> ChatReply:
    """The first of the continuations. Raises Malformed for what is none, the mapped error for one sent with a good status."""
    whole = answer_object(body, provider)
    error = in_band_error(whole, provider=provider)
    if error is not None:
        raise error
    choice = _first_choice(whole)
    if choice is None:
        raise Malformed("the answer holds no choice with a text", provider=provider or None)
    reason, raw_reason = read_reason(choice.get("finish_reason"), called=False, provider=provider)
    used = whole.get("usage")
    return ChatReply(
        text_message("assistant", choice["text"]),
        str(whole.get("model") or ""),
        reason,
        id=str(whole.get("id") or ""),
        created=read_count(whole.get("created")),
        usage=read_usage(used) if isinstance(used, dict) else None,
        raw_finish_reason=raw_reason,
    )


def _first_choice(whole: Object) -> Object | None:
    choices = whole.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and isinstance(first.get("text"), str) else None


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
