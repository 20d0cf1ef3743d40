"""Two targets race for the first content: the second starts when the first is later than it usually is.

The first to have content carries on alone. The other is cancelled and its connection freed; that says nothing about its
source's health, and it has a row of its own in the books. When and whether to race is routing/hedge.py's; this is how. Each
side lives in one task from beginning to end, since limits of time and scopes of a provider are bound to theirs: the first in
the request's own, so that a race that never needs its second side costs a timer.
"""

import asyncio
import copy
from collections.abc import Callable
from typing import NamedTuple

from jackfield.core.errors import JackfieldError
from jackfield.gateway.attempt import Attempt, Play
from jackfield.gateway.call import Call
from jackfield.routing.hedge import Hedger

WON, LOST, FAILED = "won", "lost", "failed"
"""What came of second requests: it was faster, it was not, nobody answered."""


class Terms(NamedTuple):
    """What a race asks of its walk.

    `enter` begins the second attempt, None where nobody may be asked too. `book` enters a side that did not win, with what
    it failed of or None if it was only slower; attempts are numbered in that order. `tell` is told who won.
    """

    enter: Callable[[], Attempt | None]
    book: Callable[[Call, JackfieldError | None], None]
    tell: Callable[[str], None]


class Finish(NamedTuple):
    """The attempt that was the last one, still to be ended, and what it failed of."""

    attempt: Attempt
    error: JackfieldError | None


class Race:
    """Of one call, whose attempt at its first target has begun. Made and run in the request's task."""

    __slots__ = (
        "_call",
        "_cancelling",
        "_error",
        "_first",
        "_has_asked",
        "_hedger",
        "_play",
        "_second",
        "_side",
        "_task",
        "_terms",
        "_winner",
    )

    def __init__(self, first: Attempt, play: Play, hedger: Hedger, terms: Terms) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._first = first
        self._call = first.call
        self._play = play
        self._hedger = hedger
        self._terms = terms
        self._second: Attempt | None = None
        self._side: asyncio.Task[None] | None = None
        self._has_asked = False
        self._winner: Attempt | None = None
        self._error: JackfieldError | None = None
        """The second side's."""

    async def run(self, delay_s: float) -> Finish:
        """Leaves no task behind, also when it is cancelled."""
        timer = asyncio.get_running_loop().call_later(delay_s, self._double)
        try:
            error = await self._run_first(timer)
            timer.cancel()
            return await self._settled(error)
        except BaseException:
            timer.cancel()
            await self._give_up_second()
            raise

    def _double(self) -> None:
        self._second = self._terms.enter()
        if self._second is not None:
            self._side = asyncio.create_task(self._run_second(self._second), name="hedge")

    # The two sides

    async def _run_first(self, timer: asyncio.TimerHandle) -> JackfieldError | None:
        """What it failed of; None also where it was beaten."""
        try:
            begun = await self._play.begin(self._call, True)
            if self._winner is None:
                timer.cancel()
                self._first_wins()
                await self._play.carry(self._call, begun)
            else:
                await begun[0].aclose()  # somebody kept the cancellation to himself
                self._is_only_beaten()
        except JackfieldError as error:
            if self._winner is self._first or not self._is_only_beaten():
                return error.without_trace()
        except asyncio.CancelledError:
            if not self._is_only_beaten():
                raise
        return None

    async def _run_second(self, second: Attempt) -> None:
        self._has_asked = True
        try:
            begun = await self._play.begin(second.call, True)
            if self._winner is None:
                self._second_wins(second)
                await self._play.carry(self._call, begun)
            else:
                await begun[0].aclose()
                second.end(None, cancelled=True)
        except JackfieldError as error:
            if self._winner is self._first:
                second.end(None, cancelled=True)
                return
            self._error = error.without_trace()
            if self._winner is None and not self._first.has_ended:
                self._fail(second, error)
        except BaseException:
            second.end(None, cancelled=True)
            raise

    def _first_wins(self) -> None:
        self._winner = self._first
        if self._second is None:
            return
        if self._side is not None and not self._second.has_ended:
            self._side.cancel()
            self._book_second(self._second)
        self._hedger.outcome(False)
        self._terms.tell(LOST)

    def _second_wins(self, second: Attempt) -> None:
        """The call goes on as the second side's; where the first side still waits it is woken, to leave."""
        self._winner = second
        if not self._first.has_ended:
            self._first.call = copy.copy(self._call)
            self._terms.book(self._first.call, None)
            self._task.cancel()
        self._take_over(second)
        self._hedger.outcome(True)
        self._terms.tell(WON)

    def _is_only_beaten(self) -> bool:
        """Whether the first side was woken by the second one and by nobody else; then it is over for it."""
        if self._winner is None or self._winner is self._first:
            return False
        if self._task.uncancel() > self._cancelling:
            return False
        self._first.end(None, cancelled=True)
        return True

    # The end

    async def _settled(self, error: JackfieldError | None) -> Finish:
        """After the first side is over. Raises what is no failure of a source."""
        second, side = self._second, self._side
        if second is None or side is None:
            return Finish(self._first, error)
        if self._winner is None and not second.has_ended and error is not None and error.may_fall_back:
            self._fail(self._first, error)
        if self._first.has_ended:
            return await self._second_decides(second, side)
        if self._winner is None:
            self._terms.tell(FAILED)
        await self._give_up_second()
        if self._winner is None and not side.cancelled():
            side.result()
        return Finish(self._first, error)

    async def _second_decides(self, second: Attempt, side: asyncio.Task[None]) -> Finish:
        await asyncio.wait((side,))
        if self._winner is None:
            self._take_over(second)
            self._hedger.outcome(False)
            self._terms.tell(FAILED)
        side.result()
        return Finish(second, self._error)

    def _book_second(self, second: Attempt) -> None:
        """It was slower; one that was called off before it could ask anybody is not booked."""
        if self._has_asked:
            self._terms.book(second.call, None)

    def _take_over(self, second: Attempt) -> None:
        self._call.adopt(second.call)
        second.call = self._call

    def _fail(self, attempt: Attempt, error: JackfieldError) -> None:
        attempt.end(error)
        self._hedger.attempt_ended(error.hurts_health)
        self._terms.book(attempt.call, error)

    async def _give_up_second(self) -> None:
        """Ends the second side wherever it is. Idempotent."""
        second, side = self._second, self._side
        if second is None or side is None:
            return
        is_running = not side.done() and not side.cancelling()
        side.cancel()
        await asyncio.wait((side,))
        if not second.has_ended:  # it was cancelled before it had begun, or has failed
            second.end(self._error, cancelled=self._error is None)
        if is_running and self._winner is None:
            if self._first.has_ended:
                self._take_over(second)  # the first one failed and is booked: what the request still was is the second one
            else:
                self._book_second(second)
