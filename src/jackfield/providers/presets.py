"""Rows of the OpenAI-compatible family: the type of a row, and the strict reader of the shipped and the user's own TOML.

Knows what a row may say and where in a file it was said. It must not know how a request is made: that is one adapter's
business (providers/openai_compatible.py), and no row brings code.
"""

import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from jackfield.core.contracts import ProviderKind
from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.ids import parse_provider_id
from jackfield.core.parameters import did_you_mean
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.dialects.openai_chat import ChatQuirks
from jackfield.providers.model_facts import ModelFacts, documented, profile_in

Platform = Literal["linux", "macos", "windows"]
CallName = Literal[
    "embeddings",
    "images",
    "image_edits",
    "speech",
    "transcription",
    "translation",
    "moderation",
    "rerank",
    "files",
    "batches",
    "tuning",
]
"""OpenAI's calls beside chat, and the one that others have put beside them."""


class CallFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call that a provider has beside chat. `models`: the one it uses unless told otherwise, then globs of others that
    are for it; none: the slot's own. `voice` is the usual one, for speech."""

    models: tuple[str, ...] = ()
    voice: str | None = None

    def model_for(self, own: str | None) -> str | None:
        """The slot's own model if it is for this call, else the usual one."""
        is_for_it = own is not None and any(fnmatchcase(own, pattern) for pattern in self.models)
        return own if is_for_it or not self.models else self.models[0]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One OpenAI-compatible provider. Where it is: `base_url` exactly, or `port` (and `host`, `path`) of a local server.

    `key_env` names the variables that may hold its key, first one first; `hint` tells a person what to do when it is down;
    `calls` are what it has beside chat (embeddings only where their usual model is known: whether it has them is a capability);
    `platforms` empty means all; `direct_note` says why the engine cannot run inside this process, where people ask for that.
    """

    id: str
    display_name: str = ""
    type: ProviderKind = "api"
    base_url: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    path: str = "/v1"
    ipv4_only: bool = False
    key_env: tuple[str, ...] = ()
    needs_key: bool | None = None
    docs: str | None = None
    hint: str | None = None
    aliases: tuple[str, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    default_model: str | None = None
    quirks: ChatQuirks = ChatQuirks()
    capabilities: Capabilities = Capabilities()
    models: tuple[ModelFacts, ...] = ()
    calls: dict[CallName, CallFacts] = msgspec.field(default_factory=dict)
    limits: tuple[str, ...] = ()
    first_byte_timeout_s: float | None = None
    platforms: tuple[Platform, ...] = ()
    platform_note: str | None = None
    direct_note: str | None = None

    @property
    def title(self) -> str:
        return self.display_name or self.id

    @property
    def url(self) -> str | None:
        """The API's root as the row gives it; None for the row that takes any address."""
        if self.base_url is not None:
            return self.base_url
        return None if self.port is None else f"http://{self.host}:{self.port}{self.path}"

    @property
    def wants_key(self) -> bool:
        """Does it refuse to work without a key at its own address?"""
        if self.needs_key is not None:
            return self.needs_key
        return self.base_url is not None and bool(self.key_env)

    def facts(self, model: str) -> ModelProfile | None:
        """What its own rows say of `model`, else what is published about it, else None."""
        return profile_in(self.models, model, self.docs) or documented(self.id, model)


_TABLES: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {"": Preset, "quirks": ChatQuirks, "capabilities": Capabilities, "models": ModelFacts}
)


@cache
def _shipped() -> Mapping[str, Preset]:
    text = files("jackfield.providers").joinpath("presets.toml").read_text(encoding="utf-8")
    return MappingProxyType({preset.id: preset for preset in parse_presets(text, "presets.toml")})


def load_presets() -> dict[str, Preset]:
    """The rows that ship with jackfield, by id."""
    return dict(_shipped())


def parse_presets(toml_text: str, origin: str) -> tuple[Preset, ...]:
    """Rows from TOML text; `origin` names the file in messages.

    Raises BadRequest with the line, the key and the nearest known key for anything that is not a row.
    """
    try:
        tables = tomllib.loads(toml_text)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"{origin} is not valid TOML: {error}", param="presets") from None
    return tuple(_row(name, table, toml_text, origin) for name, table in tables.items())


def _row(name: str, table: Any, text: str, origin: str) -> Preset:
    if not isinstance(table, dict):
        raise _fault(f"{name!r} stands outside a table: write it below a [provider-id] line", origin, text, None, name)
    try:
        row_id = parse_provider_id(name)
    except JackfieldError as error:
        raise _fault(error.message, origin, text, name, None) from None
    _check_names(name, table, text, origin)
    try:
        preset = msgspec.convert({**table, "id": row_id}, Preset)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        key = re.match(r"\.(\w+)", where)
        field = where.rstrip("`").lstrip(".") or "?"
        raise _fault(f"{field}: {problem}", origin, text, name, key[1] if key else None) from None
    except ValueError as error:
        raise _fault(str(error), origin, text, name, "capabilities") from None
    return preset


def _check_names(name: str, table: Mapping[str, Any], text: str, origin: str) -> None:
    for field, kind in _TABLES.items():
        value = table if not field else table.get(field, {})
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            known = [known for known in kind.__struct_fields__ if known != "id"]
            for key in entry if isinstance(entry, dict) else ():
                if key not in known:
                    whole = f"{field}.{key}" if field else key
                    raise _fault(f"unknown key {whole!r}{did_you_mean(key, known)}", origin, text, name, field or key)


def _fault(problem: str, origin: str, text: str, table: str | None, key: str | None) -> BadRequest:
    where = f"{origin}, line {_line_of(text, table, key)}"
    inside = f" in [{table}]" if table else ""
    return BadRequest(f"{where}{inside}: {problem}", param=f"{table}.{key}" if table and key else table or key)


def _line_of(text: str, table: str | None, key: str | None) -> int:
    """The line of `key` below `[table]`, else of the table, else 1. TOML's own parser keeps no positions."""
    found = 1
    inside = table is None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*[\"']?([^\"'\]]+?)[\"']?\s*\]", line)
        if header and table is not None:
            inside = header[1] == table or header[1].startswith(f"{table}.")
            if header[1] == table:
                found = number
            elif key and header[1] == f"{table}.{key}":
                return number
        elif inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return found
