"""Rules from a kind of work to who is asked for it: `coding` -> these providers and models, in this order. Data, read strictly.

A rule is a list of targets. What a target fits is answered here; what that means for a request is decided in stages.py.
"""

import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, ProviderNotFound
from jackfield.core.parameters import did_you_mean
from jackfield.routing.candidates import Selectable, names_of

ANY = "*"
PARAM = "use_cases"
_WILD = frozenset("*?[")


class Target(msgspec.Struct, frozen=True):
    """`source` is a provider id, "slot-N", a backend id or a glob over those; `model` a name or glob, None whatever it has."""

    source: str = ANY
    model: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Target":
        """ "PROVIDER/MODEL" or "PROVIDER"; a model's name may hold slashes."""
        source, _, model = text.strip().partition("/")
        return cls(source.lower() or ANY, model if model not in ("", ANY) else None)

    @property
    def text(self) -> str:
        return self.source if self.model is None else f"{self.source}/{self.model}"

    def fits(self, candidate: Selectable) -> bool:
        is_source = self.source == ANY or any(fnmatchcase(name, self.source) for name in names_of(candidate) if name)
        return is_source and (self.model is None or self.model_of(candidate) is not None)

    def model_of(self, candidate: Selectable) -> str | None:
        """The model to ask the candidate for, None its own choice. What it has not listed it may have, but no glob says so."""
        if self.model is None:
            return None
        if _WILD.isdisjoint(self.model):
            return self.model if not candidate.models or self.model in candidate.models else None
        return next((name for name in candidate.models if fnmatchcase(name, self.model)), None)


class UseCases:
    """The rules in force."""

    def __init__(self, rules: Mapping[str, tuple[Target, ...]]) -> None:
        self._rules = dict(rules)

    @classmethod
    def load(cls, own: Mapping[str, Any] | None = None, *, canonical: Callable[[str], str] | None = None) -> "UseCases":
        """The rules that ship with jackfield, and a person's `own` over them. Raises BadRequest naming the rule.

        `canonical` gives a provider's one id for any of its names; targets it does not know stay as they are written.
        """
        rules = {**_shipped(), **parse_use_cases(own or {})}
        if canonical is not None:
            rules = {name: tuple(_with_id(target, canonical) for target in targets) for name, targets in rules.items()}
        return cls(rules)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._rules)

    def targets(self, use_case: str) -> tuple[Target, ...]:
        """Raises BadRequest for a use case without a rule, with the nearest one."""
        found = self._rules.get(use_case.strip().lower())
        if found is None:
            raise BadRequest(
                f"there is no use case {use_case!r}{did_you_mean(use_case.lower(), self._rules)}: "
                f"known are {', '.join(self._rules) or 'none'}; add rules under {PARAM} in the settings",
                param="use_case",
            )
        return found


def parse_use_cases(raw: Mapping[str, Any], origin: str = PARAM) -> dict[str, tuple[Target, ...]]:
    """Raises BadRequest naming the rule and its place."""
    rules: dict[str, tuple[Target, ...]] = {}
    for name, targets in raw.items():
        where = f"{origin}.{name}"
        if isinstance(targets, str):
            targets = [targets]
        if not isinstance(targets, list | tuple) or not targets:
            raise BadRequest(f'{where} must be a list of targets such as "ollama/qwen3", got {targets!r}', param=where)
        for at, target in enumerate(targets):
            if not isinstance(target, str) or not target.strip():
                raise BadRequest(f'{where}[{at}] must be text such as "ollama/qwen3", got {target!r}', param=f"{where}[{at}]")
        rules[name.strip().lower()] = tuple(Target.parse(target) for target in targets)
    return rules


@cache
def _shipped() -> dict[str, tuple[Target, ...]]:
    text = files("jackfield.routing").joinpath("use_cases.toml").read_text(encoding="utf-8")
    return parse_use_cases(tomllib.loads(text)["use_cases"], "use_cases.toml")


def _with_id(target: Target, canonical: Callable[[str], str]) -> Target:
    try:
        return msgspec.structs.replace(target, source=canonical(target.source))
    except ProviderNotFound:
        return target
