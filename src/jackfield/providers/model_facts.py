"""Published facts about models: rows of data, matched by name, and how they complete what a source tells itself.

Knows figures with their date and their source; makes no request and guesses nothing. A name that no row fits is unknown.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import msgspec

from jackfield.core.profiles import ModelProfile


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Documented facts about the models whose id fits the glob `match`; the first row that fits counts."""

    match: str
    context_length: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    json_mode: bool | None = None
    reasoning: bool | None = None
    embeddings: bool | None = None


class FactSheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider's rows, where they were read, and on which day."""

    source: str
    as_of: date
    models: tuple[ModelFacts, ...]

    @property
    def origin(self) -> str:
        return f"{self.source}, {self.as_of}"


@cache
def sheets() -> Mapping[str, FactSheet]:
    """All that ships, by provider id; read when it is first wanted."""
    text = files("jackfield.providers").joinpath("model_facts.toml").read_text(encoding="utf-8")
    return MappingProxyType(msgspec.convert(tomllib.loads(text), dict[str, FactSheet]))


def profile_in(rows: Sequence[ModelFacts], model: str, source: str | None) -> ModelProfile | None:
    """What the first fitting row says, None where none fits."""
    row = next((row for row in rows if fnmatchcase(model, row.match)), None)
    if row is None:
        return None
    facts = {name: getattr(row, name) for name in ModelFacts.__struct_fields__ if name != "match"}
    return ModelProfile(model, **facts, source=source)


@lru_cache(maxsize=1024)  # names come from clients
def documented(provider_id: str, model: str) -> ModelProfile | None:
    """What is published about a provider's model, None if nothing is."""
    sheet = sheets().get(provider_id)
    return None if sheet is None else profile_in(sheet.models, model, sheet.origin)


def completed(told: ModelProfile, *known: ModelProfile | None) -> ModelProfile:
    """`told`, with what it leaves open taken from the first of `known` that says it."""
    for each in known:
        if each is not None:
            open_ = (name for name in ModelProfile.__struct_fields__ if getattr(told, name) is None)
            told = msgspec.structs.replace(told, **{name: getattr(each, name) for name in open_})
    return told


def corrected(told: ModelProfile, **said: Any) -> ModelProfile:
    """`told`, but for the fields that a person `said`; None is not said."""
    known = {name: value for name, value in said.items() if value is not None}
    return msgspec.structs.replace(told, **known) if known else told
