"""The requests of a batch: a file with one JSON object a line, checked as a whole before anything is sent.

Only places in the file are kept in memory; a body is read when its turn comes. Knows files; what a line says is
dialects/batch_lines.py's business.
"""

import threading
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects.batch_lines import CHAT_URL, WrongLine, read_body, read_line

PROBLEMS_KEPT = 100
ID_MAX_CHARS = 512


class Task(msgspec.Struct, frozen=True):
    """One request and where it stands: line `number` (from 1), `size_bytes` from `offset` on."""

    custom_id: str
    number: int
    offset: int
    size_bytes: int
    has_model: bool


class LineProblem(msgspec.Struct, frozen=True):
    line: int | None
    code: str
    message: str
    param: str | None = None


class TaskFile:
    """All requests of a file. Close it, or use it as a context manager; `body` may be called from any thread.

    Where there are `problems` nothing should be sent; no more than `PROBLEMS_KEPT` are kept of `problem_count`.
    """

    def __init__(self, file: IO[bytes], url: str, *, bare: bool) -> None:
        self._file = file
        self._url = url
        self._bare = bare
        self._guard = threading.Lock()
        self.tasks: list[Task] = []
        self.problems: list[LineProblem] = []
        self.problem_count = 0

    @classmethod
    def read(cls, path: Path, url: str = CHAT_URL, *, bare: bool, most: int | None = None) -> Self:
        """`bare` lines may be bodies alone; others must be whole, and name a model. `most` requests, no further one is read.

        Raises OSError.
        """
        file = path.open("rb")
        found = cls(file, url, bare=bare)
        try:
            found._scan(most)
        except BaseException:
            file.close()
            raise
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def body(self, task: Task) -> bytes:
        """What to send for `task`. Raises BadRequest where the file is no longer what it was."""
        with self._guard:
            self._file.seek(task.offset)
            line = self._file.read(task.size_bytes)
        try:
            body = read_line(line, self._url, bare=self._bare).body
            read_body(body)
            return body
        except WrongLine:
            raise BadRequest(f"line {task.number} was changed while the batch was running") from None

    def _scan(self, most: int | None) -> None:
        lines: dict[str, int] = {}
        offset = 0
        for number, line in enumerate(self._file, 1):
            if line.strip():
                if most is not None and len(self.tasks) == most:
                    self._note(LineProblem(number, "too_many_requests", f"a batch has {most} requests at most: split it"))
                    return
                self._take(line, number, offset, lines)
            offset += len(line)

    def _take(self, line: bytes, number: int, offset: int, lines: dict[str, int]) -> None:
        try:
            task = self._task(line, number, offset)
            if lines.setdefault(task.custom_id, number) != number:
                already = f"custom_id {task.custom_id!r} is line {lines[task.custom_id]}'s already"
                raise WrongLine(already, "duplicate_custom_id", "custom_id")
        except WrongLine as why:
            self._note(LineProblem(number, why.code, why.message, why.param))
            return
        self.tasks.append(task)

    def _note(self, problem: LineProblem) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)

    def _task(self, line: bytes, number: int, offset: int) -> Task:
        request = read_line(line, self._url, bare=self._bare)
        body = read_body(request.body)
        self._check(body)
        custom_id = request.custom_id or f"line-{number}"
        if len(custom_id) > ID_MAX_CHARS and not self._bare:
            raise WrongLine(f"custom_id is longer than {ID_MAX_CHARS} characters", param="custom_id")
        return Task(custom_id, number, offset, len(line), bool(body.get("model")))

    def _check(self, body: dict[str, Any]) -> None:
        if self._url == CHAT_URL and not isinstance(body.get("messages"), list):
            raise WrongLine("messages must be a list of {role, content} objects", param="body.messages")
        if not self._bare and not (isinstance(body.get("model"), str) and body["model"]):
            raise WrongLine("model is missing: name a slot or a model", "missing_required_parameter", "body.model")
