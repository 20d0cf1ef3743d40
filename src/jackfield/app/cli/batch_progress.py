"""How far a batch is: a bar on a terminal's stderr, nothing anywhere else."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class BatchBar:
    """A bar over `total` requests of which `done` were answered before. Use it as a context manager."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._done = done
        self._failed = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._show()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tick(self, *, is_good: bool) -> None:
        """One more is answered, or has failed for good."""
        self._failed += not is_good
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, failed=f"{self._failed} failed" if self._failed else "")

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True), TextColumn("{task.fields[failed]}"))
        self._bar = Progress(*columns, console=Console(file=sys.stderr), refresh_per_second=4)
        self._task = self._bar.add_task("batch", total=self._total, completed=self._done, failed="")
        self._bar.start()
