"""Whole Ollama answers: bytes to a ChatReply and back, and the cheap looks that a relay takes at raw bodies.

Knows the answer object. A body that holds the lines of a stream is a whole answer too.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken
from jackfield.core.events import ChatReply, Event, FinishReason, fold_events
from jackfield.core.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_repair import json_in
from jackfield.dialects.json_value import Object, with_extra
from jackfield.dialects.ndjson import NdjsonDecoder
from jackfield.dialects.ollama_errors import in_band_error, unreadable_call
from jackfield.dialects.ollama_events import AnswerReader
from jackfield.dialects.ollama_request import Form
from jackfield.dialects.ollama_turns import readable_arguments
from jackfield.dialects.ollama_usage import encode_durations, encode_usage, read_usage

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_WORDS: Mapping[FinishReason, str] = {
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "other": "stop",
}
_NOT_OURS = ("choices", "candidates", "model", "created_at", "message", "response", "done", "done_reason")


def decode_reply(body: bytes, *, provider: str = "", model: str = "") -> ChatReply:
    """The answer in `body`. `model` is told where the source names none.

    Raises Malformed for what is no answer of this dialect, ToolCallParseError for a call in it that is beyond repair, the
    mapped error for an error sent with a good status.
    """
    reader = AnswerReader(provider, model)
    events: list[Event] = []
    for value in _objects(body, provider):
        if not value.keys() & {"message", "response", "done", "error"}:
            raise Malformed("the answer holds no message", provider=provider or None)
        reader.take(value, events)
    if not events:
        raise Malformed("the answer is empty", provider=provider or None)
    try:
        return fold_events(events + reader.end())
    except StreamBroken:
        raise Malformed("the answer does not say that it is done", provider=provider or None) from None


def _objects(body: bytes, provider: str) -> list[Object]:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoder = NdjsonDecoder(limit_bytes=len(body))
        lines = decoder.feed(body) + decoder.finish()
        if len(lines) > 1 and all(line.startswith(b"{") for line in lines):
            return [line_object(line, provider) for line in lines]
        return [line_object(body, provider)]
    return [value] if isinstance(value, dict) else [answer_object(body, provider)]


def line_object(line: bytes, provider: str) -> Object:
    """The object that a line is; one with a tool call in it may have slight faults. Raises Malformed."""
    try:
        return answer_object(line, provider)
    except Malformed:
        if b'"tool_calls"' not in line or not line.rstrip().endswith(b"}"):
            raise
        repaired = json_in(line.decode("utf-8", "replace"))
        if repaired is None:
            raise unreadable_call("", provider=provider) from None
        return answer_object(repaired.encode(), provider)


def encode_reply(reply: ChatReply, *, id: str, created: int, form: Form = "chat") -> bytes:
    """The body of a whole answer. `id` is not told on this wire. Raises ToolCallParseError for a call beyond repair."""
    body: Object = {"model": reply.model, "created_at": written_time(created)}
    said = encode_message(reply.message)
    if form == "chat":
        body["message"] = with_extra(said, reply.message.extra)
    else:
        said.pop("role")
        body |= {"response": said.pop("content"), **said}
    if reply.logprobs:
        body["logprobs"] = list(reply.logprobs)
    return _encode(body | answer_end(reply.finish_reason, reply.raw_finish_reason, reply.usage, reply.extra))


def encode_message(message: Message) -> Object:
    """An answer's message. Raises ToolCallParseError for a call whose arguments are beyond repair."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Object] = []
    for part in message.parts:
        match part:
            case TextPart(text) | RefusalPart(text):
                texts.append(text)
            case ReasoningPart(text, _, is_redacted):
                thoughts += () if is_redacted else (text,)
            case ToolCallPart():
                calls.append(encode_call(part, len(calls)))
    said: Object = {"role": "assistant", "content": "".join(texts)}
    if any(thoughts):
        said["thinking"] = "".join(thoughts)
    return said | ({"tool_calls": calls} if calls else {})


def encode_call(part: ToolCallPart, index: int) -> Object:
    """A call of an answer, the `index`-th in it."""
    arguments = readable_arguments(part.arguments)
    if arguments is None:
        raise unreadable_call(part.name)
    call: Object = {"id": part.id, "function": {"index": index, "name": part.name, "arguments": arguments}}
    return with_extra(call, part.extra, "function")


def answer_end(reason: FinishReason, raw: str | None, usage: Usage | None, extra: Mapping[str, Any]) -> Object:
    """The fields that say that an answer is whole, why, and what it took; `extra` may hold durations."""
    word = raw if reason == "other" and raw else _WORDS[reason]
    end: Object = {"done": True, "done_reason": word, **encode_usage(usage)}
    if not extra:
        return end
    kept = {name: value for name, value in extra.items() if name not in _NOT_OURS}
    return with_extra(with_extra(end, kept), encode_durations(extra))


@lru_cache(maxsize=64)
def written_time(created: int) -> str:
    """Unix seconds as this wire has them."""
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Look(msgspec.Struct, gc=False):
    prompt_eval_count: Any = None
    eval_count: Any = None


_look = msgspec.json.Decoder(_Look).decode


def reply_usage(body: bytes) -> Usage | None:
    """The token counts of a whole reply's bytes, None where it tells none. All else in `body` is skipped."""
    try:
        seen = _look(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return read_usage({"prompt_eval_count": seen.prompt_eval_count, "eval_count": seen.eval_count})


def is_empty(body: bytes) -> bool:
    """Whether a whole answer says nothing: no text, no thought, no call, and no reason why. Raises as `decode_reply` does."""
    reply = decode_reply(body)
    said = any(part.text if hasattr(part, "text") else True for part in reply.message.parts) or reply.message.extra
    return not said and reply.finish_reason not in ("length", "content_filter", "other")


def reply_error(body: bytes, *, provider: str = "") -> JackfieldError | None:
    """The error that a body sent with status 200 really is: an error object, or no JSON object at all. None for a good one."""
    try:
        return in_band_error(answer_object(body, provider), provider=provider)
    except Malformed as error:
        return error
