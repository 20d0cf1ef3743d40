"""Errors of Google's APIs: `{"error": {"code", "message", "status", "details"}}`, in and out, also inside streams.

Knows Google's status words and the details that say more than the status. Which class a status means is openai_errors.py's
knowledge, told there in its words.
"""

import re
from typing import Any

import msgspec

from jackfield.core.errors import ContentRefused, JackfieldError, Malformed
from jackfield.core.redaction import redact
from jackfield.dialects import openai_errors
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_TYPE = "type.googleapis.com/google.rpc."
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")
_PLACE = re.compile(r"location is not supported|not available in your (?:country|region)", re.IGNORECASE)
_WORDS = {"RESOURCE_EXHAUSTED": "rate_limit_exceeded", "UNAUTHENTICATED": "authentication_error"}
_REASONS = {"API_KEY_INVALID": "invalid_api_key", "API_KEY_SERVICE_BLOCKED": "authentication_error"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def decode_error(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """The core error for an answer of `status` (300 or more). The body's own retry delay counts where no header told one."""
    error = _error_in(body)
    if error is None:
        return openai_errors.decode_error(status, body, provider=provider, retry_after_s=retry_after_s)
    if status == 400 and _PLACE.search(_text(error.get("message"))):
        status = 403
    wait_s = retry_after_s if retry_after_s is not None else _delay_s(error)
    return openai_errors.decode_error(status, _encode(_plainly(error)), provider=provider, retry_after_s=wait_s)


def in_band_error(value: Any, *, provider: str) -> JackfieldError | None:
    """The error that an object inside a good answer carries, None if it carries none."""
    error = value.get("error") if isinstance(value, dict) else None
    if not error:
        return None
    if not isinstance(error, dict):
        return openai_errors.in_band_error(value, provider=provider)
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return decode_error(code, _encode(value), provider=provider)
    return openai_errors.in_band_error(_plainly(error), provider=provider)


def blocked(feedback: Any, *, provider: str) -> ContentRefused | None:
    """What `promptFeedback` says, where it says that the prompt was blocked."""
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if not isinstance(reason, str) or reason == "BLOCK_REASON_UNSPECIFIED":
        return None
    told = redact(_text(feedback.get("blockReasonMessage")))[:300]
    return ContentRefused(f"the prompt was blocked ({reason})" + (f": {told}" if told else ""), provider=provider or None)


def broken_answer(reason: str, told: Any, *, provider: str) -> Malformed:
    """For finish reasons that say the model's answer could not be read: such an answer is never passed off as whole."""
    detail = redact(_text(told))[:300]
    return Malformed(
        f"the model's answer could not be read by its own API (finishReason {reason})" + (f": {detail}" if detail else ""),
        provider=provider or None,
    )


def _error_in(body: bytes) -> Object | None:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else None


def _plainly(error: Object) -> Object:
    """The error in the words that openai_errors.py reads: a code for what Google's details say, and the field at fault."""
    info = _detail(error, "ErrorInfo")
    code = _REASONS.get(_text(info.get("reason"))) or _WORDS.get(_text(error.get("status")), "")
    violations = _detail(error, "BadRequest").get("fieldViolations")
    first = violations[0] if isinstance(violations, list) and violations and isinstance(violations[0], dict) else {}
    plain: Object = {"message": _text(error.get("message")), "param": _text(first.get("field"))}
    if code:
        plain["code"] = code
    return {"error": plain}


def _detail(error: Object, kind: str) -> Object:
    details = error.get("details")
    for item in details if isinstance(details, list) else ():
        if isinstance(item, dict) and item.get("@type") == f"{_TYPE}{kind}":
            return item
    return {}


def _delay_s(error: Object) -> float | None:
    delay = _DELAY.fullmatch(_text(_detail(error, "RetryInfo").get("retryDelay")))
    return float(delay[1]) if delay else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def encode_error(error: JackfieldError) -> bytes:
    """The body that Google's clients read; our code, slot, provider and request id are in its details."""
    known = {"slot": error.slot, "provider": error.provider, "request_id": error.request_id, "param": error.param}
    info: Object = {
        "@type": f"{_TYPE}ErrorInfo",
        "reason": error.code.upper(),
        "domain": "jackfield",
        "metadata": {name: str(value) for name, value in known.items() if value is not None},
    }
    details = [info]
    if error.retry_after_s is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    if error.param is not None:
        fields = [{"field": error.param, "description": redact(error.message)}]
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": fields})
    told = {"code": error.status, "message": redact(str(error)), "status": status_word(error.status), "details": details}
    return _encode({"error": told})


def status_word(status: int) -> str:
    """Google's word for an HTTP status."""
    return _STATUSES.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
