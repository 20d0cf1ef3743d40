from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.store.engine import Database
from jackfield.store.ledger import LedgerRepository, LedgerRow, LedgerTotals


def row(request_id: str, **changes: Any) -> LedgerRow:
    plain = LedgerRow(request_id, 100.0, 0, "groq", "llama", 10, 5, 2, 1, 250, 0.5, 0.1, True, "ok", 200)
    return msgspec.structs.replace(plain, **changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerRepository]:
    database = Database(tmp_path / "jackfield.db")
    yield LedgerRepository(database)
    database.close()


def test_rows_come_back_as_they_were_taken_in_newest_first(ledger: LedgerRepository) -> None:
    rows = [
        row("a", at=1.0),
        row("b", at=3.0, slot=None, cost_msat=None, first_token_s=None, streamed=False, outcome="timeout", status=504),
        row("c", at=2.0, attempt=2),
    ]
    assert ledger.take_in(rows) == 3
    assert ledger.recent() == [rows[1], rows[2], rows[0]]
    assert ledger.recent(limit=1) == [rows[1]]


def test_a_row_taken_in_twice_counts_once_and_attempts_count_apart(ledger: LedgerRepository) -> None:
    assert ledger.take_in([row("a"), row("a"), row("a", attempt=1)]) == 2
    assert ledger.take_in([row("a", prompt_tokens=99), row("b")]) == 1
    assert {(each.request_id, each.attempt, each.prompt_tokens) for each in ledger.recent()} == {
        ("a", 0, 10),
        ("a", 1, 10),
        ("b", 0, 10),
    }


def test_totals_keep_unpriced_apart_from_free(ledger: LedgerRepository) -> None:
    ledger.take_in([row("a"), row("b", cost_msat=0), row("c", cost_msat=None, outcome="timeout"), row("old", at=1.0, slot=3)])
    assert ledger.totals(since=50.0) == LedgerTotals(
        calls=3,
        failed=1,
        prompt_tokens=30,
        completion_tokens=15,
        cached_tokens=6,
        reasoning_tokens=3,
        cost_msat=250,
        unpriced=1,
    )
    assert ledger.totals().calls == 4
    assert {slot: totals.calls for slot, totals in ledger.totals_by_slot().items()} == {0: 3, 3: 1}


def test_an_empty_ledger_sums_to_nothing(ledger: LedgerRepository) -> None:
    assert ledger.take_in([]) == 0
    assert ledger.totals() == LedgerTotals()
    assert ledger.totals_by_slot() == {}


def test_one_absurd_number_keeps_no_other_row_out(ledger: LedgerRepository) -> None:
    absurd = row("absurd", prompt_tokens=10**40, cost_msat=-(10**40), latency_s=float("nan"), first_token_s=float("inf"))
    assert ledger.take_in([absurd, row("b"), row("c", model="odd \ud800 name")]) == 3
    assert ledger.totals().calls == 3


COUNTS = st.integers(0, 10**7)
ROWS = st.builds(
    LedgerRow,
    st.text("abc", min_size=1, max_size=2),
    st.floats(0, 1e10),
    st.none() | st.integers(0, 31),
    st.text(max_size=6),
    st.text(max_size=6),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.none() | COUNTS,
    st.floats(0, 1e4),
    st.none() | st.floats(0, 1e4),
    st.booleans(),
    st.sampled_from(["ok", "timeout"]),
    st.integers(100, 599),
    st.integers(0, 2),
)


@given(st.lists(ROWS, max_size=12))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_taking_in_is_idempotent_for_any_rows(ledger: LedgerRepository, rows: list[LedgerRow]) -> None:
    ledger.take_in(rows)
    before = ledger.totals()
    assert ledger.take_in(rows) == 0
    assert ledger.totals() == before
