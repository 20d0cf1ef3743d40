"""Files that clients left here: one private file each in a folder of the store, and a row that says whose it is.

Knows names, sizes and owners, not what is in a file. A file is found by its id and its owner's key together, and an id is
ours or it is nobody's: no path is ever made of anything else.
"""

import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, BodyTooLarge, Conflict
from jackfield.store.engine import Database
from jackfield.store.private_file import make_private_directory, open_private, sync_directory, unwritable

_ID = re.compile(r"file-[0-9a-f]{32}")
_UNFINISHED = ".new"
_IN_USE = "SELECT input_file_id FROM batches WHERE is_open = 1"


class StoredFile(msgspec.Struct, frozen=True):
    """Times are Unix seconds."""

    id: str
    key_name: str
    filename: str
    purpose: str
    size_bytes: int
    created_at: int
    expires_at: int


class FileBounds(msgspec.Struct, frozen=True):
    """What may be left here, all keys together."""

    max_file_bytes: int
    max_count: int
    max_bytes: int
    ttl_s: float


_COLUMNS = StoredFile.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM files"  # noqa: S608 - a constant
_REPLACE = f"INSERT OR REPLACE INTO files ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608


def new_file_id() -> str:
    return f"file-{secrets.token_hex(16)}"


class FileShelf:
    """`now` gives Unix seconds. Calls block for as long as a disk does, and raise JackfieldError where it refuses."""

    def __init__(self, database: Database, folder: Path, bounds: FileBounds, now: Callable[[], float]) -> None:
        self._database = database
        self._folder = folder
        self.bounds = bounds
        self._now = now
        self._taking_in = threading.Lock()
        for left in folder.glob(f"file-*{_UNFINISHED}"):  # by a crash, half written
            left.unlink(missing_ok=True)

    def take_in(self, key_name: str, filename: str, purpose: str, content: bytes, ttl_s: float | None = None) -> StoredFile:
        """A client's file, within the bounds. Raises BodyTooLarge, and BadRequest where there is no room."""
        bounds = self.bounds
        if len(content) > bounds.max_file_bytes:
            raise BodyTooLarge(
                f"the file has {len(content)} bytes, and {bounds.max_file_bytes} are the most (files.max_file_bytes): split it",
                param="file",
            )
        with self._taking_in:  # who come at the same time must not all find the last place free
            self.sweep()
            self._check_room(len(content))
            return self.put(new_file_id(), key_name, filename, purpose, (content,), ttl_s)

    def _check_room(self, more_bytes: int) -> None:
        bounds = self.bounds
        count, size_bytes = self._database.query("SELECT count(*), coalesce(sum(size_bytes), 0) FROM files")[0]
        if count >= bounds.max_count or size_bytes + more_bytes > bounds.max_bytes:
            raise BadRequest(
                f"there is no room for this file: {count} files with {size_bytes} bytes are kept, and {bounds.max_count} with "
                f"{bounds.max_bytes} are the most (files.max_count, files.max_bytes): delete some",
                code="files_full",
                param="file",
            )

    def put(
        self,
        id_: str,
        key_name: str,
        filename: str,
        purpose: str,
        pieces: Iterable[bytes],
        ttl_s: float | None = None,
    ) -> StoredFile:
        """Keeps a file of our own making, whatever the bounds; one with that id is replaced, whole or not at all."""
        path = self._path(id_)
        fresh = path.with_name(path.name + _UNFINISHED)
        make_private_directory(self._folder)
        try:
            size_bytes = _written(fresh, pieces)
            created_at = int(self._now())
            expires_at = created_at + int(self.bounds.ttl_s if ttl_s is None else ttl_s)
            stored = StoredFile(id_, key_name, filename, purpose, size_bytes, created_at, expires_at)
            with self._database.transaction() as connection:
                os.replace(fresh, path)
                connection.execute(_REPLACE, msgspec.structs.astuple(stored))
            sync_directory(self._folder)
        except OSError as error:
            raise unwritable(path, error) from error
        finally:
            fresh.unlink(missing_ok=True)
        return stored

    def of_key(self, key_name: str, purpose: str | None = None) -> list[StoredFile]:
        """Oldest first."""
        sql = f"{_SELECT} WHERE key_name = ? AND expires_at > ? AND (? IS NULL OR purpose = ?) ORDER BY rowid"
        return [StoredFile(*row) for row in self._database.query(sql, (key_name, int(self._now()), purpose, purpose))]

    def get(self, key_name: str, id_: str) -> StoredFile | None:
        sql = f"{_SELECT} WHERE id = ? AND key_name = ? AND (expires_at > ? OR id IN ({_IN_USE}))"
        rows = self._database.query(sql, (_storable(id_), key_name, int(self._now())))
        return StoredFile(*rows[0]) if rows and self.path(StoredFile(*rows[0])).is_file() else None

    def path(self, file: StoredFile) -> Path:
        """Where its content is."""
        return self._path(file.id)

    def delete(self, key_name: str, id_: str) -> bool:
        """False where there was none. Raises Conflict while a batch is made of it."""
        file = self.get(key_name, id_)
        if file is None:
            return False
        users = self._database.query("SELECT id FROM batches WHERE is_open = 1 AND input_file_id = ?", (id_,))
        if users:
            raise Conflict(f"the batch {users[0][0]} still reads {id_}: cancel it or wait for its end", param="file_id")
        self._drop(id_)
        return True

    def sweep(self) -> None:
        """Removes what has expired."""
        expired = f"SELECT id FROM files WHERE expires_at <= ? AND id NOT IN ({_IN_USE})"  # noqa: S608 - constants
        for (id_,) in self._database.query(expired, (int(self._now()),)):
            self._drop(id_)

    def _drop(self, id_: str) -> None:
        with self._database.transaction() as connection:
            try:
                self._path(id_).unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(self._path(id_), error) from error
            connection.execute("DELETE FROM files WHERE id = ?", (id_,))

    def _path(self, id_: str) -> Path:
        if _ID.fullmatch(id_) is None:
            raise ValueError("no id of a file of ours")
        return self._folder / id_


def _written(path: Path, pieces: Iterable[bytes]) -> int:
    size_bytes = 0
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        for piece in pieces:
            size_bytes += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size_bytes


def _storable(text: str) -> Any:
    """Lone surrogates are no text for the database; they are no id of ours either."""
    return text.encode("utf-8", "replace").decode()
