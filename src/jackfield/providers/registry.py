"""From a provider's id or alias to its type; the one place where built-ins, rows and plugins all enter.

Knows names and types. It must not make providers, open a connection or read the environment.
"""

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jackfield.core.contracts import ProviderCard, ProviderType
from jackfield.core.errors import BadRequest, Conflict, JackfieldError, ProviderNotFound
from jackfield.core.ids import parse_provider_id
from jackfield.core.parameters import did_you_mean
from jackfield.core.redaction import redact
from jackfield.providers.presets import Preset

ENTRY_POINTS = "jackfield.providers"
_FOLD = str.maketrans("", "", "-_. ")
_log = logging.getLogger("jackfield.providers")


def fold(name: str) -> str:
    """The form in which names are compared: `LM-Studio`, `lm_studio` and `lmstudio` are one."""
    return name.lower().translate(_FOLD)


class Registrar:
    """The provider types that can be plugged. `problems` says which plugins could not be loaded, and why."""

    def __init__(self) -> None:
        self._types: dict[str, type[ProviderType]] = {}
        self._names: dict[str, str] = {}
        self.problems: list[str] = []

    def register(self, provider_type: type[ProviderType], *, replace: bool = False) -> None:
        """Takes a type in under its card's id and aliases.

        Raises BadRequest for a class without a card, Conflict where the id or an alias is taken (`replace` lets it take
        over its own id, never somebody else's).
        """
        card = getattr(provider_type, "card", None)
        if not isinstance(card, ProviderCard) or not callable(getattr(provider_type, "create", None)):
            raise BadRequest(
                f"{getattr(provider_type, '__name__', provider_type)!s} is no provider type: it needs a class attribute "
                "`card` (a ProviderCard) and a classmethod `create(config, tools)`",
                param="provider",
            )
        provider_id = parse_provider_id(card.id)
        names = {fold(name) for name in (provider_id, *card.aliases)}
        if fold(provider_id) in self._names and not (replace and self._names[fold(provider_id)] == provider_id):
            raise Conflict(f"provider {provider_id!r} is already registered: pass replace=True to take its place")
        for name in sorted(names):
            if self._names.get(name, provider_id) != provider_id:
                raise Conflict(f"{provider_id}: the name {name!r} already belongs to provider {self._names[name]!r}")
        if provider_id in self._types:
            self.unregister(provider_id)
        self._types[provider_id] = provider_type
        self._names.update(dict.fromkeys(names, provider_id))

    def unregister(self, provider_id: str) -> None:
        """Raises ProviderNotFound."""
        found = self.canonical(provider_id)
        del self._types[found]
        self._names = {name: owner for name, owner in self._names.items() if owner != found}

    def canonical(self, id_or_alias: str) -> str:
        """The id behind a name; upper case and `-`, `_`, `.` make no difference. Raises ProviderNotFound, listing the ids."""
        found = self._names.get(fold(id_or_alias))
        if found is None:
            known = self.ids()
            raise ProviderNotFound(
                f"no provider is called {id_or_alias!r}{did_you_mean(id_or_alias.lower(), known)}: "
                f"known are {', '.join(known) or 'none'}",
                param="provider",
            )
        return found

    def get(self, id_or_alias: str) -> type[ProviderType]:
        """Raises ProviderNotFound, listing the ids."""
        return self._types[self.canonical(id_or_alias)]

    def ids(self) -> list[str]:
        return sorted(self._types)

    def cards(self) -> list[ProviderCard]:
        """In the order of their ids; no provider is made and nothing is contacted."""
        return [self._types[provider_id].card for provider_id in self.ids()]

    @property
    def types(self) -> Mapping[str, type[ProviderType]]:
        return MappingProxyType(self._types)

    def snapshot(self) -> tuple[dict[str, type[ProviderType]], dict[str, str]]:
        return dict(self._types), dict(self._names)

    def restore(self, snapshot: tuple[dict[str, type[ProviderType]], dict[str, str]]) -> None:
        """Back to a snapshot: what a plugin that failed half-way had registered is gone."""
        self._types, self._names = dict(snapshot[0]), dict(snapshot[1])


def load_registrar(user_presets: Sequence[Preset] = (), *, plugins: bool = True) -> Registrar:
    """Built-ins, then installed plugins, then the user's rows, which may take the place of a built-in row."""
    from jackfield.providers import builtin
    from jackfield.providers.openai_compatible import preset_type

    registrar = Registrar()
    builtin.register(registrar)
    if plugins:
        load_plugins(registrar)
    for preset in user_presets:
        registrar.register(preset_type(preset), replace=True)
    return registrar


def load_plugins(registrar: Registrar, group: str = ENTRY_POINTS) -> None:
    """Calls each entry point of `group` with the registrar. A broken one is noted in `problems` and leaves nothing behind."""
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda point: point.name):
        before = registrar.snapshot()
        try:
            point.load()(registrar)
        except Exception as error:  # noqa: BLE001 - a plugin is somebody else's code: whatever it does, the rest must work
            registrar.restore(before)
            said = error.message if isinstance(error, JackfieldError) else f"{type(error).__name__}: {error}"
            problem = redact(f"plugin {point.name!r} ({point.value}) could not be loaded: {said}")
            registrar.problems.append(problem)
            _log.warning(problem)
