import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import timeit
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from jackfield.core.errors import Conflict, JackfieldError
from jackfield.store import journal as journal_module
from jackfield.store.engine import Database
from jackfield.store.journal import Journal
from jackfield.store.ledger import LedgerRepository, LedgerRow

# Appends a row, then dies by SIGKILL in the next statement: no flush, no close, no exit handler.
DIE_AFTER_APPEND = """
import os, signal, sys
from pathlib import Path
from jackfield.store.journal import Journal
from jackfield.store.ledger import LedgerRow
journal = Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    journal.append(LedgerRow(f"r{number}", 1.0, 0, "groq", "llama", 1, 1, 0, 0, None, 0.1, None, False, "ok", 200))
os.kill(os.getpid(), signal.SIGKILL)
"""
TRANSACTION_FAILS = JackfieldError("the database refused", code="store_failed")


def row(request_id: str) -> LedgerRow:
    return LedgerRow(request_id, 100.0, 0, "groq", "llama-3.3-70b-versatile", 10, 5, 0, 0, 250, 0.5, 0.1, True, "ok", 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerRepository]:
    database = Database(tmp_path / "jackfield.db")
    yield LedgerRepository(database)
    database.close()


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


def names(ledger: LedgerRepository) -> set[str]:
    return {each.request_id for each in ledger.recent(limit=100_000)}


def test_a_row_goes_through_the_journal_into_the_ledger_unchanged(journal: Journal, ledger: LedgerRepository) -> None:
    journal.append(row("a"))
    assert journal.rotate_and_replay(ledger) == 1
    assert ledger.recent() == [row("a")]
    assert journal.rotate_and_replay(ledger) == 0


def test_nothing_is_left_behind_but_an_empty_journal(journal: Journal, ledger: LedgerRepository, path: Path) -> None:
    journal.append(row("a"))
    journal.rotate_and_replay(ledger)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["journal.jsonl", "journal.jsonl.lock"]
    assert path.read_bytes() == b""


