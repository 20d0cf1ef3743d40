"""A backend on its own: what it counts, how its status moves, and what selection is told of it."""

import random
from typing import Any

import pytest

from jackfield.core.contracts import ProviderCard, ProviderInfo
from jackfield.core.profiles import Capabilities
from jackfield.routing.attempts import FailureKind
from jackfield.routing.backends import Backend, BackendStatus, BackendType, Identity, Look, Outcome, type_of
from jackfield.routing.breaker import Breaker, BreakerSettings, BreakerState
from jackfield.routing.health import HealthSettings
from jackfield.routing.stages import Wish, verdict
from jackfield.slots.live import LiveProvider


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stub:
    """The least that is a provider, as far as a live one's facts go."""

    def __init__(self, info: ProviderInfo) -> None:
        self.info = info


def live_of(kind: Any = "local", hosts: tuple[str, ...] = (), protocols: tuple[str, ...] = ("http",)) -> LiveProvider:
    card = ProviderCard("p", kind, "P", Capabilities(protocols=protocols))
    return LiveProvider(Stub(ProviderInfo("p", kind, "P", hosts=hosts)), card)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> Backend:
    made = Backend(
        Identity(id="b", type=BackendType.GPU, name="B", provider="p"),
        breaker=Breaker(BreakerSettings(), clock, lambda: 0.0),
        clock=clock,
        health=HealthSettings(),
        live=live_of(),
        model="m",
    )
    made.seen.can_be_looked_at = True
    return made


def status(backend: Backend) -> str:
    return str(backend.status)


def good(backend: Backend, latency_s: float = 0.1, **more: Any) -> None:
    backend.end(Outcome(latency_s, **more), backend.begin())


def bad(backend: Backend, kind: FailureKind = FailureKind.UPSTREAM) -> None:
    backend.end(Outcome(failure=kind), backend.begin())


@pytest.mark.behaviour("MGR-03")
def test_there_are_seven_types() -> None:
    assert [str(kind) for kind in BackendType] == ["gpu", "api", "cli", "p2p", "websocket", "mcp", "hybrid"]


@pytest.mark.behaviour("MGR-13")
def test_there_are_six_statuses() -> None:
    assert {str(status) for status in BackendStatus} == {
        "unknown",
        "initializing",
        "healthy",
        "degraded",
        "unhealthy",
        "offline",
    }


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (live_of("local"), "gpu"),
        (live_of("local", ("127.0.0.1:1",)), "gpu"),
        (live_of("api", ("api.example.com:443",)), "api"),
        (live_of("p2p"), "p2p"),
        (live_of("decentralized", ("x.example:443",)), "p2p"),
        (live_of("api", ("x.example:443",), ("websocket",)), "websocket"),
        (live_of("api", (), ("stdio",)), "cli"),
        (live_of("api", (), ("mcp",)), "mcp"),
        (live_of("api", ("x.example:443", "localhost:1")), "hybrid"),
        (live_of("api", ("x.example:443",), ("http", "websocket")), "api"),
    ],
)
def test_what_a_plugged_source_is(live: LiveProvider, expected: str) -> None:
    assert str(type_of(live)) == expected


@pytest.mark.behaviour("MGR-17")
def test_a_hundred_requests_are_counted_exactly(backend: Backend) -> None:
    fates = [FailureKind.UPSTREAM] * 13 + [None] * 80 + [FailureKind.REQUEST] * 4 + ["cancelled"] * 3
    random.Random(7).shuffle(fates)
    for fate in fates:
        if fate == "cancelled":
            backend.end(Outcome(cancelled=True), backend.begin())
        elif fate is None:
            good(backend)
        else:
            bad(backend, FailureKind(fate))
    metrics = backend.metrics
    assert (metrics.total, metrics.ok, metrics.failed) == (100, 80, 13)
    assert (metrics.rejected, metrics.cancelled) == (4, 3)
    assert metrics.success_rate == pytest.approx(80 / 93)
    assert metrics.queue == 0


@pytest.mark.behaviour("MGR-18")
def test_latencies_are_those_of_the_good_answers(backend: Backend) -> None:
    for number in range(1, 101):
        good(backend, number / 100)
    bad(backend)
    told = backend.metrics.as_dict(0.0)
    assert told["avg_latency_ms"] == pytest.approx(505)
    assert told["p50_latency_ms"] == pytest.approx(500)
    assert told["p95_latency_ms"] == pytest.approx(950)
    assert backend.latency_s == pytest.approx(0.505)


