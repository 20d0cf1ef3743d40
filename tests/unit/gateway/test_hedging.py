"""Races of two sources: one answer, everything freed, each side booked once, whoever wins, fails or leaves, and when."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.contracts import ProviderCard, ProviderInfo
from jackfield.core.errors import BadRequest, JackfieldError, Overloaded, TimedOut, Unavailable
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.route import Route, Target
from jackfield.gateway.walk import WalkSettings
from jackfield.routing.attempts import FailureKind
from jackfield.routing.gauges import Limit
from jackfield.routing.hedge import HedgeSettings
from jackfield.routing.limits import Limits, LimitSettings
from jackfield.routing.manager import BackendManager
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, SlotSpec
from writing_client import WritingClient

SOON = HedgeSettings(share=1.0, shortest_s=0.01)
BOUND_S = 5.0
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
Turn = Callable[[], Awaitable[object]]


async def at_once() -> None: ...


async def never() -> None:
    await asyncio.Event().wait()


class Source:
    """Says `text` after `before` (its first content) and ends after `after`; or fails with `error` in place of the content."""

    card = ProviderCard(id="source", type="api", display_name="Source")
    info = ProviderInfo("source", "api", "Source")

    def __init__(self, text: str) -> None:
        self.text = text
        self.before: Turn = at_once
        self.after: Turn = at_once
        self.error: JackfieldError | None = None
        self.asked = 0
        self.left = 0
        self.limit_s = BOUND_S

    @contextlib.asynccontextmanager
    async def open(self, _: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        self.asked += 1
        task = asyncio.current_task()
        try:
            yield self._limited()
        finally:
            self.left += 1
            assert asyncio.current_task() is task, "limits of time are bound to a task"

    async def _limited(self) -> AsyncIterator[Event]:
        try:
            async with asyncio.timeout(self.limit_s):
                async for event in self._play():
                    yield event
        except TimeoutError:
            raise TimedOut("too late") from None

    async def _play(self) -> AsyncIterator[Event]:
        yield Started("m")
        yield PartStarted(0, "text")
        yield UsageReported(Usage(prompt_tokens=3))
        await self.before()
        if self.error is not None:
            raise self.error
        yield TextDelta(0, self.text)
        await self.after()
        yield PartEnded(0)
        yield UsageReported(Usage(prompt_tokens=3, completion_tokens=2))
        yield Finished("stop")

    async def aclose(self) -> None: ...


class Course:
    """Requests for two sources, `one` first, whose usual times are known. `rows`: attempt, slot, outcome, prompt tokens."""

    def __init__(
        self, *, hedge: HedgeSettings = SOON, limits: LimitSettings | None = None, known: int = 20, **more: Any
    ) -> None:
        self.one, self.two = self.sources = Source("one"), Source("two")
        self.rows: list[tuple[int, int | None, str, int]] = []
        self.told: list[str] = []
        manager = BackendManager()
        self.bindings = [Binding(LiveProvider(source, source.card), SlotSpec("source")) for source in self.sources]
        self.targets = [Target(slot, each, None, manager.backend_of(each)) for slot, each in enumerate(self.bindings)]
        for target in self.targets:
            for _ in range(known):
                target.backend.metrics.note_good(0.001, 0.001, 0)
        self.limits = Limits(limits) if limits is not None else None
        self.pipeline = Pipeline(
            self._resolve,  # type: ignore[arg-type]
            (self._book,),
            walk=WalkSettings(hedge=hedge, **more),
            sources=self.limits,
            on_hedge=self.told.append,
            random=lambda: 0.0,
        )
        self.client = WritingClient()
        self.call = self.new_call(stream=True)

    def new_call(self, *, stream: bool) -> Call:
        fields = {"messages": msgspec.Raw(b'[{"role": "user", "content": "hi"}]'), "model": msgspec.Raw(b'"m"')}
        return Call(
            "r", OpenAIChat(), fields, model_text="m", stream=stream, show_usage=False, at=0.0, received_at=perf_counter()
        )

    def _resolve(self, call: Call) -> None:
        call.route = Route(self.targets)

    def _book(self, call: Call) -> None:
        self.rows.append((call.attempt, call.slot_number, call.outcome, 0 if call.usage is None else call.usage.prompt_tokens))

    async def ask(self, *, stream: bool) -> str:
        """The text of the answer, or the error's code; afterwards nothing may be in use."""
        self.call = self.new_call(stream=stream)
        self.client = WritingClient()
        code = ""
        try:
            async with asyncio.timeout(BOUND_S):
                await self.pipeline.run(self.call, self.client)
        except JackfieldError as error:
            code = error.code
        self.assert_settled()
        return code or ("one" if b'"one"' in self.client.sent else "two" if b'"two"' in self.client.sent else "")

    def assert_settled(self) -> None:
        assert [source.asked for source in self.sources] == [source.left for source in self.sources]
        assert all(binding.live.in_flight == 0 for binding in self.bindings)
        assert all(target.backend.metrics.active == 0 for target in self.targets)
        assert [row[0] for row in self.rows] == list(range(len(self.rows))), "a row each, numbered in their order"
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in tasks if task.get_name() == "hedge"]

    def counts(self, slot: int) -> tuple[int, int, int]:
        """How many of its attempts went well, failed, were given up."""
        metrics = self.targets[slot].backend.metrics
        return metrics.ok - 20, metrics.failed, metrics.cancelled


