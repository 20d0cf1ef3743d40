"""Errors of Cohere's API: a status and a message to a core error, and failures told inside an answer.

Knows the statuses and sentences that are Cohere's own; what all others mean is openai_errors.py's knowledge.
"""

import re
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.dialects import openai_errors

_encode = msgspec.json.Encoder().encode
_TOKEN = re.compile(rb"token", re.IGNORECASE)
# A trial key's calls of a month are spent like money: no wait that a request could take brings them back.
_MONTH = re.compile(rb"/\s*month|per month", re.IGNORECASE)
_ENDS = {"ERROR": 500, "TIMEOUT": 504}


def decode_error(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """The core error for an answer of `status` (300 or more) with `body`, which may be JSON of any shape, text or HTML."""
    if status == 498:
        # Their reference calls it an unsafe request, their client an invalid token: the message tells which.
        status = 401 if _TOKEN.search(body) else 451
    elif status == 429 and _MONTH.search(body):
        status = 402
    return openai_errors.decode_error(status, body, provider=provider, retry_after_s=retry_after_s)


def ended_error(reason: Any, said: Any, *, provider: str) -> JackfieldError | None:
    """The error that an answer ended with, by its `finish_reason` and what was said of it; None for an end that is none."""
    status = _ENDS.get(reason) if isinstance(reason, str) else None
    if status is None:
        return None
    message = said if isinstance(said, str) and said else f"the model failed while it answered (finish_reason {reason})"
    return openai_errors.decode_error(status, _encode({"message": message}), provider=provider)


def in_band_error(value: dict[str, Any], *, provider: str) -> JackfieldError | None:
    """The error that stands where an answer should: `{"message": "..."}` or `{"error": ...}`. None if it is an answer."""
    message = value.get("message")
    told = {"error": {"message": message}} if isinstance(message, str) and message else value
    return openai_errors.in_band_error(told, provider=provider)