@pytest.mark.behaviour("MGR-19")
def test_the_queue_is_what_runs_and_what_waits(backend: Backend) -> None:
    began = [backend.begin() for _ in range(3)]
    backend.metrics.waiting += 2
    assert (backend.metrics.active, backend.metrics.queue, backend.in_flight) == (3, 5, 5)
    backend.metrics.waiting -= 2
    backend.end(Outcome(0.1), began[0])
    backend.end(Outcome(failure=FailureKind.TRANSPORT), began[1])
    backend.end(Outcome(cancelled=True), began[2])
    assert (backend.metrics.active, backend.metrics.queue) == (0, 0)


@pytest.mark.behaviour("MGR-20")
def test_loaded_models_and_uptime_move(backend: Backend, clock: Clock) -> None:
    backend.note_look(Look(True, models=("a", "b")))
    clock.now += 7.5
    assert (backend.metrics.models_loaded, backend.metrics.as_dict(clock())["uptime_s"]) == (2, 7.5)
    backend.note_look(Look(True, models=("a",)))
    assert backend.metrics.models_loaded == 1
    backend.note_look(Look(False, reachable=False))
    assert backend.metrics.models_loaded == 1, "a look that found nobody tells nothing about models"


@pytest.mark.behaviour("MGR-16")
def test_half_of_ten_failed_is_degraded_then_its_circuit_opens_and_a_trial_closes_it(backend: Backend, clock: Clock) -> None:
    told: list[tuple[str, str]] = []
    backend.on_change = lambda _, before, after: told.append((str(before), str(after)))
    for _ in range(5):
        good(backend)
        clock.now += 4
        bad(backend)
    assert status(backend) == "degraded"
    assert backend.is_routable
    for _ in range(4):
        bad(backend)
    assert str(backend.breaker.state) == "open"
    assert status(backend) == "unhealthy"
    assert backend.problem == "its circuit is open"
    clock.now += 60
    assert status(backend) == "degraded", "half open: one may try"
    assert backend.breaker.allow()
    good(backend)
    assert status(backend) == "healthy"
    assert told == [("unknown", "healthy"), ("healthy", "degraded"), ("degraded", "unhealthy"), ("unhealthy", "healthy")]
    assert backend.consecutive_failures == 0


def test_a_look_lets_a_broken_one_be_tried_sooner(backend: Backend) -> None:
    for _ in range(5):
        bad(backend, FailureKind.TRANSPORT)
    assert not backend.is_routable
    backend.note_look(Look(True))
    assert backend.breaker.state is BreakerState.HALF_OPEN
    assert backend.is_routable


def test_an_answer_that_has_begun_closes_the_circuit(backend: Backend, clock: Clock) -> None:
    for _ in range(5):
        bad(backend)
    clock.now += 60
    assert backend.breaker.allow()
    began = backend.begin()
    backend.answering(began)
    assert backend.breaker.state is BreakerState.CLOSED
    backend.end(Outcome(3.0), began)
    assert status(backend) == "healthy"


def test_a_client_that_leaves_gives_the_trial_back(backend: Backend, clock: Clock) -> None:
    for _ in range(5):
        bad(backend)
    clock.now += 60
    assert backend.breaker.allow()
    backend.end(Outcome(cancelled=True), backend.begin())
    assert backend.breaker.allow()


def test_its_own_failures_raise_doubt_and_the_requests_do_not(backend: Backend) -> None:
    doubts: list[str] = []
    backend.on_doubt = lambda doubted: doubts.append(doubted.id)
    bad(backend, FailureKind.REQUEST)
    bad(backend, FailureKind.CONTENT)
    assert doubts == []
    bad(backend, FailureKind.TRANSPORT)
    assert doubts == ["b"]
    assert backend.last_seen_at == 100.0, "refusing a request is a sign of life"


def test_the_seven_facts(backend: Backend) -> None:
    facts = backend.facts
    assert (facts.configured, facts.routable) == (True, True)
    assert (facts.authorized, facts.reachable, facts.live, facts.ready, facts.healthy) == (None,) * 5
    good(backend)
    facts = backend.facts
    assert (facts.authorized, facts.reachable, facts.live, facts.ready, facts.healthy) == (True,) * 5
    backend.note_look(Look(False, reachable=False, detail="refused"))
    facts = backend.facts
    assert (facts.reachable, facts.live, facts.ready, facts.healthy, facts.routable) == (False,) * 5
    assert backend.problem == "nothing listens at its address (refused)"


def test_it_can_be_selected_as_it_is(backend: Backend) -> None:
    assert verdict(backend, Wish(model="m")) is None
    assert verdict(backend, Wish(model="other")) is not None
    good(backend, 2.0, first_token_s=1.0, completion_tokens=50)
    assert backend.tokens_per_s == pytest.approx(50)
    assert (backend.share, backend.problem, backend.is_routable) == (1.0, None, True)
