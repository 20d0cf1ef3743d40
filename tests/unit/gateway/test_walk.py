"""The walk: how many attempts there are at most, who is waited for and how long, what is asked again, and what is booked."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.contracts import ProviderCard, ProviderInfo
from jackfield.core.errors import (
    MODEL_LOADING,
    AuthFailed,
    BadRequest,
    ContextOverflow,
    JackfieldError,
    Malformed,
    Overloaded,
    RateLimited,
    StreamBroken,
    TimedOut,
    Unavailable,
    Upstream,
)
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.route import Route, Target
from jackfield.gateway.walk import WAITING_MAX, WalkSettings
from jackfield.routing.attempts import FailureKind
from jackfield.routing.manager import BackendManager
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, SlotSpec
from writing_client import WritingClient

EVENTS: tuple[Event, ...] = (
    *(Started("m"), PartStarted(0, "text"), TextDelta(0, "hello"), PartEnded(0)),
    *(UsageReported(Usage(prompt_tokens=1, completion_tokens=1)), Finished("stop")),
)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Source:
    """Fails as `script` says, one error a request, then as `otherwise` says, which may be None: well."""

    def __init__(self, kind: str = "api", otherwise: Callable[[], JackfieldError | None] = lambda: None) -> None:
        self.info = ProviderInfo("source", kind, "Source")  # type: ignore[arg-type]
        self.card = ProviderCard(id="source", type=kind, display_name="Source")  # type: ignore[arg-type]
        self.script: deque[JackfieldError | None] = deque()
        self.otherwise = otherwise
        self.asked = 0

    @contextlib.asynccontextmanager
    async def open(self, _: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        self.asked += 1
        error = self.script.popleft() if self.script else self.otherwise()
        if error is not None and not isinstance(error, StreamBroken | Malformed):
            raise error
        yield self._play(error)

    async def _play(self, error: JackfieldError | None) -> AsyncIterator[Event]:
        for event in EVENTS[:2]:
            yield event
        if error is not None:
            raise error
        for event in EVENTS[2:]:
            yield event

    async def aclose(self) -> None: ...


class Play:
    """Requests to `sources`, in that order; the last `fallbacks` have another model. `rows`: attempt, slot, outcome."""

    def __init__(
        self, *sources: Source, fallbacks: int = 0, sleep: Callable[[float], Awaitable[None]] | None = None, **more: Any
    ) -> None:
        self.time = Time()
        self.error: JackfieldError | None = None
        self.sources = sources
        self.manager = BackendManager(clock=self.time, wall=self.time)
        self.rows: list[tuple[int, int | None, str]] = []
        self.bindings = [Binding(LiveProvider(source, source.card), SlotSpec("source")) for source in sources]
        first_fallback = len(sources) - fallbacks
        self.targets = [
            Target(number, binding, None, self.manager.backend_of(binding), number >= first_fallback)
            for number, binding in enumerate(self.bindings)
        ]
        self.pipeline = Pipeline(
            self._resolve,  # type: ignore[arg-type]
            (lambda call: self.rows.append((call.attempt, call.slot_number, call.outcome)),),
            walk=WalkSettings(**more),
            clock=self.time,
            random=lambda: 0.5,
            sleep=sleep or self.time.sleep,
        )

    def _resolve(self, call: Call) -> None:
        call.route = Route(self.targets)

    async def ask(self, *, stream: bool = False) -> str:
        """The outcome, after which nothing is in use."""
        outcome = await self.run(stream=stream)
        assert all(binding.live.in_flight == 0 for binding in self.bindings)
        assert all(target.backend.metrics.active == 0 for target in self.targets)
        return outcome

    async def fail(self, *, stream: bool = False) -> JackfieldError:
        """What a request is told that nobody could answer."""
        await self.ask(stream=stream)
        assert self.error is not None
        return self.error

    async def run(self, *, stream: bool = False) -> str:
        fields = {"messages": msgspec.Raw(b'[{"role": "user", "content": "hi"}]'), "model": msgspec.Raw(b'"m"')}
        call = Call(
            "r", OpenAIChat(), fields, model_text="m", stream=stream, show_usage=False, at=0.0, received_at=perf_counter()
        )
        client = WritingClient()
        self.error = None
        try:
            await self.pipeline.run(call, client)
        except JackfieldError as error:
            self.error = error
        assert (b"hello" in client.sent) is (call.outcome == "ok")
        return call.outcome

    @property
    def asked(self) -> int:
        return sum(source.asked for source in self.sources)


CLASSES: tuple[type[JackfieldError], ...] = (
    *(RateLimited, Overloaded, Unavailable, TimedOut, Malformed, StreamBroken, Upstream),
    *(AuthFailed, BadRequest, ContextOverflow),
)
ERRORS = st.none() | st.builds(
    lambda class_, retry_after_s: class_("no", retry_after_s=retry_after_s),
    st.sampled_from(CLASSES),
    st.none() | st.floats(0, 20),
)


@pytest.mark.behaviour("TRY-01", "MGR-21")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(ERRORS, max_size=6), min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 3), st.booleans())
def test_however_all_fail_a_request_makes_no_more_attempts_than_it_may(
    scripts: list[list[JackfieldError | None]], fallbacks: int, retries: int, stream: bool
) -> None:
    async def play() -> None:
        sources = [Source() for _ in scripts]
        for source, script in zip(sources, scripts, strict=True):
            source.script.extend(script)
        played = Play(*sources, fallbacks=min(fallbacks, len(sources) - 1), retries=retries)
        outcome = await played.ask(stream=stream)
        assert played.asked <= 1 + retries
        assert [attempt for attempt, _, _ in played.rows] == list(range(played.asked)), "a row each, numbered in their order"
        assert [row[2] for row in played.rows].count("ok") == (outcome == "ok")
        assert played.rows[-1][2] == outcome
        assert sum(played.time.slept) <= (1 + retries) * 6

    asyncio.run(play())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (StreamBroken("cut"), 2),
        (Malformed("garbage"), 1),
        (TimedOut("silence"), 2),
        (Unavailable("500"), 3),
        (Upstream("404 of no model"), 1),
        (BadRequest("no"), 1),
    ],
)
async def test_where_nobody_else_is_at_hand_a_source_is_asked_again_where_that_may_help(
    error: JackfieldError, asked: int, stream: bool
) -> None:
    played = Play(Source(otherwise=lambda: error))
    assert await played.ask(stream=stream) == error.code
    assert played.asked == asked


async def test_a_break_before_content_is_not_seen() -> None:
    played = Play(Source())
    played.sources[0].script.append(StreamBroken("cut"))
    assert await played.ask(stream=True) == "ok"
    assert played.rows == [(0, 0, "stream_broken"), (1, 0, "ok")]


# ---- all of them rest


async def test_who_rests_for_less_than_patience_is_waited_for() -> None:
    played = Play(Source(), Source(), retries=0)
    for target, rest_s in zip(played.targets, (4.0, 2.0), strict=True):
        target.backend.breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=rest_s)
    assert await played.ask() == "ok"
    assert [source.asked for source in played.sources] == [0, 1], "the one who is back first"
    assert 2.0 <= sum(played.time.slept) < 2.5


@pytest.mark.parametrize("stream", [False, True])
async def test_a_circuit_that_opens_meanwhile_does_not_hide_what_failed(stream: bool) -> None:
    """Its fifth failure opens the circuit of the only source: that failure is told, with the time until it is asked again."""
    played = Play(Source(otherwise=lambda: Unavailable("it answered 500")), patience_s=1.0)
    for _ in range(3):
        played.targets[0].backend.breaker.failure(FailureKind.UPSTREAM)
    error = await played.fail(stream=stream)
    assert (error.code, error.message) == ("unavailable", "it answered 500")
    assert error.retry_after_s in (4.0, 5.0)
    assert played.rows == [(0, 0, "unavailable"), (1, 0, "unavailable")], "a row for each that was asked, and none beside them"
    resting = await played.fail(stream=stream)
    assert resting.code == "backend_resting"
    assert resting.retry_after_s in (4.0, 5.0)
    assert played.asked == 2


async def test_a_sibling_that_rests_does_not_hide_what_failed() -> None:
    """It is not taken for somebody who could answer: the first one is asked again, and its failure is told."""
    played = Play(Source(otherwise=lambda: Unavailable("it answered 500")), Source())
    played.targets[1].backend.breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=60.0)
    error = await played.fail()
    assert error.message == "it answered 500"
    assert [source.asked for source in played.sources] == [3, 0]
    assert [row[1:] for row in played.rows] == [(0, "unavailable")] * 3


@pytest.mark.parametrize(
    ("error", "asked"),
    [(AuthFailed("no"), [1, 1]), (RateLimited("slowly", retry_after_s=60.0), [1, 1]), (BadRequest("no"), [1, 0])],
)
async def test_a_sibling_that_is_back_soon_is_waited_for_where_it_may_help(error: JackfieldError, asked: list[int]) -> None:
    played = Play(Source(otherwise=lambda: error), Source(), retries=1)
    played.targets[1].backend.breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=2.0)
    assert await played.ask() == ("ok" if asked[1] else error.code)
    assert [source.asked for source in played.sources] == asked
    assert 2.0 * asked[1] <= sum(played.time.slept) <= 2.5 * asked[1]


async def test_who_rests_again_when_its_time_has_come_says_what_failed_before() -> None:
    async def sleep(seconds: float) -> None:
        played.time.now += seconds
        breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=60.0)

    played = Play(Source(otherwise=lambda: AuthFailed("the key is wrong")), Source(), sleep=sleep)
    breaker = played.targets[1].backend.breaker
    breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=2.0)
    error = await played.fail()
    assert error.code == "backend_resting"
    assert error.message.endswith("(before that: the key is wrong)")
    assert error.retry_after_s == 60.0
    assert played.rows[0] == (0, 0, "invalid_api_key")


# ---- sources that are starting


def refused() -> JackfieldError:
    error = Unavailable("refused")
    error.__cause__ = ConnectionRefusedError()
    return error


@pytest.mark.behaviour("PERF-06")
@pytest.mark.parametrize(
    "starting", [refused, lambda: Overloaded("Loading model", code=MODEL_LOADING), lambda: Overloaded("not yet")]
)
async def test_the_first_request_may_take_as_long_as_a_model_takes_to_load(starting: Callable[[], JackfieldError]) -> None:
    source = Source("local")
    played = Play(source, patience_s=5.0)
    ready_at = played.time.now + 45.0
    source.otherwise = lambda: starting() if played.time.now < ready_at else None
    assert await played.ask() == "ok"
    assert 0.0 <= played.time.now - ready_at <= 2.0
    assert source.asked <= 30
    assert played.rows == [(0, 0, "ok")]
    backend = played.targets[0].backend
    assert (backend.metrics.ok, backend.metrics.failed) == (1, 0)


async def test_a_source_that_never_starts_is_given_up_when_its_time_is_over() -> None:
    played = Play(Source("local", refused), warm_up_s=10.0, retries=0)
    assert await played.ask() == "unavailable"
    assert 8.0 <= sum(played.time.slept) <= 10.0
    began = len(played.time.slept)
    assert await played.ask() == "unavailable"
    assert sum(played.time.slept[began:]) <= 2.0, "it is new no more"


async def test_one_that_starts_is_not_asked_before_the_time_that_it_names() -> None:
    source = Source("local", lambda: Overloaded("Loading model", code=MODEL_LOADING, retry_after_s=20))
    played = Play(source, retries=0)
    assert await played.ask() == "model_loading"
    assert played.time.slept == [20, 20]


async def test_a_source_that_answered_and_died_is_not_waited_for() -> None:
    source = Source("local")
    played = Play(source, retries=0)
    assert await played.ask() == "ok"
    source.otherwise = refused
    assert await played.ask() == "unavailable"
    assert played.time.slept == []


async def test_a_new_run_makes_a_source_new_whenever_it_was_registered_first() -> None:
    source = Source("local")
    source.script.extend((refused(), refused()))
    played = Play(source, retries=0)
    played.targets[0].backend.seen.registered_at -= 100_000.0
    assert await played.ask() == "ok"


async def test_a_sibling_that_is_well_is_not_kept_waiting_for_one_that_starts() -> None:
    played = Play(Source("local", refused), Source())
    assert await played.ask() == "ok"
    assert played.time.slept == []


async def test_a_source_elsewhere_is_not_taken_for_one_that_starts() -> None:
    played = Play(Source("api", lambda: Overloaded("Loading model", code=MODEL_LOADING)), retries=0)
    assert await played.ask() == "model_loading"
    assert played.time.slept == []


async def test_only_so_many_wait_at_once() -> None:
    gate = asyncio.Event()

    async def held(_: float) -> None:
        await gate.wait()

    source = Source("local", refused)
    played = Play(source, retries=0, sleep=held)
    asking = [asyncio.create_task(played.run()) for _ in range(WAITING_MAX + 5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(task.done() for task in asking) == 5
    source.otherwise = lambda: None
    gate.set()
    outcomes = await asyncio.gather(*asking)
    assert outcomes.count("ok") == WAITING_MAX
