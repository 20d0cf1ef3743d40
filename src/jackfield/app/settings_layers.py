"""Reads each source of settings into leaves: a dotted path, a value, and where it stands.

Knows the tree's shape and how files, environment names and flags spell it. Joining and converting is settings_load.py's.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import yaml

from jackfield.app.settings_file import FileValues, KeyPath
from jackfield.app.settings_problem import Problem
from jackfield.app.settings_providers import BLOCK_KEYS, KnownProviders
from jackfield.app.settings_tree import Settings, SlotSettings
from jackfield.core.parameters import did_you_mean

PREFIX = "JACKFIELD_"
NOT_SETTINGS = frozenset({"JACKFIELD_HOME", "JACKFIELD_CONFIG", "JACKFIELD_URL", "JACKFIELD_API_KEY"})
PATH_KEYS: frozenset[KeyPath] = frozenset({("store",), ("models_dir",), ("presets",)})
FLAG_NAMES: Mapping[str, str] = {"discovery.enabled": "--no-discover", "log.level": "--log-level"}
_SLOT_VARIABLE = re.compile(r"SLOTS_(\d+)_([A-Z]+)\Z")


class Leaf(msgspec.Struct, frozen=True):
    """One given value. `is_text` marks text that still has to become a number, flag or list."""

    value: Any
    origin: str
    is_text: bool = False


Leaves = dict[KeyPath, Leaf]


@cache
def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Field name -> type with its ranges."""
    return get_type_hints(struct, include_extras=True)


def is_section(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


@cache
def leaf_types() -> dict[KeyPath, Any]:
    """Every leaf of the tree whose path is fixed: all but those under `slots` and `providers`, plus providers.active."""
    found: dict[KeyPath, Any] = {("providers", "active"): str | None}
    pending: list[tuple[KeyPath, Any]] = [((), Settings)]
    while pending:
        path, type_ = pending.pop()
        for name, inner in field_types(type_).items():
            if name in ("slots", "providers") and not path:
                continue
            (pending.append(((*path, name), inner)) if is_section(inner) else found.update({(*path, name): inner}))
    return found


class FileLayer:
    """Walks a file's values along the tree. `known` None leaves what concerns providers unread."""

    def __init__(self, file: FileValues, known: KnownProviders | None) -> None:
        self._file = file
        self._known = known
        self.leaves: Leaves = {}
        self.problems: list[Problem] = []
        self._section(file.values, (), Settings)

    def _section(self, value: Any, path: KeyPath, type_: type[msgspec.Struct]) -> None:
        if not self._is_mapping(value, path):
            return
        types = field_types(type_)
        for key, inner in value.items():
            here = (*path, key)
            if here == ("slots",):
                self._slots(inner)
            elif here == ("providers",):
                self._providers(inner)
            elif key in types and is_section(types[key]):
                self._section(inner, here, types[key])
            elif key in types:
                self._leaf(here, inner)
            elif not path and isinstance(inner, Mapping | None) and (self._known is None or self._known.canonical(key)):
                self._block(key, inner, here)
            else:
                self._unknown(here, types)

    def _slots(self, value: Any) -> None:
        if not self._is_mapping(value, ("slots",)):
            return
        for number, slot in value.items():
            here = ("slots", number)
            if not number.isdecimal():
                self._problem(here, f"{number!r} is not a slot number: slots are numbered from 0")
            else:
                self._section(slot, ("slots", str(int(number))), SlotSettings) if number == str(int(number)) else self._problem(
                    here, f"write slot {int(number)} without leading zeros"
                )

    def _providers(self, value: Any) -> None:
        if not self._is_mapping(value, ("providers",)):
            return
        for key, inner in value.items():
            if key == "active":
                self._leaf(("providers", "active"), inner)
            else:
                self._block(key, inner, ("providers", key))

    def _block(self, name: str, value: Any, stands_at: KeyPath) -> None:
        if self._known is None:
            return
        provider_id = self._known.canonical(name)
        if provider_id is None:
            self._problem(stands_at, f"no provider is called {name!r}{did_you_mean(name, self._known.names)}")
        elif self._is_mapping(value, stands_at):
            for key, inner in value.items():
                self._block_key(provider_id, key, inner, (*stands_at, key))

    def _block_key(self, provider_id: str, key: str, value: Any, stands_at: KeyPath) -> None:
        assert self._known is not None
        path = ("providers", provider_id, self._known.key(provider_id, key))
        if path in self.leaves:
            self._problem(stands_at, f"says again what {self.leaves[path].origin} says: keep one")
        else:
            self.leaves[path] = Leaf(value, self._file.origin(stands_at))

    def _leaf(self, path: KeyPath, value: Any) -> None:
        if path in PATH_KEYS:
            value = _beside(value, Path(self._file.name).parent)
        self.leaves[path] = Leaf(value, self._file.origin(path))

    def _is_mapping(self, value: Any, path: KeyPath) -> bool:
        if value is not None and not isinstance(value, Mapping):
            self._problem(path, f"must be a mapping of keys, got {type(value).__name__}")
        return isinstance(value, Mapping)

    def _unknown(self, path: KeyPath, known: Mapping[str, Any]) -> None:
        names = set(known) | (set(self._known.names) if self._known and len(path) == 1 else set())
        where = ".".join(path[:-1]) or "settings"
        self._problem(path, f"{where} has no key {path[-1]!r}{did_you_mean(path[-1], names)}")

    def _problem(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self._file.origin(path), ".".join(path), message))


