"""Names of the Gemini wire that several files of this dialect need: where signatures rest, and how keys may be spelled.

Google's JSON takes every field in camelCase and in snake_case; what we write is camelCase.
"""

import re
from collections.abc import Mapping
from typing import Any

from jackfield.dialects.json_value import Object, read_object

MODEL_PREFIX = "models/"
UNREADABLE_SIGNATURE = "skip_thought_signature_validator"
"""What Google documents for calls whose signature is gone, such as those another model made."""

_SNAKE = re.compile(r"_([a-z0-9])")


def spelled(value: Any, at: str) -> Object:
    """The object at `at` with its own keys in camelCase; what is inside it is left alone. Raises BadRequest."""
    return camel(read_object(value, at))


def camel(value: Mapping[str, Any]) -> Object:
    if "_" not in "".join(value):
        return {**value}
    return {_SNAKE.sub(lambda match: match[1].upper(), name) if "_" in name else name: item for name, item in value.items()}


def bare_model(name: str) -> str:
    return name.removeprefix(MODEL_PREFIX)


def signature_in(extra: Mapping[str, Any]) -> str | None:
    """The thought signature of a text or a tool call. It rests where Google's OpenAI-compatible API puts it, so that clients
    of that form bring it back."""
    content = extra.get("extra_content")
    google = content.get("google") if isinstance(content, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


def signed(signature: Any) -> Object:
    """The reverse: the `extra` of a part that came with `signature`."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if isinstance(signature, str) and signature else {}
