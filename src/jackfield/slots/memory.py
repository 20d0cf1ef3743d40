"""A panel's history kept in memory only: for tests, scripts and panels that need not outlive the process.

The same methods as store/slots.py; the Protocol here says which of them the registry uses.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from jackfield.store.slots import SlotEventRow, StoredSlot

KEPT_EVENTS = 1000


class PanelStore(Protocol):
    """What the registry needs of a repository. Calls may block on a disk."""

    def load(self) -> list[StoredSlot]: ...
    def save_all(
        self, slots: Iterable[StoredSlot], events: Iterable[SlotEventRow] = (), *, undone: Collection[int] = ()
    ) -> list[SlotEventRow]: ...
    def events(self, limit: int = 100) -> list[SlotEventRow]: ...
    def last_change(self) -> SlotEventRow | None: ...
    def configs(self) -> dict[str, dict[str, Any]]: ...
    def save_config(self, provider_id: str, config: Mapping[str, Any]) -> None: ...
    def grab(self, key: str, slot: StoredSlot) -> None: ...
    def grabbed(self, key: str) -> StoredSlot | None: ...
    def grabbed_keys(self) -> list[str]: ...


class MemoryStore:
    def __init__(self) -> None:
        self._slots: list[StoredSlot] = []
        self._events: list[SlotEventRow] = []
        self._configs: dict[str, dict[str, Any]] = {}
        self._grabbed: dict[str, StoredSlot] = {}
        self._last_id = 0

    def load(self) -> list[StoredSlot]:
        return list(self._slots)

    def save_all(
        self, slots: Iterable[StoredSlot], events: Iterable[SlotEventRow] = (), *, undone: Collection[int] = ()
    ) -> list[SlotEventRow]:
        self._slots = list(slots)
        stored = []
        for event in events:
            self._last_id += 1
            stored.append(msgspec.structs.replace(event, id=self._last_id))
        marked = [msgspec.structs.replace(row, undone=True) if row.id in undone else row for row in self._events]
        self._events = (marked + stored)[-KEPT_EVENTS:]
        return stored

    def events(self, limit: int = 100) -> list[SlotEventRow]:
        return self._events[::-1][:limit]

    def last_change(self) -> SlotEventRow | None:
        return next((row for row in reversed(self._events) if not row.undone), None)

    def configs(self) -> dict[str, dict[str, Any]]:
        return {provider_id: dict(config) for provider_id, config in self._configs.items()}

    def save_config(self, provider_id: str, config: Mapping[str, Any]) -> None:
        self._configs[provider_id] = dict(config)

    def grab(self, key: str, slot: StoredSlot) -> None:
        self._grabbed[key] = slot

    def grabbed(self, key: str) -> StoredSlot | None:
        return self._grabbed.get(key)

    def grabbed_keys(self) -> list[str]:
        return list(self._grabbed)
