import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jackfield.core.errors import Conflict, JackfieldError
from jackfield.store.engine import Database, migrations

OPEN = "import sys; from pathlib import Path; from jackfield.store.engine import Database; Database(Path(sys.argv[1])).close()"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_fresh_database_is_private_in_wal_mode_and_up_to_date(tmp_path: Path) -> None:
    database = Database(tmp_path / "state" / "jackfield.db")
    database.query("SELECT count(*) FROM slots")
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(1,)]
    assert database.query("PRAGMA busy_timeout")[0][0] >= 1000
    assert database.schema_version == migrations()[-1][0]
    assert mode_of(tmp_path / "state") == 0o700
    assert {mode_of(path) for path in (tmp_path / "state").iterdir()} == {0o600}
    database.close()
    database.close()


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_opening_again_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "jackfield.db"
    first = Database(path)
    with first.transaction() as connection:
        connection.execute("INSERT INTO provider_configs VALUES ('p', '{}')")
    first.close()
    second = Database(path)
    assert second.query("SELECT provider FROM provider_configs") == [("p",)]
    second.close()


def test_a_file_of_a_newer_jackfield_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jackfield.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(Conflict, match=r"newer jackfield .* upgrade jackfield") as refused:
        Database(path)
    assert refused.value.code == "store_too_new"
    assert [entry.name for entry in tmp_path.iterdir() if "damaged" in entry.name] == []
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (999,)
    connection.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all, and long enough to be read as a header " * 100)


def torn_page(path: Path) -> None:
    database = Database(path)
    with database.transaction() as connection:
        connection.executemany("INSERT INTO provider_configs VALUES (?, ?)", [(f"p{n}", "x" * 500) for n in range(200)])
    database.close()
    content = bytearray(path.read_bytes())
    content[8192:20480] = b"\xa5" * 12288
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [garbage, torn_page])
def test_a_damaged_file_is_set_aside_with_an_error_that_says_where(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "jackfield.db"
    assert callable(damage)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(JackfieldError, match=r"is damaged .* moved to") as refused:
        Database(path)
    assert refused.value.code == "store_damaged"
    aside = [entry for entry in tmp_path.iterdir() if ".damaged-" in entry.name]
    assert before in [entry.read_bytes() for entry in aside]
    assert str(aside[0]).removesuffix("-wal").removesuffix("-shm") in str(refused.value)
    fresh = Database(path)
    assert fresh.query("SELECT count(*) FROM slots") == [(0,)]
    fresh.close()


def test_a_path_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JackfieldError, match=r"cannot write .* another data directory") as refused:
        Database(tmp_path / "file" / "jackfield.db")
    assert refused.value.code == "store_unwritable"


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "jackfield.db")

    def fail_halfway() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO provider_configs VALUES ('p', '{}')")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert database.query("SELECT * FROM provider_configs") == []
    with database.transaction() as connection:
        connection.execute("INSERT INTO provider_configs VALUES ('q', '{}')")
    assert database.query("SELECT provider FROM provider_configs") == [("q",)]
    database.close()


def test_a_full_disk_is_an_error_with_a_remedy_and_the_database_goes_on(tmp_path: Path) -> None:
    database = Database(tmp_path / "jackfield.db")
    database.query("PRAGMA max_page_count = 20")

    def fill() -> None:
        with database.transaction() as connection:
            connection.executemany("INSERT INTO provider_configs VALUES (?, ?)", [(str(n), "x" * 4000) for n in range(100)])

    with pytest.raises(JackfieldError, match="free some disk space") as refused:
        fill()
    assert refused.value.code == "store_failed"
    assert database.query("SELECT count(*) FROM provider_configs") == [(0,)]
    database.close()


def test_a_file_held_by_another_is_waited_for_then_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jackfield.store.engine.BUSY_TIMEOUT_S", 0.1)
    database = Database(tmp_path / "jackfield.db")
    other = sqlite3.connect(tmp_path / "jackfield.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def write() -> None:
        with database.transaction():
            pass

    with pytest.raises(JackfieldError, match="another process holds it"):
        write()
    other.execute("ROLLBACK")
    write()
    other.close()
    database.close()


def test_after_close_an_answer_is_a_typed_error(tmp_path: Path) -> None:
    database = Database(tmp_path / "jackfield.db")
    database.close()
    with pytest.raises(JackfieldError, match="stopping"):
        database.query("SELECT 1")


def test_threads_share_the_connection_without_losing_writes(tmp_path: Path) -> None:
    database = Database(tmp_path / "jackfield.db")

    def write(first: int) -> None:
        for number in range(first, first + 25):
            with database.transaction() as connection:
                connection.execute("INSERT INTO provider_configs VALUES (?, '{}')", (str(number),))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 200, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert database.query("SELECT count(*) FROM provider_configs") == [(200,)]
    database.close()


def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "jackfield.db"
    starting = [subprocess.Popen([sys.executable, "-c", OPEN, str(path)], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in starting:
        _, complaint = process.communicate(timeout=30)
        assert process.returncode == 0, complaint
