"""Second requests: when, for whom, how many."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.routing.hedge import Hedger, HedgeSettings
from jackfield.routing.window import Window


def measured(times: list[float]) -> Window:
    window = Window()
    for time in times:
        window.add(time)
    return window


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


KNOWN = measured([0.01 * count for count in range(1, 101)])


def made(asked: int = 20, **more: Any) -> tuple[Hedger, Clock]:
    clock = Clock()
    hedger = Hedger(HedgeSettings(**more), clock)
    for _ in range(asked):
        hedger.delay_s(KNOWN)
    return hedger, clock


def test_it_waits_for_the_95th_percentile() -> None:
    hedger, _ = made()
    assert hedger.delay_s(KNOWN) == pytest.approx(0.95)
    assert hedger.delay_s(None) is None, "nothing is known of such requests"
    assert hedger.delay_s(measured([0.001] * 20)) == 0.05


def test_nothing_is_doubled_before_twenty_answers_are_known() -> None:
    hedger, _ = made()
    assert hedger.delay_s(measured([0.1] * 19)) is None
    assert hedger.delay_s(measured([0.1] * 20)) == pytest.approx(0.1)


def test_it_can_be_turned_off() -> None:
    hedger, _ = made(is_on=False)
    assert hedger.delay_s(KNOWN) is None


@pytest.mark.behaviour("HEDG-01")
def test_a_failing_pool_gets_no_second_requests_until_it_is_better() -> None:
    hedger, clock = made()
    for count in range(20):
        hedger.attempt_ended(failed=count % 5 == 0)
    assert hedger.is_failing
    assert hedger.delay_s(KNOWN) is None
    assert not hedger.spend()
    clock.now += 61
    for _ in range(60):
        hedger.attempt_ended(failed=False)
    assert hedger.delay_s(KNOWN) is not None
    assert hedger.spend()


def test_old_failures_are_forgotten_after_a_silence() -> None:
    hedger, clock = made()
    for _ in range(20):
        hedger.attempt_ended(failed=True)
    clock.now += 121
    for _ in range(10):
        hedger.attempt_ended(failed=False)
    assert not hedger.is_failing


def test_races_are_counted() -> None:
    hedger, _ = made()
    assert hedger.spend()
    hedger.outcome(won=True)
    hedger.outcome(won=False)
    assert (hedger.asked, hedger.hedged, hedger.won) == (20, 1, 1)


@pytest.mark.behaviour("HEDG-01")
@given(st.integers(1, 40), st.integers(0, 100))
def test_no_more_than_a_twentieth_is_ever_doubled(every: int, quiet: int) -> None:
    hedger, _ = made(asked=quiet)
    for count in range(300):
        delay_s = hedger.delay_s(KNOWN)
        if count % every == 0:
            assert hedger.spend() is (delay_s is not None)
        assert hedger.hedged <= 0.05 * hedger.asked + 1e-9
    assert every > 20 or hedger.hedged >= 14, "and no less than it may be"
