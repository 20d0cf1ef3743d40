"""Which backends were known, how each was set up, and what was last seen of it.

Knows rows. A status in a row is history: whoever loads it looks anew before believing it (routing/manager.py).
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from jackfield.store.engine import Database
from jackfield.store.references import refuse_literals

Origin = Literal["slot", "registered"]
_COLUMNS = "id, type, name, origin, provider, model, endpoint, config, weight, status, registered_at, last_seen_at"
_SELECT = f"SELECT {_COLUMNS} FROM backends ORDER BY id"  # noqa: S608 - a constant
_INSERT = f"INSERT INTO backends ({_COLUMNS}) VALUES ({', '.join('?' * len(_COLUMNS.split(',')))})"  # noqa: S608 - a constant
_encode = msgspec.json.Encoder().encode
_config_of = msgspec.json.Decoder(dict[str, Any]).decode


class StoredBackend(msgspec.Struct, frozen=True, kw_only=True):
    """One backend. `origin` says who made it known: a slot, or a call. Times are Unix seconds; `last_seen_at` None is never.

    `config` is plain JSON with references where secrets are; `status` is what it was when the row was written.
    """

    id: str
    type: str
    name: str
    origin: Origin = "registered"
    provider: str = ""
    model: str | None = None
    endpoint: str | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    weight: float = 1.0
    status: str = "unknown"
    registered_at: float = 0.0
    last_seen_at: float | None = None


class HealthRepository:
    """Every writing method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[StoredBackend]:
        """All of them by id."""
        return [_backend(row) for row in self._database.query(_SELECT)]

    def save_all(self, backends: Iterable[StoredBackend]) -> None:
        """Replaces what is stored, all or nothing. Raises BadRequest, before it writes, naming a key with a literal secret."""
        rows = list(backends)
        for row in rows:
            refuse_literals(row.config, f"config of backend {row.id}")
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM backends")
            connection.executemany(_INSERT, [_values(row) for row in rows])


def _values(row: StoredBackend) -> tuple[Any, ...]:
    given = msgspec.structs.asdict(row)
    return tuple(_encode(value).decode() if name == "config" else value for name, value in given.items())


def _backend(row: tuple[Any, ...]) -> StoredBackend:
    named = dict(zip(StoredBackend.__struct_fields__, row, strict=True))
    return StoredBackend(**{**named, "config": _config_of(named["config"])})