@STREAMS
async def test_the_second_wins_and_the_first_is_cut(stream: bool) -> None:
    course = Course()
    course.one.before = never
    assert await course.ask(stream=stream) == "two"
    assert [row[:3] for row in course.rows] == [(0, 0, "hedged"), (1, 1, "ok")]
    assert (course.counts(0), course.counts(1)) == ((0, 0, 1), (1, 0, 0))
    assert course.told == ["won"]
    assert course.client.head[b"x-jackfield-slot"] == b"1"
    assert course.client.head[b"x-jackfield-attempts"] == b"2"
    assert course.call.usage == Usage(prompt_tokens=3, completion_tokens=2)


@STREAMS
async def test_what_the_loser_is_known_to_have_used_is_booked(stream: bool) -> None:
    course = Course()
    course.one.before = never
    await course.ask(stream=stream)
    assert course.rows[0][3] == (3 if stream else 0), "a whole answer tells it at its end only"
    assert course.rows[1][3] == 3


@STREAMS
async def test_the_first_may_still_win(stream: bool) -> None:
    course = Course()
    course.one.before = lambda: asyncio.sleep(0.05)
    course.two.before = never
    assert await course.ask(stream=stream) == "one"
    assert [row[:3] for row in course.rows] == [(0, 1, "hedged"), (1, 0, "ok")]
    assert (course.counts(0), course.counts(1)) == ((1, 0, 0), (0, 0, 1))
    assert course.told == ["lost"]


@STREAMS
async def test_one_that_is_in_time_costs_no_second_request(stream: bool) -> None:
    course = Course()
    assert await course.ask(stream=stream) == "one"
    await asyncio.sleep(0.03)
    assert course.two.asked == 0
    assert course.told == []


async def test_what_comes_late_after_content_is_no_reason_to_race() -> None:
    course = Course()
    course.one.after = lambda: asyncio.sleep(0.05)
    assert await course.ask(stream=True) == "one"
    assert course.two.asked == 0


@STREAMS
async def test_the_second_fails_and_the_first_goes_on(stream: bool) -> None:
    course = Course()
    course.one.before = lambda: asyncio.sleep(0.05)
    course.two.error = Unavailable("500")
    assert await course.ask(stream=stream) == "one"
    assert [row[:3] for row in course.rows] == [(0, 1, "unavailable"), (1, 0, "ok")]
    assert course.counts(1) == (0, 1, 0)


@STREAMS
async def test_the_first_fails_while_the_second_is_on_its_way(stream: bool) -> None:
    course = Course()
    course.one.before = lambda: asyncio.sleep(0.03)
    course.one.error = Unavailable("500")
    course.two.before = lambda: asyncio.sleep(0.06)
    assert await course.ask(stream=stream) == "two"
    assert [row[:3] for row in course.rows] == [(0, 0, "unavailable"), (1, 1, "ok")]
    assert course.counts(0) == (0, 1, 0)
    assert course.told == ["won"]


