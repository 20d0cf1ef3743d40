"""The answers of a batch: one line each in OpenAI's batch output format, appended as they come, put in order at the end.

A line that was written whole is never asked again, whatever ended the run; a last line that was cut off is dropped. Knows
files and lines, not how answers are got. Raises BadRequest for a file that is anything else.
"""

import itertools
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self
from uuid import uuid4

import msgspec

from jackfield.core.errors import BadRequest, Conflict, JackfieldError

if sys.platform != "win32":
    import fcntl

OPENING = b'{"id":"batch_req_'
"""How every line of ours begins: what a torn one is told by."""


class Response(msgspec.Struct, frozen=True):
    """What the gateway answered; `body` null where that was not JSON."""

    status_code: int
    request_id: str | None
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    code: str
    message: str


class ResultLine(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is null for a good answer, `response` where none came."""

    id: str
    custom_id: str
    response: Response | None = None
    error: Failure | None = None

    @classmethod
    def of(cls, custom_id: str, response: Response | None, error: Failure | None = None) -> Self:
        return cls(id=f"batch_req_{uuid4().hex}", custom_id=custom_id, response=response, error=error)


class _Head(msgspec.Struct):
    """What is read of a line to know whose answer it is."""

    id: str
    custom_id: str
    response: msgspec.Raw
    error: msgspec.Raw


class _Place(msgspec.Struct, frozen=True):
    offset: int
    size_bytes: int
    is_good: bool


_head = msgspec.json.Decoder(_Head).decode


class ResultFile:
    """Only one batch writes a file at a time. Close it, or use it as a context manager; one thread only."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._places: dict[str, _Place] = {}
        self._lines = 0
        self._end = 0

    @classmethod
    def open(cls, path: Path, custom_ids: Collection[str], mode: int = 0o666) -> Self:
        """The results so far of the batch with these ids. Raises BadRequest, or Conflict while another batch writes it."""
        path = path.resolve()
        if path.exists() and not path.is_file():
            raise BadRequest(f"{path} is not a file")
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode), "r+b", buffering=0)
        except OSError as error:
            raise BadRequest(f"{path} cannot be written ({error.strerror})") from None
        results = cls(path, file)
        try:
            results._lock()
            results._scan(custom_ids)
        except BaseException:
            file.close()
            raise
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has_good(self, custom_id: str) -> bool:
        place = self._places.get(custom_id)
        return place is not None and place.is_good

    def has(self, custom_id: str) -> bool:
        return custom_id in self._places

    def counts(self) -> tuple[int, int]:
        """How many have a good answer, and how many have none but a failure."""
        good = sum(place.is_good for place in self._places.values())
        return good, len(self._places) - good

    def lines(self, custom_ids: Iterable[str], *, are_good: bool) -> Iterator[bytes]:
        """The lines of those of these ids that have a good answer, or of those that failed, in this order."""
        for custom_id in custom_ids:
            place = self._places.get(custom_id)
            if place is not None and place.is_good is are_good:
                yield self._line(place)

    def append(self, result: ResultLine) -> None:
        """Raises JackfieldError, the file as it was before, where the disk is full."""
        line = msgspec.json.encode(result) + b"\n"
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self._end)
            raise JackfieldError(f"{self._path} cannot be written ({error.strerror}): what it holds is whole") from None
        self._note(result.custom_id, len(line), result.error is None)

    def put_in_order(self, custom_ids: Sequence[str]) -> None:
        """Leaves one line for each id that has one, in this order. The file is replaced whole, or not at all."""
        places = [self._places[custom_id] for custom_id in custom_ids if custom_id in self._places]
        is_in_order = all(one.offset < other.offset for one, other in itertools.pairwise(places))
        if is_in_order and self._lines == len(places):
            return
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
        try:
            with fresh.open("wb") as ordered:
                for place in places:
                    ordered.write(self._line(place))
                ordered.flush()
                os.fsync(ordered.fileno())
            fresh.chmod(self._path.stat().st_mode & 0o777)
            fresh.replace(self._path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise JackfieldError(
                f"{self._path} could not be put in order ({error.strerror}): it is whole, in the order of arrival"
            ) from None

    def _line(self, place: _Place) -> bytes:
        self._file.seek(place.offset)
        return _exactly(self._file, place.size_bytes)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another batch is writing {self._path}: wait for it, or name another file") from None
        except OSError:
            pass  # a file system without locks: nothing is lost but this check

    def _scan(self, custom_ids: Collection[str]) -> None:
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n") and _is_torn(line):
                    self._file.truncate(self._end)
                    break
                try:
                    head = _head(line)
                except (msgspec.MsgspecError, UnicodeError):
                    raise BadRequest(f"{self._path} line {number} is not an answer of a batch: name another file") from None
                if head.custom_id not in custom_ids:
                    raise BadRequest(
                        f"{self._path} line {number} answers {head.custom_id!r}, which is not asked: name another file"
                    )
                is_good = bytes(head.error) == b"null"
                if not line.endswith(b"\n"):  # only its end was missing, and it is the last
                    self._file.write(b"\n")
                    self._note(head.custom_id, len(line) + 1, is_good)
                    break
                self._note(head.custom_id, len(line), is_good)

    def _note(self, custom_id: str, size_bytes: int, is_good: bool) -> None:
        """Counts a line that stands at the end; a good answer is never replaced by a later failure."""
        if is_good or not self.has_good(custom_id):
            self._places[custom_id] = _Place(self._end, size_bytes, is_good)
        self._lines += 1
        self._end += size_bytes


def _is_torn(line: bytes) -> bool:
    """Is this the beginning of a line of ours, and no whole one?"""
    if not (line.startswith(OPENING) or OPENING.startswith(line)):
        return False
    try:
        _head(line)
    except (msgspec.MsgspecError, UnicodeError):
        return True
    return False


def _exactly(file: IO[bytes], size_bytes: int) -> bytes:
    pieces = []
    while size_bytes > 0 and (piece := file.read(size_bytes)):
        pieces.append(piece)
        size_bytes -= len(piece)
    return b"".join(pieces)
