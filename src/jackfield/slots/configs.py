"""The saved config of each provider: what a plug without a config takes. Secrets are references, as in specs."""

import asyncio
import contextlib
import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.requests import Generation
from jackfield.providers.registry import Registrar
from jackfield.slots.memory import PanelStore
from jackfield.slots.plugging import Ready
from jackfield.slots.slot import ROLES, SlotSpec


class SavedConfigs:
    """Read from the store once, by `load`; each change is written before it is seen."""

    def __init__(self, store: PanelStore, registrar: Registrar) -> None:
        self._store = store
        self._registrar = registrar
        self._configs: dict[str, dict[str, Any]] = {}

    async def load(self) -> None:
        self._configs = await asyncio.to_thread(self._store.configs)

    def all(self) -> dict[str, dict[str, Any]]:
        """A deep copy, by canonical id."""
        return copy.deepcopy(self._configs)

    def draft(
        self,
        provider_id: str,
        config: Mapping[str, Any] | None,
        model: str | None,
        generation: Generation | None,
        role: str | None,
    ) -> SlotSpec:
        """What is to be plugged; `config` None takes the saved one. Raises BadRequest for an unknown role or no mapping."""
        role = role or "chat"
        if role not in ROLES:
            raise BadRequest(f"role must be one of {', '.join(ROLES)}, got {role!r}", param="role")
        if config is None:
            config = self._of(provider_id)
        if not isinstance(config, Mapping):
            raise BadRequest(f"config must be an object, got {type(config).__name__}", param="config")
        return SlotSpec(provider_id, dict(config), model, generation or Generation(), role)

    async def keep(self, ready: Ready) -> None:
        """The config of a plug becomes its provider's saved one, if the provider took it."""
        spec = ready.spec
        config = {**spec.config, **msgspec.to_builtins(spec.generation)}
        if ready.binding is None or self._configs.get(spec.provider) == config:
            return
        await asyncio.to_thread(self._store.save_config, spec.provider, config)
        self._configs[spec.provider] = copy.deepcopy(config)

    def _of(self, provider_id: str) -> dict[str, Any]:
        with contextlib.suppress(JackfieldError):
            provider_id = self._registrar.canonical(provider_id)
        return copy.deepcopy(self._configs.get(provider_id, {}))
