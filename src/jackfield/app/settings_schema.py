"""The JSON Schema of a settings file, made from the tree and from the providers' cards; editors and tests read it.

Nothing is written by hand here that the tree or a card already says, so a plugin's provider is in it without more code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jackfield.app.settings_providers import BLOCK_KEYS, ONLY_OURS
from jackfield.app.settings_tree import ProviderBlock, Settings
from jackfield.core.contracts import ProviderCard
from jackfield.core.parameters import SYNONYMS
from jackfield.core.requests import Generation

Schema = dict[str, Any]
TITLE = "jackfield settings"


def settings_schema(cards: Sequence[ProviderCard]) -> Schema:
    """JSON Schema (draft 2020-12) of jackfield.yaml, with a block for every card, also at the top level."""
    whole = msgspec.json.schema(Settings)
    defs: Schema = whole["$defs"]
    root = defs.pop("Settings")
    defs.pop("ProviderSettings")
    defs.pop("ProviderBlock")
    for definition in (root, *defs.values()):
        _tidy(definition)
    blocks = _Blocks()
    by_id = {card.id: blocks.reference(card) for card in cards}
    root["properties"]["slots"]["propertyNames"] = {"pattern": "^(0|[1-9][0-9]*)$"}
    root["properties"]["providers"] = {
        "description": root["properties"]["providers"]["description"],
        "type": "object",
        "properties": {"active": {"description": "The default provider.", "type": ["string", "null"]}, **by_id},
        "additionalProperties": False,
    }
    root["properties"].update({provider_id: ref for provider_id, ref in by_id.items() if provider_id not in root["properties"]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        **{key: value for key, value in root.items() if key != "title"},
        "$defs": {**dict(sorted(defs.items())), **blocks.definitions},
    }


class _Blocks:
    """One definition per distinct set of keys: a whole family of providers shares one."""

    def __init__(self) -> None:
        self.definitions: Schema = {}
        self._names: dict[tuple[frozenset[str], frozenset[tuple[str, str]]], str] = {}
        self._common = _properties(ProviderBlock)
        self._parameters = _parameters()

    def reference(self, card: ProviderCard) -> Schema:
        keys, aliases = frozenset(card.config_keys), frozenset(card.config_aliases.items())
        shape = (keys, aliases)
        if shape not in self._names:
            self._names[shape] = f"block_{len(self._names) + 1}"
            self.definitions[self._names[shape]] = self._definition(keys, dict(sorted(aliases)))
        place = card.default_url or (f"port {card.default_port}" if card.default_port else card.type)
        return {"$ref": f"#/$defs/{self._names[shape]}", "description": f"{card.display_name} ({place})"}

    def _definition(self, keys: frozenset[str], spellings: Mapping[str, str]) -> Schema:
        common = {key: value for key, value in self._common.items() if not keys or key in keys or key in ONLY_OURS}
        own: Schema = {key: {} for key in sorted(keys - BLOCK_KEYS)}
        known = {**self._parameters, **own, **common}
        aliases = {alias: known[key] for alias, key in spellings.items() if key in known}
        return {
            "type": ["object", "null"],
            "properties": {**known, **aliases},
            "additionalProperties": not keys,
        }


def _parameters() -> Schema:
    known = _properties(Generation)
    return {name: known[canonical] for canonical in known for name in (canonical, *SYNONYMS.get(canonical, ()))}


def _properties(struct: type[msgspec.Struct]) -> Schema:
    definition = msgspec.json.schema(struct)["$defs"][struct.__name__]
    _tidy(definition)
    return {
        name: {key: value for key, value in property_.items() if key != "default"}
        for name, property_ in definition["properties"].items()
        if name not in ("parameters", "own")
    }


def _tidy(definition: Schema) -> None:
    """Drops class names and what only repeats the parts' own defaults."""
    definition.pop("title", None)
    definition.pop("required", None) if not definition.get("required") else None
    for property_ in definition.get("properties", {}).values():
        if "$ref" in property_ and isinstance(property_.get("default"), dict):
            property_.pop("default")


def schema_text(cards: Sequence[ProviderCard]) -> str:
    """The schema as it is written to files: indented, with a line break at the end."""
    return msgspec.json.format(msgspec.json.encode(settings_schema(cards)), indent=2).decode() + "\n"
