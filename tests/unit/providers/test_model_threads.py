"""The threads of a model in this process: bounded, stoppable, owned; and the loan of one model to many."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from jackfield.core.errors import Overloaded, RequestRejected, ServiceFailed, TimedOut
from jackfield.providers.model_threads import MAX_PIECES_AHEAD, Call, Loans, ModelThreads


@pytest.fixture
def threads() -> ModelThreads:
    return ModelThreads(1, "test")


async def read(threads: ModelThreads, work: Callable[[Call[int]], None], timeout_s: float = 10.0) -> list[int]:
    async with asyncio.timeout(10), threads.stream(work, timeout_s) as pieces:
        return [piece async for piece in pieces]


async def test_pieces_come_in_their_order_and_few_wait(threads: ModelThreads) -> None:
    ahead = 0

    def work(call: Call[int]) -> None:
        nonlocal ahead
        for ahead in range(1000):
            if call.take(ahead):
                return

    async with asyncio.timeout(10), threads.stream(work, 10.0) as pieces:
        assert await anext(aiter(pieces)) == 0
        assert ahead <= MAX_PIECES_AHEAD + 1
    assert ahead <= MAX_PIECES_AHEAD + 2
    assert await read(threads, work) == list(range(1000))
    threads.close()


async def test_the_time_is_over_even_where_the_engine_says_nothing(threads: ModelThreads) -> None:
    stopped = threading.Event()

    def work(call: Call[int]) -> None:
        while not call.is_stopped():
            stopped.wait(0.01)
        stopped.set()

    with pytest.raises(TimedOut, match=r"not done within 0\.05 s"):
        await read(threads, work, 0.05)
    assert stopped.is_set()
    release = threading.Event()
    with pytest.raises(TimedOut):
        await threads.answer(release.wait, 0.05)
    release.set()
    threads.close()


async def test_what_goes_wrong_in_the_thread_reaches_who_waits(threads: ModelThreads, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: Call[int]) -> None:
        raise RequestRejected("no")

    def break_(_: Call[int]) -> None:
        raise KeyError("a prompt, perhaps")

    with pytest.raises(RequestRejected):
        await read(threads, refuse)
    with pytest.raises(ServiceFailed, match=r"failed with KeyError: the log tells where$"):
        await read(threads, break_)
    assert "an engine in this process failed" in caplog.text
    threads.close()


async def test_a_crowd_is_refused_and_one_who_left_is_not_played(
    threads: ModelThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jackfield.providers.model_threads.MAX_WAITING", 1)
    release, played = threading.Event(), threading.Event()
    first = asyncio.create_task(threads.answer(release.wait, 10.0))
    while not threads.busy:
        await asyncio.sleep(0)

    def play(_: Call[int]) -> None:
        played.set()

    async with threads.stream(play, 10.0):
        with pytest.raises(Overloaded):
            threads.check_room()
    release.set()
    await first
    threads.close()
    assert not played.is_set()
    assert threads.busy == 0


class Engine:
    def __init__(self, spec: str) -> None:
        self.users = 0
        self.is_closed = False
        self.loading: Future[None] = Future()
        if spec == "broken":
            self.loading.set_exception(ServiceFailed("it cannot be loaded"))
        else:
            self.loading.set_result(None)

    def close(self) -> None:
        self.is_closed = True


async def test_equal_wishes_share_an_engine_and_the_last_frees_it() -> None:
    loans: Loans[str, Engine] = Loans(Engine)
    one, two, other = [await loans.borrow(spec) for spec in ("a", "a", "b")]
    assert one is two is not other
    await loans.give_back(one)
    assert (one.is_closed, set(loans.engines)) == (False, {"a", "b"})
    await loans.give_back(two)
    assert set(loans.engines) == {"b"}
    assert await loans.borrow("a") is not one


async def test_an_engine_that_cannot_be_loaded_is_kept_by_nobody() -> None:
    loans: Loans[str, Engine] = Loans(Engine)
    for _ in range(2):
        with pytest.raises(ServiceFailed):
            await loans.borrow("broken")
    assert not loans.engines
