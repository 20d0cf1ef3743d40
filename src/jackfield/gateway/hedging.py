"""Two targets race for the first token: the second starts when the first is later than it usually is.

The loser is cancelled and its connection freed; it says nothing about its source's health, and has a row of its own in the
books. When and whether to race is routing/hedge.py's; this is how.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from jackfield.core.errors import JackfieldError
from jackfield.gateway.attempt import Attempt, Begun
from jackfield.gateway.call import Call
from jackfield.gateway.route import Target
from jackfield.routing.hedge import Hedger

HEDGED = "hedged"
Begin = Callable[[Call], Awaitable[Begun]]


class Runner(NamedTuple):
    """One side of the race."""

    call: Call
    attempt: Attempt
    task: "asyncio.Task[Begun]"


class Finish(NamedTuple):
    """What came of it: the winner's attempt with its answer, or with the error when nobody won."""

    attempt: Attempt
    begun: Begun | None
    error: JackfieldError | None

    def answer(self) -> Begun:
        """The winner's. Raises the last error where nobody won."""
        if self.begun is None:
            assert self.error is not None
            raise self.error
        return self.begun


class Race:
    """Of one call. `book_loser` enters a side that did not win, with its outcome; attempts are numbered in that order."""

    def __init__(
        self,
        call: Call,
        begin: Begin,
        hedger: Hedger,
        rival: Callable[[], Target | None],
        book_loser: Callable[[Call, JackfieldError | None], None],
    ) -> None:
        self._call = call
        self._begin = begin
        self._hedger = hedger
        self._rival = rival
        self._book_loser = book_loser
        self._second: Runner | None = None

    @property
    def has_doubled(self) -> bool:
        """Whether a second side was started."""
        return self._second is not None

    async def run(self, attempt: Attempt, delay_s: float) -> Finish:
        """Leaves no task behind, also when it is cancelled."""
        first = self._start(self._call, attempt)
        try:
            await asyncio.wait((first.task,), timeout=delay_s)
            if not first.task.done():
                self._second = self._start_second()
            return await self._decide(first)
        except BaseException:
            await self._drop(first)
            if self._second is not None:
                await self._drop(self._second)
            raise

    def _start(self, call: Call, attempt: Attempt) -> Runner:
        return Runner(call, attempt, asyncio.ensure_future(self._begin(call)))

    def _start_second(self) -> Runner | None:
        """None where there is nobody to race with, or the budget is spent."""
        target = self._rival()
        if target is None or not self._hedger.spend():
            return None
        twin = copy.copy(self._call)
        twin.aim(target, keep_fields=True)
        try:
            attempt = Attempt(twin, target)
        except JackfieldError:
            return None  # it was unplugged this moment
        return self._start(twin, attempt)

    async def _decide(self, first: Runner) -> Finish:
        running = {first.task: first}
        if self._second is not None:
            running[self._second.task] = self._second
        while True:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            ended = running.pop(first.task if first.task in done else done.pop())
            error = _error_of(ended.task)
            if error is not None and running:
                ended.attempt.end(error)
                self._book_loser(ended.call, error)
                continue
            for loser in running.values():
                await self._drop(loser)
                self._book_loser(loser.call, None)
            if self._second is not None:
                self._hedger.outcome(error is None and ended is self._second)
            if ended is self._second:
                self._call.adopt(ended.call)
                ended.attempt.call = self._call
            return Finish(ended.attempt, None if error is not None else ended.task.result(), error)

    async def _drop(self, runner: Runner) -> None:
        """Cancels a side, frees what it holds, and says nothing of its source."""
        if runner.attempt.has_ended:
            return
        runner.task.cancel()
        await asyncio.gather(runner.task, return_exceptions=True)
        if not runner.task.cancelled() and runner.task.exception() is None:
            await runner.task.result().answer.aclose()
        runner.attempt.end(None, cancelled=True)


def _error_of(task: "asyncio.Task[Begun]") -> JackfieldError | None:
    """Raises what is no failure of a source."""
    error = task.exception()
    if error is None or isinstance(error, JackfieldError):
        return error
    raise error