@STREAMS
@pytest.mark.parametrize("who_is_first", [0, 1])
async def test_both_fail(stream: bool, who_is_first: int) -> None:
    course = Course(retries=0)
    for source in course.sources:
        source.error = Overloaded("busy")
        source.before = lambda: asyncio.sleep(0.06)
    course.sources[who_is_first].before = lambda: asyncio.sleep(0.03)
    if who_is_first == 1:
        course.sources[1].before = at_once
    assert await course.ask(stream=stream) == "overloaded"
    assert [row[1:3] for row in course.rows] == [(who_is_first, "overloaded"), (1 - who_is_first, "overloaded")]
    assert (course.counts(0), course.counts(1)) == ((0, 1, 0), (0, 1, 0))


@STREAMS
async def test_a_mistake_in_the_request_ends_the_race(stream: bool) -> None:
    course = Course()
    course.one.before = lambda: asyncio.sleep(0.03)
    course.one.error = BadRequest("no")
    course.two.before = never
    assert await course.ask(stream=stream) == "invalid_request"
    assert [row[1:3] for row in course.rows] == [(1, "hedged"), (0, "invalid_request")]
    assert course.told == ["failed"]


@STREAMS
@pytest.mark.parametrize("turns", [0, 1, 3, 10])
async def test_a_client_that_leaves_frees_both(stream: bool, turns: int) -> None:
    course = Course()
    course.one.before = course.two.before = never
    asking = asyncio.create_task(course.ask(stream=stream))
    async with asyncio.timeout(BOUND_S):
        while course.two.asked == 0:
            await asyncio.sleep(0.001)
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    course.assert_settled()
    assert [row[1:3] for row in course.rows] == [(1, "hedged"), (0, "cancelled")]
    assert (course.counts(0), course.counts(1)) == ((0, 0, 1), (0, 0, 1))


async def test_a_client_that_leaves_the_winner_is_booked_with_it() -> None:
    course = Course()
    course.one.before = course.two.after = never
    asking = asyncio.create_task(course.ask(stream=True))
    async with asyncio.timeout(BOUND_S):
        while b'"two"' not in course.client.sent:
            await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    course.assert_settled()
    assert [row[1:3] for row in course.rows] == [(0, "hedged"), (1, "cancelled")]


async def test_a_winner_s_limit_of_time_still_holds() -> None:
    course = Course()
    course.one.before = course.two.after = never
    course.two.limit_s = 0.1
    assert await course.ask(stream=True) == "two"
    assert [row[1:3] for row in course.rows] == [(0, "hedged"), (1, "timeout")]


async def test_a_fault_of_ours_in_a_side_is_not_swallowed() -> None:
    async def breaks() -> None:
        raise RuntimeError("a bug")

    course = Course()
    course.two.before = breaks
    course.one.before = lambda: asyncio.sleep(0.05)
    course.one.error = Unavailable("500")
    with pytest.raises(RuntimeError):
        await course.ask(stream=True)
    course.assert_settled()


@STREAMS
async def test_without_the_budget_the_sibling_stays_for_later(stream: bool) -> None:
    """Two are late at once and one may be doubled: when the other one fails, there still is somebody to go to."""
    course = Course(hedge=HedgeSettings(share=0.5, burst=1.0, shortest_s=0.01))
    await course.ask(stream=stream)
    course.rows.clear()
    course.one.before = lambda: asyncio.sleep(0.1)
    course.one.error = Unavailable("500")
    course.two.before = lambda: asyncio.sleep(0.02)
    clients = [WritingClient(), WritingClient()]
    calls = [course.new_call(stream=stream) for _ in clients]
    async with asyncio.timeout(BOUND_S):
        await asyncio.gather(*map(course.pipeline.run, calls, clients))
    assert all(b'"two"' in client.sent for client in clients)
    assert sorted(row[2] for row in course.rows) == ["hedged", "ok", "ok", "unavailable"]


