"""Asking again: how often, until when, and that what was opened is closed."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from jackfield.core.errors import ToolCallParseError, Unavailable
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta
from jackfield.providers.asked_again import Ask, asked_again

GOOD: list[Event | Exception] = [Started("m"), PartStarted(0, "text"), TextDelta(0, "a"), PartEnded(0), Finished("stop")]


class Source:
    """Gives `answers` in order: events, or what is raised in their place; on entering if it stands first."""

    def __init__(self, *answers: list[Event | Exception]) -> None:
        self.answers = list(answers)
        self.opened = self.closed = 0

    @property
    def ask(self) -> Ask:
        return self._open

    def _open(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._answer(self.answers.pop(0))

    @asynccontextmanager
    async def _answer(self, said: list[Event | Exception]) -> AsyncIterator[AsyncIterator[Event]]:
        self.opened += 1
        try:
            if isinstance(said[0], Exception):
                raise said[0]
            yield self._events(said)
        finally:
            self.closed += 1

    async def _events(self, said: list[Event | Exception]) -> AsyncIterator[Event]:
        for one in said:
            if isinstance(one, Exception):
                raise one
            yield one


def fault() -> ToolCallParseError:
    return ToolCallParseError("it called f with nonsense")


async def heard(source: Source, retries: int) -> list[Event]:
    async with asked_again(source.ask, retries=retries, provider="p") as events:
        return [event async for event in events]


@pytest.mark.behaviour("ERR-16")
async def test_the_first_answer_that_can_be_read_is_heard_from_its_beginning() -> None:
    source = Source([fault()], [Started("m"), fault()], GOOD, GOOD)
    assert await heard(source, 2) == GOOD
    assert (source.opened, source.closed) == (3, 3)


@pytest.mark.behaviour("ERR-16")
@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
async def test_it_is_asked_a_bounded_number_of_times(retries: int, asked: int) -> None:
    answers: list[list[Event | Exception]] = [[fault()] for _ in range(9)]
    source = Source(*answers)
    with pytest.raises(ToolCallParseError, match="nonsense"):
        await heard(source, retries)
    assert (source.opened, source.closed) == (asked, asked)


async def test_after_content_a_fault_is_told() -> None:
    source = Source([*GOOD[:3], fault()], GOOD)
    with pytest.raises(ToolCallParseError):
        await heard(source, 2)
    assert (source.opened, source.closed) == (1, 1)


async def test_other_faults_are_not_for_asking_again() -> None:
    source = Source([Unavailable("gone")], GOOD)
    with pytest.raises(Unavailable):
        await heard(source, 2)
    assert (source.opened, source.closed) == (1, 1)


async def test_leaving_in_the_middle_closes() -> None:
    source = Source(GOOD)
    async with asked_again(source.ask, retries=2, provider="p") as events:
        async for _ in events:
            break
    assert source.closed == 1