def _beside(value: Any, folder: Path) -> Any:
    """Paths in a file are relative to the file, so that it means the same from wherever it is read."""
    if isinstance(value, list):
        return [_beside(item, folder) for item in value]
    return str(folder / Path(value).expanduser()) if isinstance(value, str) and value else value


class EnvironmentLayer:
    """JACKFIELD_<SECTION>_<KEY> for every leaf. A name that fits nothing is a warning: it may be somebody else's."""

    def __init__(self, environ: Mapping[str, str], known: KnownProviders | None) -> None:
        self._known = known
        self._fixed = {"_".join(path).upper(): path for path in leaf_types()}
        self.leaves: Leaves = {}
        self.warnings: list[str] = []
        for name, text in environ.items():
            if name.startswith(PREFIX) and name not in NOT_SETTINGS and text != "":
                self._variable(name, text)

    def _variable(self, name: str, text: str) -> None:
        tail = name.removeprefix(PREFIX)
        path = self._fixed.get(tail) or _slot_path(tail) or self._provider_path(tail)
        if path is not None:
            is_key = path[-1] == "api_key"
            self.leaves[path] = Leaf(_as_reference(name, text) if is_key else text, f"env {name}", is_text=True)
        elif not (self._known is None and tail.startswith("PROVIDERS_")):
            known_names = [PREFIX + known for known in self._fixed]
            self.warnings.append(f"environment variable {name} is no setting{did_you_mean(name, known_names)}")

    def _provider_path(self, tail: str) -> KeyPath | None:
        if self._known is None or not tail.startswith("PROVIDERS_"):
            return None
        rest = tail.removeprefix("PROVIDERS_")
        for name in self._known.names:
            spelt = re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_"
            if rest.startswith(spelt):
                provider_id = self._known.canonical(name) or name
                key = self._known.key(provider_id, rest.removeprefix(spelt).lower())
                if key in BLOCK_KEYS or key in (self._known.keys(provider_id) or ()):
                    return ("providers", provider_id, key)
        return None


def _slot_path(tail: str) -> KeyPath | None:
    match = _SLOT_VARIABLE.match(tail)
    if match and match[2].lower() in SlotSettings.__struct_fields__:
        return ("slots", str(int(match[1])), match[2].lower())
    return None


def _as_reference(name: str, text: str) -> str:
    """A key given in a variable is referred to by that variable; a reference stays what it is."""
    return text if text.startswith(("env:", "keyring:", "file:")) else f"env:{name}"


def flag_leaves(flags: Mapping[str, Any]) -> Leaves:
    """Flags by dotted path; None means that the flag was not given."""
    return {
        tuple(key.split(".")): Leaf(value, f"flag {FLAG_NAMES.get(key, '--' + key.rpartition('.')[2].replace('_', '-'))}")
        for key, value in flags.items()
        if value is not None
    }


def from_text(text: str, type_: Any) -> Any:
    """What a variable's text means for a leaf of `type_`: lists may be written a,b,c; mappings as JSON or YAML."""
    kinds = set(_kinds(type_))
    if tuple in kinds and not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    if kinds & {tuple, dict} or type_ is Any or any(map(is_section, kinds)):
        return yaml.safe_load(text)
    return text


def _kinds(type_: Any) -> Iterator[Any]:
    origin = get_origin(type_)
    if origin in (tuple, dict, list):
        yield origin
    elif origin is not None:
        for inner in get_args(type_):
            yield from _kinds(inner)
    else:
        yield type_
