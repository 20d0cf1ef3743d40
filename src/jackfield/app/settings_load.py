"""Joins the layers of settings into one frozen tree: flags over environment over file over defaults, leaf by leaf.

Every problem is found before any is raised, each with its place. Secrets never enter the tree, only references to them.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import msgspec
import yaml

from jackfield.app.settings_file import FileValues, KeyPath
from jackfield.app.settings_layers import (
    EnvironmentLayer,
    FileLayer,
    Leaf,
    Leaves,
    field_types,
    flag_leaves,
    from_text,
    is_section,
    leaf_types,
)
from jackfield.app.settings_problem import Problem, SettingsInvalid
from jackfield.app.settings_providers import BLOCK_KEYS, ONLY_OURS, PARAMETER_KEYS, CardSource, KnownProviders
from jackfield.app.settings_tree import ProviderBlock, ProviderSettings, Settings, SlotSettings, as_plain
from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean, normalise
from jackfield.store.references import is_secret_key, literal_secrets

# Names of models and slots may look like keys ("hf-org/name"): there, and only there, looks decide nothing.
_NAMES = frozenset({"model", "name", "provider", "active", "models_dir", "store", "presets"})
_MOVE_KEY = (
    "holds a literal key, and settings never do. Put it away with: jackfield secrets set {name}  "
    "(it prints the reference to write here instead), or write env:VARIABLE"
)
_INTERPOLATION = re.compile(r"\$\{(\w+)\}\Z")
_PATTERNS: Mapping[str, str] = {
    r"^(https?|unix)://": "must start with http://, https:// or unix://",
    r"^https?://": "must start with http:// or https://",
}


class Joined(msgspec.Struct, frozen=True):
    """The tree, the origin of each leaf by dotted key, and what deserves a word but stops nothing."""

    settings: Settings
    origins: dict[str, str]
    warnings: tuple[str, ...]


def join(
    file: FileValues | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    cards: CardSource | None,
    store: Leaf | None = None,
) -> Joined:
    """`cards` None leaves provider blocks unread. `store` is the default folder, where the environment tells it.

    Raises SettingsInvalid with every problem.
    """
    known = _known(file, environ, flags, cards) if cards else None
    layers = _Layers(file, environ, flags, known)
    if store is not None:
        layers.leaves.setdefault(("store",), store)
    tree = _Tree(layers.leaves, known, file)
    problems = layers.problems + tree.problems
    if problems:
        raise SettingsInvalid(problems)
    settings = tree.build()
    return Joined(settings, _origins(settings, layers.leaves), tuple(layers.warnings))


class _Layers:
    def __init__(
        self, file: FileValues | None, environ: Mapping[str, str], flags: Mapping[str, Any], known: KnownProviders | None
    ) -> None:
        from_file = FileLayer(file, known) if file else None
        from_environment = EnvironmentLayer(environ, known)
        self.leaves: Leaves = {
            **(from_file.leaves if from_file else {}),
            **from_environment.leaves,
            **flag_leaves(flags),
        }
        self.problems = from_file.problems if from_file else []
        self.warnings = from_environment.warnings
        if known:
            _take_in_keys(self.leaves, known.keys_in(environ))


def _known(file: FileValues | None, environ: Mapping[str, str], flags: Mapping[str, Any], cards: CardSource) -> KnownProviders:
    """Which providers exist depends on two settings, so those are read first."""
    layers = _Layers(file, environ, flags, None)
    tree = _Tree({path: leaf for path, leaf in layers.leaves.items() if path in (("presets",), ("plugins",))}, None)
    if tree.problems:
        raise SettingsInvalid(tree.problems)
    settings = tree.build()
    try:
        return KnownProviders(cards(settings.presets, settings.plugins))
    except BadRequest as error:
        origin = layers.leaves[("presets",)].origin if ("presets",) in layers.leaves else "providers"
        raise SettingsInvalid([Problem(origin, "presets", error.message)]) from None


def _take_in_keys(leaves: Leaves, keys: Mapping[str, str]) -> None:
    """A key in the environment is used for its provider unless the block names one, or sends prompts somewhere else."""
    for provider_id, variable in keys.items():
        own = [("providers", provider_id, key) for key in ("api_key", "base_url", "host")]
        if not any(path in leaves for path in own):
            leaves[own[0]] = Leaf(f"env:{variable}", f"env {variable}")


class _Tree:
    """Converts leaves to their types and builds the tree of them."""

    def __init__(self, leaves: Leaves, known: KnownProviders | None, file: FileValues | None = None) -> None:
        self._known = known
        self._leaves = leaves
        self._file = file
        self.problems: list[Problem] = []
        self._values = {path: self._converted(path, leaf) for path, leaf in leaves.items()}
        self._slots = sorted({int(path[1]) for path in leaves if path[0] == "slots"})
        self._providers = list(dict.fromkeys(path[1] for path in leaves if path[0] == "providers" and len(path) == 3))
        if not self.problems:
            self._check_slots()
            self._check_active()

    def build(self) -> Settings:
        sections = {name: self._section((name,), type_) for name, type_ in field_types(Settings).items() if is_section(type_)}
        return Settings(
            **sections,
            **{path[0]: value for path, value in self._values.items() if len(path) == 1},
            slots={number: self._section(("slots", str(number)), SlotSettings) for number in self._slots},
            providers=ProviderSettings(
                active=self._active(),
                blocks={provider_id: self._block(provider_id) for provider_id in self._providers},
            ),
        )

    def _section(self, path: KeyPath, type_: Any) -> Any:
        values = {name: self._values[(*path, name)] for name in type_.__struct_fields__ if (*path, name) in self._values}
        return type_(**values)

    def _block(self, provider_id: str) -> ProviderBlock:
        given = {path[2]: value for path, value in self._values.items() if path[:2] == ("providers", provider_id)}
        own_keys = self._own_keys(provider_id)
        parameters = {key: given.pop(key) for key in list(given) if self._is_parameter(key, own_keys)}
        own = {key: given.pop(key) for key in list(given) if key not in BLOCK_KEYS}
        return ProviderBlock(**given, parameters=parameters, own=own)

    def _own_keys(self, provider_id: str) -> frozenset[str]:
        return frozenset(self._known.cards[provider_id].config_keys) if self._known else frozenset()

    def _is_parameter(self, key: str, own_keys: frozenset[str]) -> bool:
        return key in PARAMETER_KEYS and key not in BLOCK_KEYS and key not in own_keys

    def _active(self) -> str | None:
        active = self._values.get(("providers", "active"))
        return (self._known.canonical(active) if self._known and active else None) or active

    def _check_active(self) -> None:
        leaf = self._leaves.get(("providers", "active"))
        active = self._values.get(("providers", "active"))
        if leaf and active and self._known and not self._known.canonical(active):
            message = f"no provider is called {active!r}{did_you_mean(active, self._known.names)}"
            self.problems.append(Problem(leaf.origin, "providers.active", message))

    def _check_slots(self) -> None:
        size = self._values.get(("panel_size",), Settings().panel_size)
        for number in self._slots:
            origin = next(leaf.origin for path, leaf in self._leaves.items() if path[:2] == ("slots", str(number)))
            if number >= size:
                message = f"the panel has slots 0 to {size - 1}: set panel_size to {number + 1} or more"
                self.problems.append(Problem(origin, f"slots.{number}", message))
            if ("slots", str(number), "provider") not in self._values:
                message = "needs provider: the id of what to plug, as jackfield providers list shows it"
                self.problems.append(Problem(origin, f"slots.{number}", message))

    def _problem(self, path: KeyPath, leaf: Leaf, message: str) -> None:
        """Notes a problem at its own line, where the file holds the key below the leaf; else where the leaf stands."""
        inside = self._file and path in self._file.lines and leaf.origin.startswith(f"{self._file.name}:")
        origin = self._file.origin(path) if self._file and inside else leaf.origin
        self.problems.append(Problem(origin, ".".join(path), message))

    def _converted(self, path: KeyPath, given: Leaf) -> Any:
        leaf = msgspec.structs.replace(given, value=_referred(given.value, path[-1]))
        literal = _literal_key(path, leaf.value)
        if literal:
            self._problem(literal, leaf, _MOVE_KEY.format(name=_secret_name(path)))
            return None
        if path[0] == "providers" and len(path) == 3:
            return self._converted_in_block(path, leaf)
        if path[0] == "slots":
            value = self._convert(path, leaf, field_types(SlotSettings)[path[2]])
            if path[2] == "config" and isinstance(value, dict):
                self._check_slot_config(path, leaf, value)
            return value
        return self._convert(path, leaf, leaf_types()[path])

    def _converted_in_block(self, path: KeyPath, leaf: Leaf) -> Any:
        _, provider_id, key = path
        own_keys = self._own_keys(provider_id)
        self._check_key(path, leaf, provider_id, key)
        if self._is_parameter(key, own_keys):
            value = from_text(leaf.value, Any) if leaf.is_text else leaf.value
            self._check_parameter(path, leaf, value)
            return value
        type_ = field_types(ProviderBlock)[key] if key in BLOCK_KEYS else Any
        return self._convert(path, leaf, type_)

    def _check_key(self, path: KeyPath, leaf: Leaf, provider_id: str, key: str) -> None:
        if self._known is None:
            return
        known = self._known.keys(provider_id)
        if known is not None and key not in ONLY_OURS and self._known.key(provider_id, key) not in known:
            near = did_you_mean(key, [*sorted(known), *ONLY_OURS])
            self._problem(path, leaf, f"{provider_id} has no key {key!r}{near}")

    def _check_slot_config(self, path: KeyPath, leaf: Leaf, config: dict[str, Any]) -> None:
        """A slot of an unknown provider stays: it shows as not available, with the reason, and stops nothing else."""
        provider = self._leaves.get((*path[:2], "provider"))
        provider_id = self._known.canonical(str(provider.value)) if self._known and provider else None
        if provider_id:
            for key, value in config.items():
                self._check_key((*path, key), leaf, provider_id, key)
                if self._is_parameter(key, self._own_keys(provider_id)):
                    self._check_parameter((*path, key), leaf, value)

    def _check_parameter(self, path: KeyPath, leaf: Leaf, value: Any) -> None:
        try:
            normalise({path[-1]: value})
        except BadRequest as error:
            self._problem(path, leaf, error.message)

    def _convert(self, path: KeyPath, leaf: Leaf, type_: Any) -> Any:
        try:
            value = from_text(leaf.value, type_) if leaf.is_text else leaf.value
            return msgspec.convert(value, type_, strict=not leaf.is_text)
        except yaml.YAMLError:
            message = "is not valid JSON or YAML"
        except msgspec.ValidationError as error:
            message = _say(type_, leaf.value, str(error))
        self._problem(path, leaf, message)
        return None


def _referred(value: Any, key: str) -> Any:
    """`${NAME}` under a secret's key is another way to write the reference `env:NAME`."""
    if isinstance(value, dict):
        return {inner: _referred(item, str(inner)) for inner, item in value.items()}
    variable = _INTERPOLATION.match(value) if isinstance(value, str) and is_secret_key(key) else None
    return f"env:{variable[1]}" if variable else value


