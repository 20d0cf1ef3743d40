"""The one place where what went wrong in the control door becomes an answer: a status and an OpenAI-shaped error object.

Core errors keep their status; what Litestar raises is translated first; anything else is a fault of ours, logged with its
trace and answered with a 500 that says nothing of the inside.
"""

import logging
from collections.abc import Callable, Collection
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from jackfield.core.errors import BadRequest, BodyTooLarge, JackfieldError, NotFound
from jackfield.core.redaction import redact, redact_error
from jackfield.dialects.openai_chat import encode_error

log = logging.getLogger("jackfield.control")

MAX_BODY_BYTES = 1024 * 1024

ErrorHandler = Callable[[Request[Any, Any, Any], Exception], Response[bytes]]


def error_handler(known_secrets: Callable[[], Collection[str]]) -> ErrorHandler:
    """Answers any exception that left a route, without the secrets of this process."""

    def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        known = as_core(request, error)
        redact_error(known, known_secrets())
        headers = {"cache-control": "no-store"}
        if known.retry_after_s is not None:
            headers["retry-after"] = str(max(1, round(known.retry_after_s)))
        return Response(encode_error(known), status_code=known.status, media_type="application/json", headers=headers)

    return answer_error


def as_core(request: Request[Any, Any, Any], error: Exception) -> JackfieldError:
    """`error` in the house's own tree."""
    if isinstance(error, JackfieldError):
        return error
    if isinstance(error, ValidationException):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _from_http(request, error)
    log.error("control door: %s %s failed", request.method, request.url.path, exc_info=_without_secrets(error))
    return JackfieldError("the gateway made a mistake; its log says more, under jackfield.control")


def _invalid(error: ValidationException) -> BadRequest:
    details = error.extra if isinstance(error.extra, list) else []
    first = details[0] if details else {}
    name = first.get("key")
    if name == "data":
        return BadRequest("this call needs a JSON body")
    message = str(first.get("message", error.detail))
    return BadRequest(f"{name}: {message[:1].lower()}{message[1:]}" if name else message, param=name)


def _from_http(request: Request[Any, Any, Any], error: HTTPException) -> JackfieldError:
    match error.status_code:
        case 404:
            return NotFound(
                f"there is no {request.url.path[:200]} here: GET /control/v1/schema/openapi.json lists the calls",
                code="not_found",
            )
        case 405:
            return BadRequest(f"{request.method} is not for {request.url.path[:200]}", status=405, code="method_not_allowed")
        case 413:
            return BodyTooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")
        case status if status < 500:
            return BadRequest(redact(error.detail), status=status)
        case _:
            return JackfieldError("the gateway made a mistake; its log says more, under jackfield.control")


def _without_secrets(error: Exception) -> Exception:
    redacted = redact(str(error))
    return error if redacted == str(error) else type("Redacted", (Exception,), {})(redacted).with_traceback(error.__traceback__)
