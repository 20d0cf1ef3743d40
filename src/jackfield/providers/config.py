"""Reads the `config` that a person gives when plugging: strict, with a did-you-mean, generation defaults set apart.

Knows the shapes of configs, not what providers do with them. Values may hold secret *references*, so no value is ever
quoted in a message: only key names are.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import SYNONYMS, did_you_mean, normalise
from jackfield.core.requests import Generation

Kind = TypeVar("Kind", bound=msgspec.Struct)
_GENERATION = frozenset(
    name for canonical, names in SYNONYMS.items() if canonical in Generation.__struct_fields__ for name in (canonical, *names)
)


def read_config(
    kind: type[Kind],
    config: Mapping[str, Any],
    provider: str,
    aliases: Mapping[str, str] | None = None,
    *,
    hidden: Collection[str] = (),
) -> tuple[Kind, Generation]:
    """`config` as a `kind` plus the generation defaults among its keys; keys that are None count as not given.

    `hidden` fields of the kind are no keys. Raises BadRequest naming the key (`param`) for an unknown key, a wrong type, or
    two names of one key that differ.
    """
    known = tuple(name for name in kind.__struct_fields__ if name not in hidden)
    own: dict[str, Any] = {}
    generation: dict[str, Any] = {}
    for key, value in config.items():
        name = key if key in known else (aliases or {}).get(key, key)
        if value is None:
            if name not in known and name not in _GENERATION:
                raise _unknown(key, known, provider)
        elif name in known:
            if name in own and own[name] != value:
                raise BadRequest(f"{key} and {name} are one setting but differ: give only {name}", provider=provider, param=key)
            own[name] = value
        elif name in _GENERATION:
            generation[name] = value
        else:
            raise _unknown(key, known, provider)
    try:
        read = msgspec.convert(own, kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`") or "config"
        raise BadRequest(f"{key}: {problem}", provider=provider, param=key) from None
    return read, _defaults(generation, provider)


def _unknown(key: str, known: tuple[str, ...], provider: str) -> BadRequest:
    names = sorted({*known, *_GENERATION})
    return BadRequest(
        f"unknown setting {key!r}{did_you_mean(key, names)}: known are {', '.join(sorted(known))} "
        "and the generation parameters",
        provider=provider,
        param=key,
    )


def _defaults(generation: Mapping[str, Any], provider: str) -> Generation:
    try:
        return normalise(generation).generation
    except BadRequest as error:
        error.provider = provider
        raise


def check_counts(read: msgspec.Struct, names: Collection[str], provider: str) -> None:
    """Raises BadRequest for a field of these that is set to less than 1."""
    for name in names:
        value = getattr(read, name)
        if value is not None and value < 1:
            raise BadRequest(f"{name} must be at least 1, got {value}", provider=provider, param=name)


def merge_generation(asked: Generation, defaults: Generation) -> Generation:
    """`asked`, with the fields it leaves open taken from `defaults`."""
    if defaults == Generation():
        return asked
    chosen = {
        name: getattr(asked, name) if getattr(asked, name) is not None else getattr(defaults, name)
        for name in Generation.__struct_fields__
    }
    return Generation(**chosen)
