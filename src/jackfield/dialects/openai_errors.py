"""Errors of OpenAI-style APIs: a status and a body to a core error, and a core error to the wire.

The status decides; words are read only where one status means several things (400, 403, 404, 413, 422, 429, 500). Knows
many servers' ways to write an error, and no server by name. What upstream said is kept, shortened and redacted.
"""

import html
import re
from typing import Any

import msgspec

from jackfield.core.errors import (
    MODEL_LOADING,
    AuthFailed,
    BadRequest,
    BodyTooLarge,
    BudgetSpent,
    ContentRefused,
    ContextOverflow,
    JackfieldError,
    ModelNotFound,
    NotAllowed,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    RequestRejected,
    ServiceFailed,
    TimedOut,
    Unavailable,
    Upstream,
)
from jackfield.core.redaction import redact

_MAX_MESSAGE_CHARS = 1000
_MAX_PAGE_CHARS = 200
_MAX_READ_CHARS = 4000
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (?:size|length|window|limit)"
    r"|prompt is too long|input is too long|too many (?:input )?tokens|reduce the length|max_model_len"
    r"|string_above_max_length|exceeds? the (?:model'?s )?(?:maximum )?(?:number of )?(?:input )?tokens?",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"content[_ ](?:filter|policy|management)|responsible_?ai|moderation|flagged|safety (?:system|settings)", re.IGNORECASE
)
_MODEL = re.compile(
    r"model_not_found|model_not_exist|unknown_model|invalid_model"
    r"|\bmodels?\b.{0,200}?(?:not found|not exist|no longer|not available|not supported|is unknown|decommissioned)"
    r"|(?:no such|unknown|unsupported|invalid|not a valid|not find(?: the)?|nonexistent) model",
    re.IGNORECASE | re.DOTALL,
)
_KEY = re.compile(
    r"invalid_api_key|authentication_error|unauthori[sz]ed"
    r"|(?:invalid|incorrect|missing|no) api[-_ ]?key|api[-_ ]?key not valid",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"insufficient_(?:quota|balance|credits?|funds)|billing_(?:hard_limit|not_active)|billing hard limit"
    r"|exceeded your current quota|insufficient (?:balance|credits?|funds)|out of credits|credit balance|payment required"
    r"|spend(?:ing)? limit",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"unsupported[_ ](?:parameter|value)|not_supported|unknown_parameter|unrecognized request argument"
    r"|(?:does|do) ?n[o']t support",
    re.IGNORECASE,
)
# Rate limits of some servers speak of quota and billing too, but they tell when to come back.
_SOON = re.compile(r"rate_limit_exceeded|(?:try again|retry) (?:in|after)\b", re.IGNORECASE)
_RATE = re.compile(r"rate[_ ]limit|too many requests", re.IGNORECASE)
_BUSY = re.compile(r"overloaded|server_busy|at capacity|loading model", re.IGNORECASE)
_LOADING = re.compile(r"loading model|model.{0,80}\bloading\b", re.IGNORECASE)
# llama.cpp answers 500 for tools and messages that it cannot read; asked again, it says the same.
_UNREADABLE = re.compile(r"failed to parse (?:tools|messages)\b", re.IGNORECASE)
_REQUEST = re.compile(r"invalid_request|bad ?request|validation_error", re.IGNORECASE)

_HINTS: dict[type[JackfieldError], str] = {
    AuthFailed: "check the key of this slot",
    BudgetSpent: "top up the account there, or use another slot",
    ModelNotFound: "see which models it lists",
    RateLimited: "wait, or use another slot",
    Overloaded: "try again shortly, or use another slot",
    ContextOverflow: "shorten the prompt or max_tokens, or use a model with a larger context",
}
_TYPES: tuple[tuple[type[JackfieldError], str], ...] = (
    (BudgetSpent, "insufficient_quota"),
    (AuthFailed, "authentication_error"),
    (NotAllowed, "permission_error"),
    (RequestRejected, "invalid_request_error"),
    (NotFound, "not_found_error"),
    (RateLimited, "rate_limit_error"),
    (Overloaded, "overloaded_error"),
    (TimedOut, "timeout_error"),
    (Upstream, "upstream_error"),
    (ServiceFailed, "service_error"),
)


class _Told(msgspec.Struct):
    """What a body says, whatever its shape. `words` is everything that may tell one cause from another."""

    message: str
    code: str | None = None
    param: str | None = None
    words: str = ""


