"""What a model's name suggests about who serves it: rows of model_names.toml, read strictly. Pure lookups."""

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec


class NameRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`match` are globs over lower-case names; `providers` ids in order of preference."""

    match: tuple[str, ...]
    providers: tuple[str, ...]

    def fits(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.match)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: tuple[NameRule, ...]


@cache
def name_rules() -> tuple[NameRule, ...]:
    """The rules that ship with jackfield, in order."""
    text = files("jackfield.slots").joinpath("model_names.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).rule


def suggested(model: str) -> Iterator[str]:
    """Provider ids that may serve `model`, best first, each once."""
    name = model.strip().lower()
    seen: set[str] = set()
    for rule in name_rules():
        if rule.fits(name):
            for provider in rule.providers:
                if provider not in seen:
                    seen.add(provider)
                    yield provider
