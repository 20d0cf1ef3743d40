"""Makes settings fit to be shown: references to secrets stay, anything that is a secret itself goes.

The store refuses literal secrets already. This is the second lock; what a secret looks like is known in store/references.py.
"""

from collections.abc import Collection, Mapping
from typing import Any

from jackfield.core.redaction import MASK, redact
from jackfield.store.references import Path, literal_secrets


def masked_config(config: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """A copy of `config` (plain JSON) with every secret in it replaced. `known` are literal secrets of this process."""
    shown: dict[str, Any] = _copy(config, (), frozenset(literal_secrets(config)), known)
    return shown


def masked_text(text: str, known: Collection[str]) -> str:
    """`text` for a person, with every secret in it replaced."""
    return redact(text, known)


def without_secrets(value: Any, known: Collection[str]) -> Any:
    """A copy of plain JSON without any of `known`, in names and in texts; numbers stay as they are."""
    longest_first = sorted(known, key=len, reverse=True)  # one may begin with another

    def copied(value: Any) -> Any:
        match value:
            case str():
                return _without(value, longest_first)
            case Mapping():
                return {_without(str(name), longest_first): copied(item) for name, item in value.items()}
            case list() | tuple():
                return [copied(item) for item in value]
            case _:
                return value

    return copied(value)


def _copy(value: Any, path: Path, secret: frozenset[Path], known: Collection[str]) -> Any:
    if path in secret:
        return MASK
    match value:
        case str():
            return _without(value, known)
        case Mapping():
            return {str(name): _copy(item, (*path, str(name)), secret, known) for name, item in value.items()}
        case list() | tuple():
            return [_copy(item, (*path, index), secret, known) for index, item in enumerate(value)]
        case _:
            return value


def _without(text: str, known: Collection[str]) -> str:
    for each in known:
        if len(each) >= 4:
            text = text.replace(each, MASK)
    return text