def _literal_key(path: KeyPath, value: Any) -> KeyPath | None:
    """Where in a leaf a secret stands that should be a reference."""
    for found in literal_secrets({path[-1]: value}):
        if str(found[-1]) not in _NAMES:
            return (*path, *map(str, found[1:]))
    return None


def _secret_name(path: KeyPath) -> str:
    """What to call the secret of a leaf in the store: its provider's id, "slot-3" or "gateway"."""
    match path[0]:
        case "providers":
            return path[1]
        case "slots":
            return f"slot-{path[1]}"
        case _:
            return "gateway"


def _say(type_: Any, value: Any, error: str) -> str:
    """msgspec's complaint in a person's words, with the choices where there are some."""
    choices = _choices(type_)
    shown = f", got {value!r}" if isinstance(value, str | int | float | bool) and len(str(value)) <= 60 else ""
    if choices:
        return f"must be one of {', '.join(choices)}{shown}{did_you_mean(str(value), choices)}"
    for pattern, sentence in _PATTERNS.items():
        if repr(pattern) in error:
            return sentence + shown
    text = error.replace("Expected", "must be", 1).replace("`", "").replace(" | null", "")
    return text if ", got " in text else text + shown


def _choices(type_: Any) -> list[str]:
    if isinstance(type_, type) and issubclass(type_, Enum):
        return [str(member.value) for member in type_]
    if get_origin(type_) is Literal:
        return [str(choice) for choice in get_args(type_)]
    return [choice for inner in get_args(type_) if inner is not type_ for choice in _choices(inner)]


def _origins(settings: Settings, leaves: Leaves) -> dict[str, str]:
    given = {".".join(path): leaf.origin for path, leaf in leaves.items()}
    return {key: given.get(key, "default") for key in flatten(settings)}


def flatten(settings: Settings) -> dict[str, Any]:
    """Dotted key -> plain value, for every leaf; mappings that are a provider's own stay whole."""
    found: dict[str, Any] = {}
    plain = as_plain(settings)
    for name, value in plain.items():
        if name in ("slots", "providers"):
            for inner, block in value.items():
                entries = block.items() if isinstance(block, dict) else [(None, block)]
                found.update({f"{name}.{inner}" + (f".{key}" if key else ""): item for key, item in entries})
        elif isinstance(value, dict):
            found.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            found[name] = value
    return found
