"""Tells products by what they answer: the rules of fingerprints.toml over answers already at hand. Pure."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class Heard(msgspec.Struct, frozen=True):
    """One answer of a server: status, headers in lower case, and its body as JSON (None where it is none) and text."""

    status: int
    headers: dict[str, str]
    text: str
    json: Any = None


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one answer must show; see the head of fingerprints.toml."""

    path: str
    status: int = 200
    keys: tuple[str, ...] = ()
    equals: dict[str, str] = msgspec.field(default_factory=dict)
    item_keys: tuple[str, ...] = ()
    item_equals: dict[str, str] = msgspec.field(default_factory=dict)
    text: str = ""
    header: str = ""

    def holds(self, heard: Heard | None) -> bool:
        if heard is None or self.status not in (0, heard.status):
            return False
        if self.text and self.text not in heard.text:
            return False
        if self.header and not _has_header(heard, self.header):
            return False
        if not _shows(heard.json, self.keys, self.equals):
            return False
        return not (self.item_keys or self.item_equals) or _shows(first_item(heard.json), self.item_keys, self.item_equals)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    when: tuple[Condition, ...]
    provider: str = ""
    ignore: bool = False
    version: tuple[str, str] | None = None

    def fits(self, heard: Mapping[str, Heard]) -> bool:
        return all(condition.holds(heard.get(condition.path)) for condition in self.when)

    def version_of(self, heard: Mapping[str, Heard]) -> str | None:
        path, key = self.version or ("", "")
        answer = heard.get(path)
        found = answer.json.get(key) if answer is not None and isinstance(answer.json, dict) else None
        return found if isinstance(found, str) else None


class Fingerprints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`first` is the path that every port is asked; `programs` maps commands to provider ids ("" for none yet)."""

    first: str
    ports: tuple[int, ...]
    programs: dict[str, str]
    rule: tuple[Rule, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that some rule wants to see, each once."""
        wanted = [condition.path for rule in self.rule for condition in rule.when]
        wanted += [rule.version[0] for rule in self.rule if rule.version is not None]
        return tuple(dict.fromkeys(wanted))

    def match(self, heard: Mapping[str, Heard]) -> Rule | None:
        """The first rule that fits these answers by path."""
        return next((rule for rule in self.rule if rule.fits(heard)), None)


@cache
def fingerprints() -> Fingerprints:
    """The table that ships with jackfield."""
    text = files("jackfield.slots").joinpath("fingerprints.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Fingerprints)


def first_item(body: Any) -> Any:
    """The first entry of a model list, in whichever form it came."""
    items = body.get("data", body.get("models")) if isinstance(body, dict) else body
    return items[0] if isinstance(items, list) and items else None


def model_ids(body: Any) -> tuple[str, ...]:
    items = body.get("data", body.get("models")) if isinstance(body, dict) else body
    named = [item.get("id", item.get("name")) for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return tuple(name for name in named if isinstance(name, str))


def _shows(value: Any, keys: tuple[str, ...], equals: Mapping[str, str]) -> bool:
    if not keys and not equals:
        return True
    return (
        isinstance(value, dict)
        and all(key in value for key in keys)
        and all(value.get(key) == wanted for key, wanted in equals.items())
    )


def _has_header(heard: Heard, wanted: str) -> bool:
    name, _, value = wanted.partition(":")
    return value.strip().lower() in heard.headers.get(name.strip().lower(), "").lower()
