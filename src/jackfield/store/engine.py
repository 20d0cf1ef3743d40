"""The one SQLite database: how it is opened, brought up to date, guarded and, when damaged, set aside.

Knows SQLite; does not know what the tables mean (one repository per aggregate does). Calls block for as long as a disk
does, so callers on an event loop go through a thread.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jackfield.core.errors import Conflict, JackfieldError
from jackfield.store.private_file import make_private_directory, open_private, unwritable

BUSY_TIMEOUT_S = 5.0
# A full check reads the whole file; above this size a start would be slow and damage is met on use instead.
FULL_CHECK_BYTES = 32 * 1024 * 1024
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_COMPANIONS = ("", "-wal", "-shm")


class Database:
    """One connection in WAL mode, shared by threads through a lock.

    Raises, on opening: Conflict for a file of a newer jackfield; JackfieldError with code "store_damaged" for a corrupt
    file, which has then been moved aside; with code "store_unwritable" where the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.RLock()
        make_private_directory(path.parent)
        try:
            os.close(open_private(path, os.O_RDWR))
        except OSError as error:
            raise unwritable(path, error) from error
        self._connection = self._open()

    @property
    def schema_version(self) -> int:
        return int(self.query("PRAGMA user_version")[0][0])

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement that reads."""
        with self._guard, self._explained():
            return self._connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's statements or none of them. Raises JackfieldError (code "store_failed") with a remedy."""
        with self._guard, self._explained():
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk ends the transaction by itself
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Idempotent."""
        with self._guard:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if _is_damage(error):
                raise self._set_aside(error) from error
            raise self._explain(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        _into_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        if self.path.stat().st_size <= FULL_CHECK_BYTES:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise _damage(" ".join(str(verdict).split()))
        migrate(connection, self.path)

    def _set_aside(self, error: sqlite3.DatabaseError) -> JackfieldError:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**6:06d}")
        for companion in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{companion}", f"{aside}{companion}")
        return JackfieldError(
            f"the database {self.path} is damaged ({error}) and was moved to {aside}. "
            f"Start again for an empty panel, or put a backup at {self.path} first",
            code="store_damaged",
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> JackfieldError:
        text = str(error)
        if _is_damage(error):
            remedy = "it is damaged: start jackfield again, which moves it aside, or put a backup in its place"
        elif "locked" in text or "busy" in text:
            remedy = "another process holds it: close that one and try again"
        elif "full" in text:
            remedy = "free some disk space and try again"
        elif "readonly" in text or "unable to open" in text:
            remedy = "make the file and its directory writable, or choose another data directory"
        elif "closed" in text:
            remedy = "jackfield is stopping: start it again"
        else:
            remedy = "see `jackfield doctor`"
        return JackfieldError(f"the database {self.path} refused: {text}; {remedy}", code="store_failed")


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of each file in migrations/, in order. Numbers run from 1 without gaps."""
    found = []
    for entry in files("jackfield.store").joinpath("migrations").iterdir():
        if entry.name.endswith(".sql"):
            found.append((int(entry.name[:4]), entry.read_text(encoding="utf-8")))
    found.sort()
    return found


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the schema up to date, each step in its own transaction. Raises Conflict for a schema newer than ours."""
    steps = migrations()
    newest = steps[-1][0]
    if _version(connection) == newest:
        return
    for number, script in steps:
        connection.execute("BEGIN IMMEDIATE")
        try:
            have = _version(connection)  # read again under the lock: another process may have been faster
            if have > newest:
                raise Conflict(
                    f"the database {path} was written by a newer jackfield (schema {have}, this one knows {newest}): "
                    "upgrade jackfield, or choose another data directory",
                    code="store_too_new",
                )
            if have < number:
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""


def _into_wal(connection: sqlite3.Connection) -> None:
    # Switching the mode takes an exclusive lock and does not always wait for it, as busy_timeout makes statements do.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _damage(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED
