"""Errors of the Messages dialect: a status and a body, or an object in an answer, to a core error; and back to the wire.

Knows the words of this dialect's error types; what statuses and sentences mean is openai_errors.py's knowledge, since
services write much the same.
"""

from typing import Any

import msgspec

from jackfield.core.errors import (
    AuthFailed,
    BodyTooLarge,
    BudgetSpent,
    JackfieldError,
    ModelNotFound,
    NotAllowed,
    NotFound,
    Overloaded,
    RateLimited,
    RequestRejected,
    TimedOut,
)
from jackfield.dialects import openai_errors, sse
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TYPES: tuple[tuple[type[JackfieldError], str], ...] = (
    (BudgetSpent, "billing_error"),
    (AuthFailed, "authentication_error"),
    (NotAllowed, "permission_error"),
    (BodyTooLarge, "request_too_large"),
    (RequestRejected, "invalid_request_error"),
    (NotFound, "not_found_error"),
    (RateLimited, "rate_limit_error"),
    (Overloaded, "overloaded_error"),
    (TimedOut, "timeout_error"),
)


def decode_error(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """The core error for an answer of `status` (300 or more) with `body`, which may be JSON of any shape, text or HTML."""
    if status == 404 and (model := _unknown_model(body)) is not None:
        return ModelNotFound(f"it has no {model} (see which models it lists)", provider=provider or None)
    return openai_errors.decode_error(status, body, provider=provider, retry_after_s=retry_after_s)


def _unknown_model(body: bytes) -> str | None:
    """ "model: NAME" is all that the source says about a model that it does not have."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message[:200] if isinstance(message, str) and message.startswith("model:") else None


def in_band_error(value: Any, *, provider: str) -> JackfieldError | None:
    """The error that an object inside a successful answer carries, None if it carries none."""
    if not isinstance(value, dict) or not value.get("error"):
        return None
    error = value["error"]
    kind = error.get("type") if isinstance(error, dict) else None
    status = _STATUSES.get(kind) if isinstance(kind, str) else None
    if status is None:
        return openai_errors.in_band_error(value, provider=provider)
    return decode_error(status, _encode(value), provider=provider)


def encode_error(error: JackfieldError) -> bytes:
    """The body that clients of this dialect understand; `slot` and `provider` stand beside the message where they are known."""
    return _encode(_error_object(error))


def encode_stream_error(error: JackfieldError) -> bytes:
    """An error as an event of a stream that has already begun, also one that was relayed. The stream must end after it."""
    return sse.encode(encode_error(error), "error")


def _error_object(error: JackfieldError) -> Object:
    told = openai_errors.error_object(error)
    request_id = told.pop("request_id", None)
    kind = next((name for class_, name in _TYPES if isinstance(error, class_)), "api_error")
    inner = {"type": kind, "message": told.pop("message")}
    beside = {name: told[name] for name in ("code", "param", "slot", "provider") if told.get(name) is not None}
    value: Object = {"type": "error", "error": inner | beside}
    return value if request_id is None else value | {"request_id": request_id}
