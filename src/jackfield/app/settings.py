"""Settings of a running jackfield: the only place that reads the process's environment and finds the settings file.

`load_settings` gives the frozen tree and where each value came from: flags over environment over file over defaults.
Objects receive the values they need, never the tree.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jackfield.app.settings_file import read_file
from jackfield.app.settings_layers import Leaf
from jackfield.app.settings_load import flatten, join
from jackfield.app.settings_problem import Problem, SettingsInvalid
from jackfield.app.settings_providers import CardSource, installed_cards
from jackfield.app.settings_tree import (
    Consent,
    DiscoverySettings,
    LedgerSettings,
    LogSettings,
    MoneySettings,
    ProviderBlock,
    ProviderSettings,
    RoutingSettings,
    ServerSettings,
    Settings,
    SlotSettings,
    TimeoutSettings,
    as_plain,
)

__all__ = [
    "Consent",
    "DiscoverySettings",
    "LedgerSettings",
    "Loaded",
    "LogSettings",
    "MoneySettings",
    "Problem",
    "ProviderBlock",
    "ProviderSettings",
    "RoutingSettings",
    "ServerSettings",
    "Settings",
    "SettingsInvalid",
    "SlotSettings",
    "TimeoutSettings",
    "as_plain",
    "candidate_files",
    "find_file",
    "flatten",
    "load_settings",
    "process_environment",
    "user_file",
]

FILE_NAME = "jackfield.yaml"


@dataclass(frozen=True)
class Loaded:
    """Settings and their story. `origins` maps each dotted key to "default", "file:line", "env NAME" or "flag --x".

    `environ` is what they were read with, never shown: it may hold keys. `wanted_file` and `flags` let them be read again.
    """

    settings: Settings
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    wanted_file: Path | None = field(default=None, repr=False)
    flags: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cards: CardSource | None = field(default=installed_cards, repr=False)

    def reload(self) -> "Loaded":
        """The same sources, read anew. Raises SettingsInvalid."""
        return load_settings(self.wanted_file, self.environ, self.flags, cards=self.cards)

    def values(self) -> dict[str, Any]:
        """Dotted key -> plain value."""
        return flatten(self.settings)


def process_environment() -> dict[str, str]:
    """A copy of this process's environment; nothing else in jackfield reads it."""
    return dict(os.environ)


def load_settings(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    cards: CardSource | None = installed_cards,
) -> Loaded:
    """Reads settings; without `file` the usual places are looked at. `flags` maps dotted keys to values, None = not given.

    `cards` tells which providers exist; None skips everything about providers, which is quick and enough for a client.
    Raises SettingsInvalid with every problem, each at its file and line.
    """
    environ = process_environment() if environ is None else environ
    found = find_file(file, environ)
    values = read_file(found) if found else None
    joined = join(values, environ, flags or {}, cards, _default_store(environ))
    return Loaded(joined.settings, joined.origins, found, joined.warnings, environ, file, flags or {}, cards)


def find_file(wanted: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The settings file in use: --config, then JACKFIELD_CONFIG (both must exist), then the usual places; None for none."""
    for path, said_by in ((wanted, "flag --config"), (_path(environ, "JACKFIELD_CONFIG"), "env JACKFIELD_CONFIG")):
        if path is not None:
            if not path.is_file():
                raise SettingsInvalid([Problem(said_by, "", f"no file at {path}: make one with jackfield config init")])
            return path
    return next((path for path in candidate_files(environ) if path.is_file()), None)


def candidate_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a settings file is looked for when none is named, first match wins."""
    return (Path(FILE_NAME), user_file(environ))


def user_file(environ: Mapping[str, str]) -> Path:
    """The settings file of this user: XDG_CONFIG_HOME/jackfield/jackfield.yaml."""
    return (_path(environ, "XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "jackfield" / FILE_NAME


def _default_store(environ: Mapping[str, str]) -> Leaf | None:
    if environ.get("JACKFIELD_HOME"):
        return Leaf(str(_path(environ, "JACKFIELD_HOME")), "env JACKFIELD_HOME")
    data = _path(environ, "XDG_DATA_HOME")
    return Leaf(str(data / "jackfield"), "env XDG_DATA_HOME") if data else None


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    text = environ.get(name)
    return Path(text).expanduser() if text else None
