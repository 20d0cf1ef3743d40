"""Whole Gemini answers: bytes to a ChatReply and back, and the cheap looks that a relay takes at raw bodies.

Knows the answer object. A stream that came as one JSON array is a whole answer too.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken
from jackfield.core.events import ChatReply, Event, FinishReason, fold_events
from jackfield.dialects.gemini_errors import in_band_error
from jackfield.dialects.gemini_events import AnswerReader
from jackfield.dialects.gemini_framing import ObjectDecoder
from jackfield.dialects.gemini_logprobs import encode_logprobs
from jackfield.dialects.gemini_turns import answer_parts, unreadable_call
from jackfield.dialects.gemini_usage import encode_usage
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
_WORDS: Mapping[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "other": "OTHER",
}
_OUR_WORDS = frozenset(
    ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "NO_IMAGE", "IMAGE_OTHER")
)
_CANDIDATE = (
    "safetyRatings",
    "citationMetadata",
    "groundingMetadata",
    "avgLogprobs",
    "tokenCount",
    "urlContextMetadata",
    "finishMessage",
)
_TOP = ("promptFeedback", "modelStatus")


def decode_reply(body: bytes, *, provider: str = "", model: str = "") -> ChatReply:
    """The answer in `body`. `model` is told where the source names none.

    Raises Malformed for what is no answer of this dialect, ContentRefused for a blocked prompt, the mapped error for an error
    sent with a good status.
    """
    reader = AnswerReader(provider, model)
    events: list[Event] = []
    for data in _objects(body):
        value = answer_object(data, provider)
        if not value.keys() & {"candidates", "promptFeedback", "error"}:
            raise Malformed("the answer holds no candidates", provider=provider or None)
        reader.take(value, events)
    if not events:
        raise Malformed("the answer is empty", provider=provider or None)
    try:
        return fold_events(events + reader.end())
    except StreamBroken:
        raise Malformed("the answer's candidate does not say why it ended", provider=provider or None) from None


def _objects(body: bytes) -> list[bytes]:
    return ObjectDecoder().feed(body) if body.lstrip()[:1] == b"[" else [body]


def encode_reply(reply: ChatReply, *, id: str, created: int) -> bytes:
    """The body of a whole answer. `created` is not told on this wire."""
    candidate: Object = {"content": {"parts": answer_parts(reply.message), "role": "model"}, "index": 0}
    candidate |= candidate_end(reply.finish_reason, reply.raw_finish_reason, reply.extra, unreadable_call(reply.message) or "")
    if reply.logprobs:
        candidate["logprobsResult"] = encode_logprobs(reply.logprobs)
    body: Object = {"candidates": [candidate], **top_extra(reply.extra)}
    if reply.usage is not None:
        body["usageMetadata"] = encode_usage(reply.usage)
    return _encode(body | {"modelVersion": reply.model, "responseId": id})


def candidate_end(reason: FinishReason, raw: str | None, extra: Mapping[str, Any], unreadable: str = "") -> Object:
    """How a candidate ends, with the leftovers of its like. `unreadable` names a call whose arguments are no JSON object."""
    if unreadable:
        told = f"the model called {unreadable} with arguments that are no JSON object"
        return {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": told}
    word = raw if raw in _OUR_WORDS else _WORDS[reason]
    candidates = extra.get("candidates")
    if not candidates:
        return {"finishReason": word}
    kept = candidates[0] if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict) else {}
    return {"finishReason": word} | {name: kept[name] for name in _CANDIDATE if name in kept}


def top_extra(extra: Mapping[str, Any]) -> Object:
    return {name: extra[name] for name in _TOP if name in extra} if extra else {}


def is_empty(body: bytes) -> bool:
    """Whether a whole answer says nothing: no text, no call, no picture, and no reason why. Raises as `decode_reply` does."""
    reply = decode_reply(body)
    said = any(part.text if hasattr(part, "text") else True for part in reply.message.parts) or reply.message.extra
    return not said and reply.finish_reason not in ("length", "content_filter")


def reply_error(body: bytes, *, provider: str = "") -> JackfieldError | None:
    """The error that a body sent with status 200 really is: an error object, or no JSON object at all. None for a good one."""
    try:
        return in_band_error(answer_object(body, provider), provider=provider)
    except Malformed as error:
        return error
