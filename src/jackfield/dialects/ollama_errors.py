"""Errors of Ollama's API: `{"error": "text"}`, in and out, also as a line of a stream.

Knows the one shape and the one fault that only this API has: a tool call that its server could not read. Which class a status
or a text means is openai_errors.py's knowledge.
"""

import re
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, ToolCallParseError, Upstream
from jackfield.core.redaction import redact
from jackfield.dialects import ndjson, openai_errors

_encode = msgspec.json.Encoder().encode
_UNREADABLE_CALL = re.compile(r"error parsing tool call|(?:invalid|malformed|failed to parse) tool call", re.IGNORECASE)


def decode_error(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """The core error for an answer of `status` (300 or more)."""
    return _as_call_fault(
        openai_errors.decode_error(status, body, provider=provider, retry_after_s=retry_after_s), provider=provider
    )


def in_band_error(value: Any, *, provider: str) -> JackfieldError | None:
    """The error that an object of a good answer carries, None if it carries none."""
    error = openai_errors.in_band_error(value, provider=provider)
    return None if error is None else _as_call_fault(error, provider=provider)


def unreadable_call(name: str, *, provider: str = "") -> ToolCallParseError:
    """For a call whose arguments are no JSON object and cannot be made one; they are not shown, being the model's words."""
    return ToolCallParseError(
        f"the model called {name[:60] or 'a tool'} with arguments that are no JSON object (ask again, or use a model that is "
        "better with tools)",
        provider=provider or None,
    )


def _as_call_fault(error: JackfieldError, *, provider: str) -> JackfieldError:
    if isinstance(error, Upstream) and _UNREADABLE_CALL.search(error.message):
        return unreadable_call("", provider=provider)
    return error


def encode_error(error: JackfieldError) -> bytes:
    """The body that Ollama's clients read: text and nothing else."""
    return _encode({"error": redact(str(error))})


def encode_stream_error(error: JackfieldError) -> bytes:
    """An error as a line of a stream that has already begun. The stream must end after it."""
    return ndjson.encode(encode_error(error))
