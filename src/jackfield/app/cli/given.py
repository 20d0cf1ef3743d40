"""Reads KEY=VALUE words and the short options for a provider's config. Keys themselves are never taken from a command line."""

import json
from collections.abc import Sequence
from typing import Any

from jackfield.app.cli.failures import UsedWrongly


def pairs(words: Sequence[str] | None) -> dict[str, Any]:
    """{"temperature": 0.3} of ["temperature=0.3"]: values are JSON where they are valid JSON, else text."""
    found: dict[str, Any] = {}
    for word in words or ():
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            raise UsedWrongly(f"--set takes KEY=VALUE, got {word!r}", param="--set")
        found[key.strip()] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def provider_config(words: Sequence[str] | None, *, base_url: str | None, api_key_env: str | None) -> dict[str, Any]:
    """The config that the options describe. Raises UsedWrongly for a literal key: others can read a command line."""
    from jackfield.store.references import literal_secrets

    given = pairs(words)
    if base_url is not None:
        given["base_url"] = base_url
    if api_key_env is not None:
        given["api_key"] = f"env:{api_key_env}"
    for path in literal_secrets({key: value for key, value in given.items() if key != "model"}):
        raise UsedWrongly(
            f"{path[0]} holds a key itself, and a command line is no place for one: put it away with "
            f"jackfield secrets set NAME, then give the reference it prints, or use --api-key-env NAME",
            param="--set",
        )
    return given