@STREAMS
async def test_a_second_side_has_a_place_under_the_limits_too(stream: bool) -> None:
    course = Course(limits=LimitSettings(providers={"source": Limit(concurrency=1)}))
    course.one.before = lambda: asyncio.sleep(0.05)
    assert await course.ask(stream=stream) == "one"
    assert course.two.asked == 0
    course = Course(limits=LimitSettings(providers={"source": Limit(concurrency=2)}))
    course.one.before = never
    assert await course.ask(stream=stream) == "two"
    assert course.limits is not None
    tickets = [course.limits.try_enter("", "source", "m") for _ in range(2)]
    assert not any(isinstance(ticket, float) for ticket in tickets), "both places are free again"


@STREAMS
async def test_nobody_races_to_a_source_that_rests(stream: bool) -> None:
    course = Course()
    course.one.before = lambda: asyncio.sleep(0.05)
    breaker = course.targets[1].backend.breaker
    while not breaker.is_resting:
        breaker.failure(FailureKind.UPSTREAM)
    assert await course.ask(stream=stream) == "one"
    assert course.two.asked == 0


TIMES = st.sampled_from((None, 0.0, 0.008, 0.010, 0.012, 0.02))


@settings(max_examples=60, deadline=None)
@given(TIMES, TIMES, st.booleans(), st.booleans(), st.booleans(), st.none() | st.floats(0.005, 0.03))
def test_whatever_happens_there_is_one_answer_and_nothing_is_left(
    first: float | None, second: float | None, first_fails: bool, second_fails: bool, stream: bool, leaves_at: float | None
) -> None:
    def turn(after_s: float | None) -> Turn:
        return at_once if after_s is None else lambda: asyncio.sleep(after_s)

    async def race() -> None:
        course = Course(retries=0)
        course.one.before, course.two.before = turn(first), turn(second)
        course.one.error = Unavailable("500") if first_fails else None
        course.two.error = Unavailable("500") if second_fails else None
        asking = asyncio.create_task(course.ask(stream=stream))
        if leaves_at is not None:
            asyncio.get_running_loop().call_later(leaves_at, asking.cancel)
        heard = (await asyncio.gather(asking, return_exceptions=True))[0]
        course.assert_settled()
        outcomes = [row[2] for row in course.rows]
        assert len(outcomes) == course.one.asked + course.two.asked or not outcomes
        if isinstance(heard, asyncio.CancelledError):
            assert outcomes.count("cancelled") <= 1
        else:
            assert outcomes.count("ok") == (heard in ("one", "two"))
            assert (heard == "unavailable") is (outcomes[-1] == "unavailable")
            assert course.client.sent.count(b'"content":"one"') + course.client.sent.count(b'"content":"two"') <= 1

    asyncio.run(race())


FATES = st.lists(
    st.tuples(TIMES, TIMES, st.none() | st.sampled_from((Unavailable, Overloaded, TimedOut, BadRequest)), st.booleans()),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(FATES, st.integers(1, 3), st.booleans())
def test_a_request_is_doubled_once_at_most_and_repeated_no_more_than_it_may(
    fates: list[tuple[float | None, float | None, type[JackfieldError] | None, bool]], retries: int, stream: bool
) -> None:
    """Whatever fails when: a request is `retries` + 1 attempts and one beside them, each with its row."""

    def turn(after_s: float | None) -> Turn:
        return at_once if after_s is None else lambda: asyncio.sleep(after_s)

    async def play() -> None:
        course = Course(retries=retries, patience_s=0.1, hedge=HedgeSettings(share=0.5, burst=2.0, shortest_s=0.005))
        doubled = 0
        for first, second, error, both_fail in fates:
            course.rows.clear()
            course.told.clear()
            before = course.one.asked + course.two.asked
            course.one.before, course.two.before = turn(first), turn(second)
            course.one.error = None if error is None else error("no")
            course.two.error = None if error is None or not both_fail else error("no")
            heard = await course.ask(stream=stream)
            asked = course.one.asked + course.two.asked - before
            outcomes = [row[2] for row in course.rows]
            assert len(course.told) <= 1
            doubled += len(course.told)
            assert asked <= 1 + retries + len(course.told)
            assert len(outcomes) - outcomes.count("backend_resting") == asked
            assert outcomes.count("hedged") <= len(course.told)
            assert outcomes.count("ok") == (heard in ("one", "two"))
        assert doubled <= 0.5 * len(fates), "and of all requests no more than their share"

    asyncio.run(play())
