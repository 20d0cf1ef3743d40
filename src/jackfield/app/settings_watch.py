"""Takes over changes of the settings file while running: all of an edit or nothing of it.

Knows files and times; what a change means is `apply`'s business. An edit that cannot be read or applied leaves the old
settings in force and is reported with its file and line.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jackfield.app.settings import Loaded, Problem, SettingsInvalid, candidate_files
from jackfield.core.errors import JackfieldError

log = logging.getLogger("jackfield.settings")

Apply = Callable[[Loaded], Awaitable[None]]
Stamp = tuple[tuple[str, int, int, int], ...]


class SettingsWatcher:
    """Looks at the files every `interval_s` seconds while its `async with` block runs.

    `loaded` is what is in force and `problem` why a newer edit is not; `report` gets each new problem once.
    """

    def __init__(
        self,
        loaded: Loaded,
        apply: Apply,
        *,
        report: Callable[[str], None] = log.warning,
        interval_s: float = 0.5,
    ) -> None:
        self.loaded = loaded
        self.problem: str | None = None
        self._apply = apply
        self._report = report
        self._interval_s = interval_s
        self._stamp = self._look()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="settings-watcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.poll()
            except Exception:
                log.exception("the settings watcher failed; the settings in force stay")

    async def poll(self) -> bool:
        """One look: True if an edit was taken over."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            loaded = await asyncio.to_thread(self._read)
            await self._apply(loaded)
        except JackfieldError as error:
            self.problem = f"the settings in force stay as they were:\n{error}"
            self._report(self.problem)
            return False
        self.loaded, self.problem = loaded, None
        return True

    def _read(self) -> Loaded:
        loaded = self.loaded.reload()
        if self.loaded.file is not None and loaded.file != self.loaded.file:
            raise SettingsInvalid([Problem(str(self.loaded.file), "", "is gone; put it back or start the gateway anew")])
        return loaded

    def _look(self) -> Stamp:
        loaded = self.loaded
        files = (loaded.file,) if loaded.file else candidate_files(loaded.environ)
        return tuple(_stamp(path) for path in (*files, *map(Path, loaded.settings.presets)))


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), found.st_mtime_ns, found.st_size, found.st_ino)


def differences(old: Loaded, new: Loaded) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (old, new) for every value that is not the same; a key that one side lacks counts as None there."""
    before, after = old.values(), new.values()
    return {key: (before.get(key), after.get(key)) for key in {**before, **after} if before.get(key) != after.get(key)}