def decode_error(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """The core error for an answer of `status` (300 or more) with `body`, which may be JSON of any shape, text or HTML."""
    told = _told(body)
    return _build(_class_of(status, told.words), status, told, provider, retry_after_s)


def in_band_error(value: Any, *, provider: str) -> JackfieldError | None:
    """The error that an object inside a successful answer carries, None if it carries none.

    A numeric `code` counts as the status the source would have sent; without one the source is taken to have failed.
    """
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if not error and value.get("object") != "error":
        return None
    told = _from_object(value)
    status = _in_band_status(error if isinstance(error, dict) else value)
    class_ = _class_of(status, told.words) if status else _class_without_status(told.words)
    return _build(class_, status or Unavailable.default_status, told, provider, None)


def encode_error(error: JackfieldError) -> bytes:
    """The body that OpenAI clients understand, plus `slot`, `provider` and `request_id` where they are known."""
    return _encode({"error": error_object(error)})


def error_object(error: JackfieldError) -> dict[str, Any]:
    """The object under `error`."""
    found: dict[str, Any] = {
        "message": redact(str(error)),
        "type": next((name for class_, name in _TYPES if isinstance(error, class_)), "server_error"),
        "param": error.param,
        "code": error.code,
    }
    slot = None if error.slot is None else int(error.slot)  # a SlotNumber has no place in JSON
    known = {"slot": slot, "provider": error.provider, "request_id": error.request_id}
    return found | {name: value for name, value in known.items() if value is not None}


def _build(
    class_: type[JackfieldError], status: int, told: _Told, provider: str, retry_after_s: float | None
) -> JackfieldError:
    said = redact(told.message[:_MAX_READ_CHARS])[:_MAX_MESSAGE_CHARS]
    hint = _HINTS.get(class_)
    if class_ is Upstream:
        hint = f"nothing answers there as expected (status {status}): check its base URL"
    elif class_ is AuthFailed and status == 403:
        hint = "the key of this slot may not do this"
    message = said or f"the source answered with status {status} and no explanation"
    keeps_status = (class_ is BadRequest and 400 <= status < 500) or (class_ is AuthFailed and status == 403)
    is_loading = class_ is Overloaded and _LOADING.search(told.words) is not None
    keeps_code = class_ in (BadRequest, RateLimited, NotSupported) and told.code and _CODE.fullmatch(told.code)
    return class_(
        f"{message} ({hint})" if hint else message,
        provider=provider or None,
        status=status if keeps_status else None,
        code=told.code if keeps_code else MODEL_LOADING if is_loading else None,
        param=told.param,
        retry_after_s=retry_after_s,
    )


def _class_of(status: int, words: str) -> type[JackfieldError]:
    match status:
        case 400 | 422:
            return _class_by_words(words) or BadRequest
        case 401:
            return AuthFailed
        case 402:
            return BudgetSpent
        case 403:
            return _first(words, (_MONEY, BudgetSpent), (_CONTENT, ContentRefused)) or AuthFailed
        case 404:
            return ModelNotFound if _MODEL.search(words) else Upstream
        case 408 | 504 | 524:
            return TimedOut
        case 409 | 425 | 498 | 503 | 529:
            return Overloaded
        case 413:
            return _first(words, (_CONTEXT, ContextOverflow)) or BodyTooLarge
        case 429:
            return _first(words, (_SOON, RateLimited), (_MONEY, BudgetSpent)) or RateLimited
        case 451:
            return ContentRefused
        case 501:
            return NotSupported
        case 500 if _UNREADABLE.search(words):
            return BadRequest
    if status < 400 or status == 405:
        return Upstream
    return Unavailable if status >= 500 else BadRequest


def _class_by_words(words: str) -> type[JackfieldError] | None:
    return _first(
        words,
        (_CONTEXT, ContextOverflow),
        (_KEY, AuthFailed),
        (_MONEY, BudgetSpent),
        (_UNSUPPORTED, NotSupported),
        (_CONTENT, ContentRefused),
        (_MODEL, ModelNotFound),
    )


def _class_without_status(words: str) -> type[JackfieldError]:
    rules = ((_RATE, RateLimited), (_BUSY, Overloaded), (_REQUEST, BadRequest))
    return _class_by_words(words) or _first(words, *rules) or Unavailable


def _first(words: str, *rules: tuple[re.Pattern[str], type[JackfieldError]]) -> type[JackfieldError] | None:
    return next((class_ for pattern, class_ in rules if pattern.search(words)), None)


def _in_band_status(error: dict[str, Any]) -> int | None:
    for name in ("code", "status", "status_code"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _told(body: bytes) -> _Told:
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = _page_text(body)
        return _Told(text, words=text)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        return _from_object(value)
    text = value[:_MAX_READ_CHARS] if isinstance(value, str) else ""
    return _Told(text, words=text)


def _from_object(value: dict[str, Any]) -> _Told:
    """`{"error": {...}}`, `{"error": "text"}`, `{"message": ...}`, FastAPI's `{"detail": ...}`, and what is near them."""
    error = value.get("error")
    holder = error if isinstance(error, dict) else value
    message = _text_of(holder, "message", "error_message", "msg", "title")
    param = _text_of(holder, "param") or None
    if not message and isinstance(error, str):
        message = error
    if not message and (detail := value.get("detail")) is not None:
        message, param = _from_detail(detail)
    code, kind = _text_of(holder, "code"), _text_of(holder, "type")
    words = " ".join((code, kind, _inner_words(holder), message))[:_MAX_READ_CHARS]
    return _Told(message, code or None, param, words)


def _inner_words(holder: dict[str, Any]) -> str:
    inner = holder.get("innererror") or holder.get("inner_error")
    return _text_of(inner, "code") if isinstance(inner, dict) else ""


def _from_detail(detail: Any) -> tuple[str, str | None]:
    if isinstance(detail, str):
        return detail, None
    if isinstance(detail, dict):
        return _text_of(detail, "message", "msg", "error"), None
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = _place(detail[0].get("loc"))
        said = _text_of(detail[0], "msg", "message")
        return (f"{place}: {said}" if place else said), place
    return "", None


def _place(loc: Any) -> str | None:
    """FastAPI's ["body", "messages", 0, "content"] as messages[0].content."""
    if not isinstance(loc, list):
        return None
    steps = loc[1:] if loc[:1] == ["body"] else loc
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".") or None


def _text_of(value: dict[str, Any], *names: str) -> str:
    return next((text for name in names if isinstance(text := value.get(name), str) and text), "")


def _page_text(body: bytes) -> str:
    """Plain text or an HTML page as one short line: the page's title if it has one."""
    text = body[:_MAX_READ_CHARS].decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title:
        text = title[1]
    elif "<" in text:
        text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    return " ".join(html.unescape(text).split())[:_MAX_PAGE_CHARS]