def test_directory_and_files_are_private(journal: Journal, path: Path) -> None:
    journal.append(row("a"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}


@pytest.mark.behaviour("LEDG-01")
def test_rows_survive_kill_9_right_after_their_append(path: Path, ledger: LedgerRepository) -> None:
    dying = subprocess.run([sys.executable, "-c", DIE_AFTER_APPEND, str(path), "25"], timeout=30, check=False)
    assert dying.returncode == -signal.SIGKILL
    journal = Journal(path)
    assert journal.rotate_and_replay(ledger) == 25
    assert names(ledger) == {f"r{number}" for number in range(25)}
    journal.close()


@pytest.mark.behaviour("LEDG-01")
def test_an_append_waits_for_no_disk(journal: Journal, record_property: Callable[[str, object], None]) -> None:
    one = row("req_0123456789abcdef")
    cost_us = min(timeit.repeat(lambda: journal.append(one), number=2000, repeat=7)) / 2000 * 1e6
    record_property("append_us", cost_us)
    print(f"append: {cost_us:.2f} us")
    assert cost_us < 500  # about 2 us; one that waited for the disk would take milliseconds


def test_a_torn_last_line_is_tolerated_reported_and_kept(
    path: Path, ledger: LedgerRepository, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    whole = msgspec.json.encode(row("whole"))
    path.write_bytes(whole + b"\n" + whole[:40])
    journal = Journal(path)
    journal.append(row("after"))
    assert journal.rotate_and_replay(ledger) == 2
    assert names(ledger) == {"whole", "after"}
    assert journal.damaged == 1
    assert "unreadable" in caplog.text
    assert path.with_name("journal.jsonl.damaged").read_bytes() == whole[:40] + b"\n"
    journal.close()


@pytest.mark.parametrize("junk", [b"\n\n", b"\x00\xff\xfe", b"[]", b'{"request_id": 5}', b'"\xed\xa0\x80"', b"{" * 5000])
def test_junk_between_rows_costs_only_itself(path: Path, ledger: LedgerRepository, junk: bytes) -> None:
    path.parent.mkdir()
    lines = [msgspec.json.encode(row("a")), junk, msgspec.json.encode(row("b"))]
    path.write_bytes(b"\n".join(lines) + b"\n")
    journal = Journal(path)
    assert journal.rotate_and_replay(ledger) == 2
    assert journal.damaged == (1 if junk.strip() else 0)
    journal.close()


def test_replaying_twice_changes_nothing(path: Path, ledger: LedgerRepository) -> None:
    path.parent.mkdir()
    lines = b"".join(msgspec.json.encode(row(name)) + b"\n" for name in "abc")
    for taken in ("00000000000000000001", "00000000000000000002"):
        path.with_name(f"{path.name}.{taken}.taken").write_bytes(lines)
    path.write_bytes(lines)
    journal = Journal(path)
    assert journal.rotate_and_replay(ledger) == 3
    assert ledger.totals().calls == 3
    journal.close()


class RefusingOnce:
    """Stands in for a ledger whose database is full for a moment: a real one, behind a switch."""

    def __init__(self, ledger: LedgerRepository) -> None:
        self.ledger = ledger
        self.refuses = True

    def take_in(self, rows: Iterable[LedgerRow]) -> int:
        if self.refuses:
            raise TRANSACTION_FAILS
        return self.ledger.take_in(rows)


def test_rows_wait_while_the_database_refuses(journal: Journal, ledger: LedgerRepository) -> None:
    refusing = RefusingOnce(ledger)
    journal.append(row("a"))
    with pytest.raises(JackfieldError, match="refused"):
        journal.rotate_and_replay(refusing)  # type: ignore[arg-type]
    journal.append(row("b"))
    refusing.refuses = False
    assert journal.rotate_and_replay(refusing) == 2  # type: ignore[arg-type]
    assert names(ledger) == {"a", "b"}


def test_long_journals_are_taken_in_by_parts(
    journal: Journal, ledger: LedgerRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "ROWS_PER_TRANSACTION", 10)
    for number in range(35):
        journal.append(row(f"r{number}"))
    assert journal.rotate_and_replay(ledger) == 35


@pytest.mark.behaviour("LEDG-02")
def test_rotating_while_others_append_loses_nothing(journal: Journal, ledger: LedgerRepository) -> None:
    writers, rows_each = 4, 800

    def write(writer: int) -> None:
        for number in range(rows_each):
            journal.append(row(f"{writer}-{number}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += journal.rotate_and_replay(ledger)
    for thread in threads:
        thread.join(20)
    taken += journal.rotate_and_replay(ledger)
    assert taken == writers * rows_each == ledger.totals().calls
    assert (journal.lost, journal.damaged) == (0, 0)


def test_the_journal_is_renamed_before_a_new_one_is_opened_and_the_old_closed_last(
    journal: Journal, ledger: LedgerRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(row("a"))
    order: list[str] = []
    rename, close, reopen = os.rename, os.close, journal._reopen
    old = journal._fd

    def watched_rename(source: Path, target: Path) -> None:
        order.append("rename")
        rename(source, target)

    def watched_reopen() -> int:
        order.append("open new")
        return reopen()

    def watched_close(descriptor: int) -> None:
        if descriptor == old:
            order.append("close old")
        close(descriptor)

    monkeypatch.setattr(os, "rename", watched_rename)
    monkeypatch.setattr(journal, "_reopen", watched_reopen)
    monkeypatch.setattr(os, "close", watched_close)
    journal.rotate_and_replay(ledger)
    assert order[:3] == ["rename", "open new", "close old"]


def test_when_a_new_journal_cannot_be_opened_the_old_one_goes_on(
    journal: Journal, ledger: LedgerRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(row("a"))

    def no_space() -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_reopen", no_space)
        with pytest.raises(JackfieldError, match="No space left"):
            journal.rotate_and_replay(ledger)
    journal.append(row("b"))
    assert journal.rotate_and_replay(ledger) == 2
    assert journal.lost == 0


@pytest.mark.behaviour("LEDG-03")
def test_a_full_disk_is_counted_and_logged_once_and_never_raised(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(path)
    full = os.open("/dev/full", os.O_WRONLY)
    working, journal._fd = journal._fd, full
    assert working is not None
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            journal.append(row(f"lost-{number}"))
        assert journal.lost == 5
        assert len(caplog.records) == 1
        assert "No space left" in caplog.text
        journal._fd = working
        os.close(full)
        journal.append(row("kept"))
        assert journal.lost == 5
        assert "can be written again" in caplog.text
    journal.close()
    assert msgspec.json.decode(path.read_bytes(), type=LedgerRow) == row("kept")


def test_a_row_cut_short_by_a_full_disk_does_not_spoil_the_next(
    journal: Journal, ledger: LedgerRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content[:30])))
        journal.append(row("cut"))
    journal.append(row("whole"))
    journal.append(row("next"))
    assert journal.lost == 1
    assert journal.rotate_and_replay(ledger) == 2
    assert names(ledger) == {"whole", "next"}
    assert journal.damaged == 1


def test_a_row_that_is_no_json_is_lost_alone(journal: Journal, ledger: LedgerRepository) -> None:
    journal.append(msgspec.structs.replace(row("odd"), model="\ud800"))
    journal.append(row("next"))
    assert journal.lost == 1
    assert journal.rotate_and_replay(ledger) == 1


def test_a_long_row_after_and_before_a_short_one_is_written_whole(journal: Journal, ledger: LedgerRepository) -> None:
    for name, size in (("a", 1), ("b", 100_000), ("c", 1)):
        journal.append(msgspec.structs.replace(row(name), model="m" * size))
    assert journal.rotate_and_replay(ledger) == 3


def test_a_directory_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JackfieldError, match="cannot write"):
        Journal(tmp_path / "file" / "journal.jsonl")
    (tmp_path / "taken" / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(JackfieldError, match="cannot write"):
        Journal(tmp_path / "taken" / "journal.jsonl")


def test_one_process_at_a_time_owns_a_journal(journal: Journal, path: Path) -> None:
    with pytest.raises(Conflict, match="another jackfield is running"):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_after_close_rows_are_lost_and_the_file_waits_for_the_next_start(
    journal: Journal, ledger: LedgerRepository, path: Path
) -> None:
    journal.append(row("a"))
    journal.close()
    journal.close()
    journal.append(row("late"))
    assert journal.lost == 1
    following = Journal(path)
    assert following.rotate_and_replay(ledger) == 1
    following.close()
