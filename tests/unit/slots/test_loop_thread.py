"""One loop on one thread for code without async."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from jackfield.core.errors import Conflict
from jackfield.slots.loop_thread import AHEAD, LoopThread


@pytest.fixture
def loops() -> Iterator[LoopThread]:
    made = LoopThread()
    yield made
    made.close()


async def where() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


def test_runs_on_a_thread_of_its_own_and_gives_results_and_errors(loops: LoopThread) -> None:
    assert loops.run(where()) == "jackfield-sync"

    async def fail() -> None:
        raise ValueError("as it was")

    with pytest.raises(ValueError, match="as it was"):
        loops.run(fail())


async def test_works_inside_a_running_loop(loops: LoopThread) -> None:
    assert loops.run(where()) == "jackfield-sync"


def test_its_own_thread_cannot_wait_for_itself(loops: LoopThread) -> None:
    async def inside() -> None:
        loops.run(where())

    with pytest.raises(Conflict, match="own loop"):
        loops.run(inside())


def test_streams_in_order_and_passes_the_error_on(loops: LoopThread) -> None:
    async def count(to: int, fails: bool) -> AsyncIterator[int]:
        for number in range(to):
            yield number
        if fails:
            raise ValueError("at the end")

    assert list(loops.stream(lambda: count(500, False))) == list(range(500))
    failing = iter(loops.stream(lambda: count(3, True)))
    assert [next(failing), next(failing), next(failing)] == [0, 1, 2]
    with pytest.raises(ValueError, match="at the end"):
        next(failing)


def test_a_slow_reader_is_not_run_ahead_of(loops: LoopThread) -> None:
    made: list[int] = []

    async def count() -> AsyncIterator[int]:
        for number in range(10_000):
            made.append(number)
            yield number

    stream = loops.stream(count)
    assert next(iter(stream)) == 0
    loops.run(asyncio.sleep(0.01))
    assert len(made) <= AHEAD + 3
    stream.close()  # type: ignore[attr-defined]


def test_closing_the_generator_cancels(loops: LoopThread) -> None:
    ended = threading.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream: Any = loops.stream(endless)
    assert next(stream) == 1
    stream.close()
    assert ended.wait(2)


def test_closing_calls_what_was_left_for_it_and_can_begin_again(loops: LoopThread) -> None:
    closed: list[str] = []

    async def closer() -> None:
        closed.append(threading.current_thread().name)

    loops.run(where())
    loops.at_close(closer)
    loops.close()
    loops.close()
    assert closed == ["jackfield-sync"]
    assert loops.run(where()) == "jackfield-sync"
