"""Takes literal secrets out of a provider's config and puts a reference in each one's place.

What is a secret and how references look is known by store/references.py; where a secret lies, by the store.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.store.references import is_secret_key, literal_secrets

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")
_SCHEMED = re.compile(r"((?:bearer|basic|token)\s+)(.+)", re.IGNORECASE | re.DOTALL)

Keep = Callable[[str, str], str]


def sealed(config: Mapping[str, Any], keep: Keep) -> dict[str, Any]:
    """A deep copy of `config` in which every literal secret went through `keep(name, value)`, which gives its reference.

    `${NAME}` becomes `env:NAME`. `name` is the path in the config ("api_key", "headers/authorization"). Raises BadRequest
    for a credential where no reference can stand, such as in a URL (those are logged and shown), and for what is not JSON.
    """
    copy: dict[str, Any] = _copied(_plain(config))
    for path in list(literal_secrets(copy)):
        *above, last = path
        holder: Any = copy
        for step in above:
            holder = holder[step]
        shown = "/".join(str(step) for step in path)
        if not any(is_secret_key(str(step)) for step in path):
            raise BadRequest(f"{shown} holds a credential: take it out and give it as api_key", param=shown)
        holder[last] = _kept(shown.lower(), str(holder[last]), keep)
    return copy


def _plain(config: Mapping[str, Any]) -> Any:
    """As the store will give it back."""
    try:
        return msgspec.json.decode(msgspec.json.encode(dict(config)))
    except (TypeError, ValueError, RecursionError):
        raise BadRequest(
            "the config must be plain JSON: text, numbers, true and false, lists and objects", param="config"
        ) from None


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    environment = _ENVIRONMENT.match(value) if isinstance(value, str) else None
    return f"env:{environment[1]}" if environment else value


def _kept(name: str, value: str, keep: Keep) -> str:
    schemed = _SCHEMED.match(value)
    return schemed[1] + keep(name, schemed[2]) if schemed else keep(name, value)
