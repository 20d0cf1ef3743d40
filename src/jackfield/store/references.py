"""Tells a reference to a secret (`env:NAME`, `keyring:NAME`, `file:NAME`) from a literal one, anywhere in a config.

Pure: knows which keys hold secrets and what secrets look like; does not know where secrets are kept (secrets.py does).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jackfield.core.errors import BadRequest
from jackfield.core.redaction import redact

SCHEMES = ("env", "keyring", "file")
Path = tuple[str | int, ...]

_REFERENCE = re.compile(r"(env|keyring|file):([A-Za-z0-9_][A-Za-z0-9_./-]{0,127})")
# A header value may say how it authorises before the reference: "Bearer env:NAME".
_SCHEMED_REFERENCE = re.compile(r"((?:bearer|basic|token)\s+)?(" + _REFERENCE.pattern + ")", re.IGNORECASE)
_SECRET_KEY = re.compile(
    r"(?:^|_)(?:(?:api|access|private|secret|auth|signing|master)_?key|token|secret|password|passwd|passphrase|"
    r"authorization|credentials?|cookie)$"
)
_NOT_SECRET = re.compile(r"(?:^|_)(?:max|min|bos|eos|pad|unk|sep|cls|mask|stop|start|end|first|last|per)_token$")


def parse_reference(text: str) -> tuple[str, str] | None:
    """("env", "HF_TOKEN") of `env:HF_TOKEN`; None for anything that is not a reference."""
    match = _REFERENCE.fullmatch(text)
    return (match[1], match[2]) if match else None


def is_reference(text: str) -> bool:
    return _REFERENCE.fullmatch(text) is not None


def schemed_reference(text: str) -> tuple[str, str] | None:
    """("Bearer ", "env:NAME") of a header value `Bearer env:NAME`, ("", "env:NAME") of a bare one; None without a reference."""
    match = _SCHEMED_REFERENCE.fullmatch(text.strip())
    return (match[1] or "", match[2]) if match else None


def is_secret_key(key: str) -> bool:
    """Whether a setting of this name holds a secret: api_key, token, client_secret, Authorization, X-Api-Key ..."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_")
    return _SECRET_KEY.search(name) is not None and _NOT_SECRET.search(name) is None


def literal_secrets(config: Mapping[str, Any]) -> Iterator[Path]:
    """Where in `config` literal secrets are: under a secret's key, or in the shape of one anywhere else."""
    return _walk(config, (), under_secret=False)


def refuse_literals(config: Mapping[str, Any], owner: str) -> None:
    """Raises BadRequest naming the first key that holds a literal secret. `owner` says whose config it is."""
    for path in literal_secrets(config):
        key = ".".join(str(step) for step in path)
        raise BadRequest(
            f"{owner}: {key} holds a secret itself, and secrets are never stored with the panel. Put it away with "
            "`jackfield secrets set NAME` and write a reference there: keyring:NAME, file:NAME or env:VARIABLE",
            param=key,
        )


def _walk(value: Any, path: Path, *, under_secret: bool) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, (*path, str(key)), under_secret=under_secret or is_secret_key(str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index), under_secret=under_secret)
    elif _is_literal(value, under_secret):
        yield path


def _is_literal(value: Any, under_secret: bool) -> bool:
    if value is None or isinstance(value, bool) or value == "":
        return False
    if isinstance(value, str):
        if _SCHEMED_REFERENCE.fullmatch(value.strip()):
            return False
        return under_secret or redact(value) != value
    return under_secret
