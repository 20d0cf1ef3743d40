"""What is plugged where, its history and the saved configs, as rows.

Knows slots as data only (the slots room makes live ones of them) and refuses to write a literal secret.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.ids import MAX_SLOTS
from jackfield.core.requests import Generation
from jackfield.store.engine import Database
from jackfield.store.references import refuse_literals

KEPT_EVENTS = 1000
_SLOT_COLUMNS = "number, name, provider, config, model, generation, role"


class StoredSlot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A slot's place, name and spec. `provider` None is an empty slot; `config` holds references, never secrets."""

    number: int
    name: str
    provider: str | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    model: str | None = None
    generation: Generation = Generation()
    role: str = "chat"


class SlotEventRow(msgspec.Struct, frozen=True):
    """One change of the panel. `before` and `after` hold only the slots it touched; `id` 0 is not yet stored.

    `at` is Unix seconds. An undone change stays in the history, marked.
    """

    at: float
    kind: str
    before: tuple[StoredSlot, ...]
    after: tuple[StoredSlot, ...]
    id: int = 0
    undone: bool = False


_encode = msgspec.json.Encoder().encode
_slots_of = msgspec.json.Decoder(tuple[StoredSlot, ...]).decode
_slot_of = msgspec.json.Decoder(StoredSlot).decode
_config_of = msgspec.json.Decoder(dict[str, Any]).decode
_generation_of = msgspec.json.Decoder(Generation).decode


class SlotRepository:
    """Reads and writes the panel. Every writing method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[StoredSlot]:
        """All stored slots by number, empty ones included."""
        rows = self._database.query(f"SELECT {_SLOT_COLUMNS} FROM slots ORDER BY number")  # noqa: S608 - a constant
        return [
            StoredSlot(number, name, provider, _config_of(config), model, _generation_of(generation), role)
            for number, name, provider, config, model, generation, role in rows
        ]

    def save_all(
        self,
        slots: Iterable[StoredSlot],
        events: Iterable[SlotEventRow] = (),
        *,
        undone: Collection[int] = (),
    ) -> list[SlotEventRow]:
        """Replaces the whole panel, appends `events` and marks the ids in `undone`, all or nothing.

        Gives back the events with their ids. Raises BadRequest, before anything is written, naming a key that holds a
        literal secret.
        """
        panel, fresh = list(slots), list(events)
        for slot in _all_slots(panel, fresh):
            _check(slot)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM slots")
            connection.executemany("INSERT INTO slots VALUES (?, ?, ?, ?, ?, ?, ?)", [_row(slot) for slot in panel])
            connection.executemany("UPDATE slot_events SET undone = 1 WHERE id = ?", [(number,) for number in undone])
            stored = [_append(connection.execute, event) for event in fresh]
            connection.execute(
                "DELETE FROM slot_events WHERE id <= (SELECT max(id) FROM slot_events) - ?",
                (KEPT_EVENTS,),
            )
        return stored

    def save(self, slot: StoredSlot, events: Iterable[SlotEventRow] = ()) -> list[SlotEventRow]:
        """Writes one slot and leaves the others. Raises as `save_all`."""
        fresh = list(events)
        for each in _all_slots([slot], fresh):
            _check(each)
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?, ?, ?)", _row(slot))
            return [_append(connection.execute, event) for event in fresh]

    def events(self, limit: int = 100) -> list[SlotEventRow]:
        """The newest `limit` changes, newest first."""
        rows = self._database.query(
            "SELECT at, kind, before, after, id, undone FROM slot_events ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [_event(row) for row in rows]

    def last_change(self) -> SlotEventRow | None:
        """The newest change that has not been undone: what `undo` takes back next, also after a restart."""
        rows = self._database.query(
            "SELECT at, kind, before, after, id, undone FROM slot_events WHERE undone = 0 ORDER BY id DESC LIMIT 1"
        )
        return _event(rows[0]) if rows else None

    def configs(self) -> dict[str, dict[str, Any]]:
        """The saved config of each provider id."""
        rows = self._database.query("SELECT provider, config FROM provider_configs ORDER BY provider")
        return {provider: _config_of(config) for provider, config in rows}

    def save_config(self, provider_id: str, config: Mapping[str, Any]) -> None:
        """Replaces a provider's saved config. Raises BadRequest naming a key that holds a literal secret."""
        refuse_literals(config, f"config of {provider_id}")
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO provider_configs VALUES (?, ?)", (provider_id, _text(config)))

    def delete_config(self, provider_id: str) -> bool:
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM provider_configs WHERE provider = ?", (provider_id,)).rowcount > 0

    def grab(self, key: str, slot: StoredSlot) -> None:
        """Keeps a slot's content under `key`, replacing what was there. Raises BadRequest for a literal secret."""
        _check(slot)
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO grabbed_slots VALUES (?, ?, ?)", (key, _text(slot), time.time()))

    def grabbed(self, key: str) -> StoredSlot | None:
        rows = self._database.query("SELECT slot FROM grabbed_slots WHERE key = ?", (key,))
        return _slot_of(rows[0][0]) if rows else None

    def grabbed_keys(self) -> list[str]:
        """Oldest first."""
        return [key for (key,) in self._database.query("SELECT key FROM grabbed_slots ORDER BY at, key")]


def _all_slots(panel: Sequence[StoredSlot], events: Sequence[SlotEventRow]) -> Iterable[StoredSlot]:
    yield from panel
    for event in events:
        yield from event.before
        yield from event.after


def _check(slot: StoredSlot) -> None:
    if not 0 <= slot.number < MAX_SLOTS:
        raise ValueError(f"slot number {slot.number} is not 0 to {MAX_SLOTS - 1}")
    refuse_literals(slot.config, f"slot-{slot.number} ({slot.provider or 'empty'})")


def _row(slot: StoredSlot) -> tuple[Any, ...]:
    config, generation = _text(slot.config), _text(slot.generation)
    return slot.number, slot.name, slot.provider, config, slot.model, generation, slot.role


def _append(execute: Any, event: SlotEventRow) -> SlotEventRow:
    cursor = execute(
        "INSERT INTO slot_events (at, kind, before, after, undone) VALUES (?, ?, ?, ?, ?)",
        (event.at, event.kind, _text(event.before), _text(event.after), int(event.undone)),
    )
    return msgspec.structs.replace(event, id=cursor.lastrowid)


def _event(row: tuple[Any, ...]) -> SlotEventRow:
    at, kind, before, after, number, undone = row
    return SlotEventRow(at, kind, _slots_of(before), _slots_of(after), number, bool(undone))


def _text(value: Any) -> str:
    return _encode(value).decode()
