"""The file that a ledger row is in before its answer has left: one append, no fsync, safe from `kill -9`.

Knows lines and files. Rows reach the database later, through `rotate_and_replay`, which is also what start-up calls. A row
outlives the process, not a power cut.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jackfield.store.ledger import LedgerRepository, LedgerRow
from jackfield.store.private_file import make_private_directory, open_private, unwritable
from jackfield.store.sole_owner import own

ROWS_PER_TRANSACTION = 2000
TAKEN_SUFFIX = ".taken"
DAMAGED_SUFFIX = ".damaged"

log = logging.getLogger(__name__)


class Journal:
    """Appends rows to `path`, which one process owns at a time. Safe to use from several threads.

    `lost` counts rows that could not be written, `damaged` lines that replay could not read (kept beside the journal in
    `<name>.damaged`). Raises, on opening, Conflict where another process holds the journal and JackfieldError (code
    "store_unwritable") where the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self.damaged = 0
        self._guard = threading.Lock()
        self._replaying = threading.Lock()
        self._is_failing = False
        self._line_is_torn = False
        self._is_closed = False
        self._buffer = bytearray(1024)
        self._encode_into = msgspec.json.Encoder().encode_into
        make_private_directory(path.parent)
        self._lock_fd = own(path.with_name(path.name + ".lock"))
        try:
            self._fd: int | None = self._reopen()
        except OSError as error:
            os.close(self._lock_fd)
            raise unwritable(path, error) from error

    def append(self, row: LedgerRow) -> None:
        """Writes `row` as one line. Never raises for a full or broken disk: the row counts as lost, the first is logged."""
        with self._guard:
            buffer = self._buffer
            try:
                self._encode_into(row, buffer)
                buffer += b"\n"
                if self._line_is_torn:
                    buffer[:0] = b"\n"
                if self._fd is None:
                    raise OSError("the journal is not open")
                written = os.write(self._fd, buffer)
                if written != len(buffer):
                    self._line_is_torn = True
                    raise OSError(f"only {written} of {len(buffer)} bytes fitted")
            except (OSError, ValueError, TypeError) as error:
                self._lose(error)
            else:
                self._line_is_torn = False
                if self._is_failing:
                    self._recover()

    def rotate_and_replay(self, repository: LedgerRepository) -> int:
        """Takes all rows written so far into `repository`; gives back how many were new to it.

        Appends go on meanwhile. Files left by an earlier process that was killed are taken in too. A file is removed only
        when its rows are stored. Raises JackfieldError where the database refuses; the rows then wait for the next time.
        """
        with self._replaying:
            self._rotate()
            return sum(self._replay(taken, repository) for taken in self._taken())

    def close(self) -> None:
        """Idempotent. Rows not yet taken in stay in the file for the next start."""
        with self._guard:
            if self._is_closed:
                return
            self._is_closed = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            os.close(self._lock_fd)

    def _lose(self, error: Exception) -> None:
        self.lost += 1
        if not self._is_failing:
            self._is_failing = True
            reason = getattr(error, "strerror", None) or str(error)
            log.error("journal %s cannot be written (%s): calls are served but not recorded until it can", self.path, reason)

    def _recover(self) -> None:
        self._is_failing = False
        log.warning("journal %s can be written again; rows lost so far: %d", self.path, self.lost)

    def _reopen(self) -> int:
        descriptor = open_private(self.path, os.O_RDWR | os.O_APPEND)
        size_bytes = os.fstat(descriptor).st_size
        self._line_is_torn = size_bytes > 0 and os.pread(descriptor, 1, size_bytes - 1) != b"\n"
        return descriptor

    def _rotate(self) -> None:
        # Rename first, reopen after, both under the guard: an append lands in the old file or in the new one, never nowhere,
        # and no descriptor is closed under a write.
        with self._guard:
            if self._is_closed:
                return
            try:
                if self._fd is not None and os.fstat(self._fd).st_size == 0 and self.path.exists():
                    return
                with contextlib.suppress(FileNotFoundError):
                    os.rename(self.path, self._next_taken_path())
                fresh = self._reopen()
            except OSError as error:
                raise unwritable(self.path, error) from error
            if self._fd is not None:
                os.close(self._fd)
            self._fd = fresh

    def _next_taken_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.{time.time_ns():020d}{TAKEN_SUFFIX}")

    def _taken(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.*{TAKEN_SUFFIX}"))

    def _replay(self, taken: Path, repository: LedgerRepository) -> int:
        new_rows = 0
        unreadable: list[bytes] = []
        for batch in _batches(taken, unreadable):
            new_rows += repository.take_in(batch)
        if unreadable:
            self._keep_damaged(unreadable)
        taken.unlink()
        return new_rows

    def _keep_damaged(self, lines: list[bytes]) -> None:
        kept = self.path.with_name(self.path.name + DAMAGED_SUFFIX)
        self.damaged += len(lines)
        log.warning("journal %s: %d unreadable lines (cut while being written?) were kept in %s", self.path, len(lines), kept)
        with contextlib.suppress(OSError):
            descriptor = open_private(kept, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, b"\n".join(lines) + b"\n")
            finally:
                os.close(descriptor)


def _batches(path: Path, unreadable: list[bytes]) -> Iterator[list[LedgerRow]]:
    decode = msgspec.json.Decoder(LedgerRow).decode
    batch: list[LedgerRow] = []
    with path.open("rb") as lines:
        for line in lines:
            text = line.strip()
            if not text:
                continue
            try:
                batch.append(decode(text))
            except (msgspec.DecodeError, UnicodeDecodeError):
                unreadable.append(text)
            if len(batch) >= ROWS_PER_TRANSACTION:
                yield batch
                batch = []
    if batch:
        yield batch
