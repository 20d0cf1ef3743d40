"""Errors of AWS's Bedrock runtime: a status, a type and a message to a core error, in answers and in streams.

Knows AWS's exception names. Which class a status means is openai_errors.py's knowledge, told there in its words.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.dialects import openai_errors

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_STATUSES: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 401,
    "IncompleteSignatureException": 401,
    "InternalServerException": 500,
    "InvalidSignatureException": 401,
    "MissingAuthenticationTokenException": 401,
    "ModelErrorException": 502,
    "ModelNotReadyException": 503,
    "ModelStreamErrorException": 502,
    "ModelTimeoutException": 504,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnrecognizedClientException": 401,
    "ValidationException": 400,
}
_CODES: Mapping[str, str] = {
    "ResourceNotFoundException": "model_not_found",
    "ServiceQuotaExceededException": "rate_limit_exceeded",
    "ThrottlingException": "rate_limit_exceeded",
}
_NO_MODEL = re.compile(
    r"model identifier is invalid|model ID .{0,200} isn.t supported|end of its life", re.IGNORECASE | re.DOTALL
)
_UNKNOWN_STATUS = 500


def decode_error(
    status: int, body: bytes, *, provider: str, retry_after_s: float | None = None, kind: str = ""
) -> JackfieldError:
    """The core error for an answer of `status` (300 or more). `kind` is the type that a header told, where one did."""
    told = _told(body)
    if told is None:
        return openai_errors.decode_error(status, body, provider=provider, retry_after_s=retry_after_s)
    named = bare_type(kind or _text(told, "__type", "code"))
    return _build(_STATUSES.get(named, status), named, _text(told, "message", "Message"), provider, retry_after_s)


def stream_error(kind: str, body: bytes, *, provider: str) -> JackfieldError:
    """The core error for an exception inside a stream: its type ("throttlingException") and its payload or message."""
    named = kind[:1].upper() + kind[1:]
    told = _told(body) or {"message": body.decode("utf-8", "replace")}
    return _build(_STATUSES.get(named, _UNKNOWN_STATUS), named, _text(told, "message", "Message"), provider, None)


def bare_type(name: str) -> str:
    """ "ValidationException" of "com.amazon.coral#ValidationException:http://..."."""
    return name.partition(":")[0].rpartition("#")[2]


def _build(status: int, named: str, message: str, provider: str, retry_after_s: float | None) -> JackfieldError:
    code = "model_not_found" if status == 400 and _NO_MODEL.search(message) else _CODES.get(named, "")
    error: dict[str, Any] = {"message": message or named}
    if code:
        error["code"] = code
    return openai_errors.decode_error(status, _encode({"error": error}), provider=provider, retry_after_s=retry_after_s)


def _told(body: bytes) -> dict[str, Any] | None:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: Mapping[str, Any], *names: str) -> str:
    return next((text for name in names if isinstance(text := value.get(name), str) and text), "")
