"""How far a transfer is: a bar with bytes and speed on a terminal's stderr, a line for each new stage anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from jackfield.core.contracts import PullProgress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class TransferBar:
    """Of one transfer called `name`. Use it as a context manager; tell it each progress.

    An upload goes out as one body, of which nobody tells how much is taken: its bar shows the time instead of bytes.
    """

    def __init__(self, name: str, *, quiet: bool = False, is_upload: bool = False) -> None:
        self._name = name
        self._quiet = quiet
        self._is_upload = is_upload
        self._stage = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet:
            self._show()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, progress: PullProgress) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=progress.done_bytes, total=progress.total_bytes, stage=progress.status)
        elif progress.status != self._stage and not self._quiet:
            from jackfield.app.cli import output

            output.note(f"{self._name}: {progress.status}")
        self._stage = progress.status

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        counted = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True))
        ends = (TimeElapsedColumn(),) if self._is_upload else counted
        name, stage = TextColumn("{task.description}"), TextColumn("{task.fields[stage]}")
        self._bar = Progress(name, BarColumn(), *ends, stage, console=Console(file=sys.stderr), refresh_per_second=4)
        self._task = self._bar.add_task(self._name, total=None, stage="")
        self._bar.start()


@contextmanager
def uploading(name: str, size_bytes: int, *, quiet: bool) -> Iterator[None]:
    """A bar, or a line, while a file is on its way to a source."""
    with TransferBar(name, quiet=quiet, is_upload=True) as bar:
        bar.tell(PullProgress(f"uploading {_size(size_bytes)}"))
        yield


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes} bytes"
