"""The requests of a batch: a file with one JSON object a line, checked as a whole before anything is sent.

A line is `{"custom_id", "method", "url", "body"}`, as OpenAI's batches have it, or the body alone: `{"messages": [...]}`. Only
places in the file are kept in memory; a body is read when its turn comes.
"""

import threading
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from jackfield.app.cli.failures import UsedWrongly
from jackfield.core.errors import BadRequest

URL = "/v1/chat/completions"
PROBLEMS_SHOWN = 5
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class Task(msgspec.Struct, frozen=True):
    """One request and where it stands: line `number` (from 1), `size_bytes` from `offset` on."""

    custom_id: str
    number: int
    offset: int
    size_bytes: int
    has_model: bool


class TaskFile:
    """All requests of a file. Close it, or use it as a context manager; `body` may be called from any thread."""

    def __init__(self, file: IO[bytes], tasks: list[Task]) -> None:
        self._file = file
        self._guard = threading.Lock()
        self.tasks = tasks

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises UsedWrongly with the first problems, each with its line, if any line cannot be asked."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise UsedWrongly(f"{path} cannot be read ({error.strerror})", param="REQUESTS") from None
        try:
            return cls(file, _tasks(file, path))
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def body(self, task: Task) -> dict[str, Any]:
        """What to send for `task`. Raises BadRequest where the file is no longer what it was."""
        with self._guard:
            self._file.seek(task.offset)
            line = self._file.read(task.size_bytes)
        try:
            fields = _fields(line)
            plain: dict[str, Any] = msgspec.json.decode(_body(fields))
        except (msgspec.MsgspecError, UnicodeError, _Unusable):
            raise BadRequest(f"line {task.number} was changed while the batch was running") from None
        return plain


class _Unusable(Exception):
    """Why a line cannot be asked."""


def _tasks(file: IO[bytes], path: Path) -> list[Task]:
    tasks: list[Task] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    offset = 0
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                task = _task(line, number, offset)
                if lines.setdefault(task.custom_id, number) != number:
                    raise _Unusable(f"custom_id {task.custom_id!r} is line {lines[task.custom_id]}'s already")
                tasks.append(task)
            except _Unusable as why:
                problems.append(f"line {number}: {why}")
        offset += len(line)
    if problems:
        more = f" (and {len(problems) - PROBLEMS_SHOWN} more)" if len(problems) > PROBLEMS_SHOWN else ""
        raise UsedWrongly(f"{path}: {'; '.join(problems[:PROBLEMS_SHOWN])}{more}; nothing was sent", param="REQUESTS")
    return tasks


def _task(line: bytes, number: int, offset: int) -> Task:
    try:
        fields = _fields(line)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _Unusable(f"not a JSON object ({error})") from None
    body = _read_body(_body(fields))
    custom_id = _string(fields, "custom_id")
    if custom_id is None and "body" in fields:
        raise _Unusable("custom_id is missing")
    return Task(custom_id or f"line-{number}", number, offset, len(line), bool(body.get("model")))


def _body(fields: dict[str, msgspec.Raw]) -> bytes:
    """The body of a line, still undecoded."""
    if "body" in fields:
        method, url = _string(fields, "method"), _string(fields, "url")
        if method not in (None, "POST"):
            raise _Unusable(f"method must be POST, not {method!r}")
        if url not in (None, URL):
            raise _Unusable(f"url must be {URL}, not {url!r}")
        return bytes(fields["body"])
    if "messages" in fields:
        return msgspec.json.encode({name: raw for name, raw in fields.items() if name != "custom_id"})
    raise _Unusable("neither body nor messages is there")


def _read_body(body: bytes) -> dict[str, Any]:
    try:
        plain = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _Unusable(f"body cannot be read ({error})") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("messages"), list):
        raise _Unusable("messages must be a list of {role, content} objects")
    if plain.get("stream"):
        raise _Unusable("stream must not be true: the answers of a batch are whole")
    return plain


def _string(fields: dict[str, msgspec.Raw], name: str) -> str | None:
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        text = _text(raw)
    except (msgspec.MsgspecError, UnicodeError):
        raise _Unusable(f"{name} must be a string") from None
    if not text:
        raise _Unusable(f"{name} is empty")
    return text
