"""One row per call: who answered, how many tokens, how fast, at what cost, how it ended.

Knows rows and sums. How a row gets here without slowing a request is journal.py's business; prices are money/'s.
"""

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from jackfield.store.engine import Database

# Far above any real count, and thousands of such rows still sum within SQLite's 64 bits.
_LARGEST = 2**48


class LedgerRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """`at` Unix seconds; `cost_msat` None is unpriced, 0 is free; `outcome` "ok" or an error code; `status` as HTTP.

    `(request_id, attempt)` names a row: taking the same one in twice changes nothing.
    """

    request_id: str
    at: float
    slot: int | None
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_msat: int | None
    latency_s: float
    first_token_s: float | None
    streamed: bool
    outcome: str
    status: int
    attempt: int = 0


class LedgerTotals(msgspec.Struct, frozen=True):
    """Sums over rows. `cost_msat` is of priced calls only; `unpriced` counts the others, which are not free."""

    calls: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_msat: int = 0
    unpriced: int = 0


_COLUMNS = LedgerRow.__struct_fields__
_INSERT = f"INSERT OR IGNORE INTO ledger ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM ledger"  # noqa: S608
_SUMMED = (
    "outcome <> 'ok'",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_msat",
    "cost_msat IS NULL",
)
_SUMS = ", ".join(["count(*)", *(f"coalesce(sum({term}), 0)" for term in _SUMMED)])


class LedgerRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take_in(self, rows: Iterable[LedgerRow]) -> int:
        """Stores what is not stored yet, all or nothing. Gives back how many rows were new."""
        values = [_values(row) for row in rows]
        if not values:
            return 0
        with self._database.transaction() as connection:
            return connection.executemany(_INSERT, values).rowcount

    def recent(self, limit: int = 100) -> list[LedgerRow]:
        """The newest `limit` rows, newest first."""
        rows = self._database.query(f"{_SELECT} ORDER BY at DESC, rowid DESC LIMIT ?", (limit,))
        return [_row(values) for values in rows]

    def of_request(self, request_id: str) -> list[LedgerRow]:
        """The rows of one request, an attempt each, in their order."""
        rows = self._database.query(f"{_SELECT} WHERE request_id = ? ORDER BY attempt, rowid", (request_id,))
        return [_row(values) for values in rows]

    def totals(self, *, since: float = 0.0) -> LedgerTotals:
        """Sums over all rows from `since` (Unix seconds) on."""
        sums = self._database.query(f"SELECT {_SUMS} FROM ledger WHERE at >= ?", (since,))[0]  # noqa: S608
        return _totals(sums)

    def totals_by_slot(self, *, since: float = 0.0) -> dict[int | None, LedgerTotals]:
        """The same for each slot; None for calls that reached no slot."""
        sql = f"SELECT slot, {_SUMS} FROM ledger WHERE at >= ? GROUP BY slot ORDER BY slot"  # noqa: S608
        return {slot: _totals(sums) for slot, *sums in self._database.query(sql, (since,))}


def _values(row: LedgerRow) -> tuple[Any, ...]:
    return tuple(_storable(getattr(row, column)) for column in _COLUMNS)


def _storable(value: Any) -> Any:
    # One upstream's absurd number must not keep every other row out of the database.
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return max(-_LARGEST, min(_LARGEST, value))
    if isinstance(value, float):
        return value if math.isfinite(value) else 0.0
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _row(values: tuple[Any, ...]) -> LedgerRow:
    named = dict(zip(_COLUMNS, values, strict=True))
    return LedgerRow(**{**named, "streamed": bool(named["streamed"])})


def _totals(sums: Iterable[int]) -> LedgerTotals:
    return LedgerTotals(*sums)
