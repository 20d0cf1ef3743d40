"""Batches of requests as rows: what was asked for, how far it came, where its answers are.

Knows states and counts; what a request is, and how one is answered, is the gateway's business.
"""

from typing import Literal

import msgspec

from jackfield.core.usage import Usage
from jackfield.store.engine import Database

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
OPEN: frozenset[str] = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
KEPT_BATCHES = 10_000


class BatchProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a batch cannot be begun; `line` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class StoredBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are Unix seconds, those of states that were not reached None. The ids of the answers' files are settled before the
    files are there, so that a crash between them makes no second ones: `status` says whether they can be asked for. `usage` and
    `model` are known once it is over; more than one model is None."""

    id: str
    key_name: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: int
    expires_at: int
    status: Status = "validating"
    metadata: dict[str, str] | None = None
    output_ttl_s: int | None = None
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    problems: tuple[BatchProblem, ...] = ()
    usage: Usage | None = None
    model: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredBatch).decode
_SAVE = """
INSERT INTO batches (id, key_name, input_file_id, status, is_open, record) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, is_open = excluded.is_open, record = excluded.record
"""
_FORGET = "DELETE FROM batches WHERE is_open = 0 AND rowid <= (SELECT max(rowid) FROM batches) - ?"


class BatchRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, batch: StoredBatch) -> None:
        """Adds or replaces; of those that are over only the newest `KEPT_BATCHES` stay."""
        row = (batch.id, batch.key_name, batch.input_file_id, batch.status, int(batch.is_open), _encode(batch).decode())
        with self._database.transaction() as connection:
            connection.execute(_SAVE, row)
            connection.execute(_FORGET, (KEPT_BATCHES,))

    def get(self, key_name: str, id_: str) -> StoredBatch | None:
        sql = "SELECT record FROM batches WHERE id = ? AND key_name = ?"
        rows = self._database.query(sql, (id_.encode("utf-8", "replace").decode(), key_name))
        return _decode(rows[0][0]) if rows else None

    def of_key(self, key_name: str) -> list[StoredBatch]:
        """Oldest first."""
        rows = self._database.query("SELECT record FROM batches WHERE key_name = ? ORDER BY rowid", (key_name,))
        return [_decode(record) for (record,) in rows]

    def open_ones(self) -> list[StoredBatch]:
        """Those that are not over, oldest first."""
        rows = self._database.query("SELECT record FROM batches WHERE is_open = 1 ORDER BY rowid")
        return [_decode(record) for (record,) in rows]
