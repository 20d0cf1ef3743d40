"""Reads what a tool is given as text. Says which argument is wrong without showing it: there may be a key in it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest


def config_of(text: str) -> Mapping[str, Any] | None:
    """The settings in `text`; None, which means those saved, where it has none. Raises BadRequest, without showing it."""
    try:
        config = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest(
            'config is not valid JSON: give an object as text, such as {"model": "llama3"}', param="config"
        ) from None
    if not isinstance(config, dict):
        raise BadRequest(f"config must be a JSON object, got {type(config).__name__}", param="config")
    return config or None
