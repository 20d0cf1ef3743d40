"""The circuit of one backend: when it opens, whom it lets through, how it recovers."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.routing.attempts import FailureKind
from jackfield.routing.breaker import HURTFUL, LOCKED_OUT, Breaker, BreakerSettings, BreakerState

DOWN = FailureKind.UPSTREAM


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(random: float = 0.0, **more: Any) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(BreakerSettings(**more), clock, lambda: random), clock


def state(breaker: Breaker) -> BreakerState:
    return breaker.state


def fail(breaker: Breaker, times: int = 5, kind: FailureKind = DOWN) -> None:
    for _ in range(times):
        breaker.failure(kind)


@pytest.mark.parametrize("kind", sorted(HURTFUL))
def test_five_failures_in_a_row_open_it(kind: FailureKind) -> None:
    breaker, _ = made()
    fail(breaker, 4, kind)
    breaker.success()
    fail(breaker, 4, kind)
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.allow()
    fail(breaker, 1, kind)
    assert state(breaker) is BreakerState.OPEN
    assert not breaker.allow()


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - HURTFUL - LOCKED_OUT))
def test_what_is_the_requests_fault_opens_nothing(kind: FailureKind) -> None:
    breaker, _ = made()
    fail(breaker, 100, kind)
    assert state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize("kind", sorted(LOCKED_OUT))
def test_a_refused_key_or_an_empty_account_opens_it_at_once_and_for_longer(kind: FailureKind) -> None:
    breaker, _clock = made()
    fail(breaker, 1, kind)
    assert breaker.retry_after_s == 60
    assert breaker.cause is kind
    breaker.seen_alive()
    assert not breaker.allow(), "that it answers does not mend its key"


def test_more_than_half_of_ten_within_thirty_seconds_opens_it() -> None:
    breaker, clock = made(consecutive=100)
    for _ in range(5):
        breaker.success()
        breaker.failure(DOWN)
    assert state(breaker) is BreakerState.CLOSED, "just half"
    breaker.failure(DOWN)
    assert state(breaker) is BreakerState.OPEN

    breaker, clock = made(consecutive=100)
    for _ in range(9):
        breaker.failure(DOWN)
    clock.now += 34
    breaker.failure(DOWN)
    assert state(breaker) is BreakerState.CLOSED, "the nine are too long ago"


@pytest.mark.behaviour("BRK-01")
def test_holds_double_from_five_seconds_to_five_minutes() -> None:
    breaker, clock = made()
    fail(breaker)
    holds = []
    for _ in range(9):
        holds.append(breaker.retry_after_s)
        clock.now += breaker.retry_after_s
        assert breaker.allow()
        breaker.failure(DOWN)
    assert holds == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_jitter_shortens_a_hold_by_a_fifth_at_most_and_retry_after_lengthens_it() -> None:
    breaker, _ = made(random=0.999_999)
    fail(breaker)
    assert breaker.retry_after_s == pytest.approx(4.0, rel=1e-3)
    breaker, _clock = made()
    fail(breaker, 4)
    breaker.failure(FailureKind.OVERLOAD, retry_after_s=42)
    assert breaker.retry_after_s == 42
    breaker.failure(FailureKind.OVERLOAD, retry_after_s=50)
    assert breaker.retry_after_s == 50, "an attempt that was under way brings later news"
    breaker.failure(DOWN, retry_after_s=1e12)
    assert breaker.retry_after_s == 3600


@pytest.mark.behaviour("BRK-02")
def test_a_429_with_retry_after_pauses_it_for_just_that_long() -> None:
    breaker, clock = made()
    breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=7)
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.is_resting
    assert not breaker.allow()
    assert breaker.retry_after_s == 7
    assert breaker.share() == 0
    clock.now += 7
    assert breaker.allow()
    assert breaker.allow(), "no probing after a pause"
    assert breaker.share() == 1
    assert breaker.retry_after_s == 0


def test_failures_after_a_pause_began_do_not_shorten_it() -> None:
    breaker, _clock = made()
    breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=60)
    breaker.failure(FailureKind.RATE_LIMIT, retry_after_s=1)
    assert breaker.retry_after_s == 60
    fail(breaker)
    assert breaker.retry_after_s == 60


@pytest.mark.behaviour("BRK-01")
def test_one_that_stays_down_gets_probes_only_also_when_it_is_the_only_one() -> None:
    breaker, clock = made()
    asked = 0
    for _ in range(600):  # a request each second for ten minutes
        if breaker.allow():
            asked += 1
            breaker.failure(DOWN, began_at=clock.now)
        else:
            told = breaker.refusal("slot-1 (there)")
            assert told.status == 503
            assert told.retry_after_s is not None
            assert told.retry_after_s >= breaker.retry_after_s
            assert "slot-1 (there) keeps failing" in str(told)
        clock.now += 1
    assert asked == 5 + 6, "five that failed in a row, then a probe after 5, 10, 20, 40, 80, 160 seconds"


def test_half_open_lets_its_probes_through_and_the_first_outcome_decides() -> None:
    breaker, clock = made(probe_budget=2)
    fail(breaker)
    clock.now += 5
    assert state(breaker) is BreakerState.HALF_OPEN
    assert [breaker.allow() for _ in range(4)] == [True, True, False, False]
    assert breaker.retry_after_s == 1
    assert breaker.is_resting
    breaker.success()
    assert state(breaker) is BreakerState.CLOSED
    assert all(breaker.allow() for _ in range(10))


def test_a_probe_without_an_outcome_is_given_back() -> None:
    breaker, clock = made()
    fail(breaker)
    clock.now += 5
    assert breaker.allow()
    breaker.abandon()
    assert breaker.allow()
    breaker.failure(FailureKind.REQUEST)
    assert state(breaker) is BreakerState.HALF_OPEN, "a bad request tells nothing"
    assert breaker.allow()
    assert not breaker.allow()
    clock.now += 120
    assert breaker.allow(), "nobody ever told how the last one ended"


def test_outcomes_of_attempts_from_before_decide_nothing() -> None:
    breaker, clock = made()
    began = clock.now
    fail(breaker)
    clock.now += 5
    assert breaker.allow()
    breaker.success(began)
    breaker.answering(began)
    breaker.failure(DOWN, began_at=began)
    breaker.abandon(began)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert not breaker.allow()
    breaker.success(clock.now)
    assert state(breaker) is BreakerState.CLOSED
    for _ in range(10):
        breaker.failure(DOWN, began_at=began)
    assert state(breaker) is BreakerState.CLOSED


def test_answers_that_begin_well_and_break_off_open_it_all_the_same() -> None:
    breaker, clock = made()
    for _ in range(5):
        assert breaker.allow()
        breaker.answering(clock.now)
        breaker.failure(FailureKind.TRANSPORT)
    assert not breaker.allow()
    clock.now += 5
    assert breaker.allow()
    breaker.answering(clock.now)
    assert state(breaker) is BreakerState.CLOSED


def test_its_share_ramps_up_after_recovery() -> None:
    breaker, clock = made()
    assert breaker.share() == 1
    fail(breaker)
    assert breaker.share() == 0
    clock.now += 5
    assert breaker.share() == 0.1
    assert breaker.allow()
    breaker.success()
    assert breaker.share() == pytest.approx(0.1)
    clock.now += 15
    assert breaker.share() == pytest.approx(0.55)
    clock.now += 15
    assert breaker.share() == 1


def test_one_that_fails_again_soon_after_recovery_is_held_longer_and_later_not() -> None:
    breaker, clock = made()
    fail(breaker)
    clock.now += 5
    assert breaker.allow()
    breaker.success()
    clock.now += 10
    fail(breaker)
    assert breaker.retry_after_s == 10
    clock.now += 10
    assert breaker.allow()
    breaker.success()
    clock.now += 31
    fail(breaker)
    assert breaker.retry_after_s == 5


def test_a_look_that_finds_it_alive_ends_the_hold() -> None:
    breaker, clock = made()
    fail(breaker, kind=FailureKind.TRANSPORT)
    breaker.seen_alive()
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.allow()
    breaker.failure(FailureKind.TRANSPORT, began_at=clock.now)
    assert breaker.retry_after_s == 10


@pytest.mark.parametrize(
    ("kind", "why"), [("credential", "refused its key"), ("account", "nothing left"), ("upstream", "keeps")]
)
def test_a_refusal_says_why(kind: str, why: str) -> None:
    breaker, _ = made()
    fail(breaker, kind=FailureKind(kind))
    assert why in str(breaker.refusal("slot-1 (there)"))


Operation = tuple[str, Any]
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 40)),
        st.tuples(st.just("allow"), st.none()),
        st.tuples(st.just("success"), st.integers(0, 20)),
        st.tuples(st.just("abandon"), st.integers(0, 20)),
        st.tuples(
            st.just("failure"), st.tuples(st.integers(0, 20), st.sampled_from(FailureKind), st.none() | st.floats(0, 90))
        ),
        st.tuples(st.just("alive"), st.none()),
    ),
    max_size=80,
)


@pytest.mark.behaviour("BRK-01")
@settings(max_examples=200)
@given(OPERATIONS, st.integers(1, 3), st.floats(0, 0.999))
def test_whatever_happens_no_more_than_the_probes_get_through_until_it_is_closed(
    operations: list[Operation], probes: int, random: float
) -> None:
    breaker, clock = made(random, consecutive=2, probe_budget=probes, probe_timeout_s=1e6)
    running: list[float] = []
    out: list[float] = []  # probes under way
    for name, detail in operations:
        clock.now += 0.001  # no two things happen at once: an attempt is older or younger than a change of state
        before = breaker.state
        until = clock.now + breaker.retry_after_s if breaker.is_resting else None
        match name:
            case "pass":
                clock.now += detail
            case "alive":
                breaker.seen_alive()
            case "allow" if breaker.allow():
                assert until is None, "nothing is let through during a hold or a pause"
                running.append(clock.now)
                if before is BreakerState.HALF_OPEN:
                    out.append(clock.now)
                    assert len(out) <= probes
            case "allow":
                assert until is not None or len(out) == probes
                assert breaker.retry_after_s > 0
            case "success" | "abandon" if running:
                began = running.pop(detail % len(running))
                getattr(breaker, name)(began)
                if began in out:
                    out.remove(began)
            case "failure" if running:
                began = running.pop(detail[0] % len(running))
                breaker.failure(detail[1], retry_after_s=detail[2], began_at=began)
                if began in out:
                    out.remove(began)
                if breaker.state is BreakerState.OPEN and before is BreakerState.CLOSED:
                    assert breaker.retry_after_s >= (detail[2] or 0) - 1e-6
        if breaker.state is not BreakerState.HALF_OPEN:
            out.clear()
        assert 0 <= breaker.share() <= 1
        assert breaker.is_resting == (breaker.retry_after_s > 0)


def test_who_has_nowhere_else_to_go_may_insist_after_a_refused_key_only() -> None:
    clock = Clock()
    locked, down = (Breaker(BreakerSettings(), clock, lambda: 0.0) for _ in range(2))
    locked.failure(FailureKind.ACCOUNT)
    for _ in range(5):
        down.failure(FailureKind.TRANSPORT)
    assert not locked.allow()
    assert not down.allow()
    assert not down.insist()
    assert locked.insist()
    assert not locked.allow()
    locked.success(clock())
    assert locked.state is BreakerState.CLOSED
