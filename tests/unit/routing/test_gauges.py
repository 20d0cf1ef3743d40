"""The arithmetic of limits against a count of its own: no minute above the limit, no wait longer than needed."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.routing.gauges import Gauge, Limit, SlidingWindow


class Taken:
    def __init__(self, at: float, amount: int) -> None:
        self.at = at
        self.amount = amount


ACTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.4, 5.0, 29.7, 59.5, 60.9]), st.integers(0, 12), st.integers(0, 12)), max_size=40
)


@pytest.mark.behaviour("LIM-01")
@settings(max_examples=200)
@given(ACTS, st.integers(1, 20))
def test_no_minute_holds_more_than_the_limit_and_no_wait_is_longer_than_a_minute_and_a_second(
    acts: list[tuple[float, int, int]], limit: int
) -> None:
    window, now, taken = SlidingWindow(limit), 1000.0, list[Taken]()
    for passed, amount, used in acts:
        now += passed
        wait_s = window.wait_s(now, amount)
        assert window.fits(now, amount) is (wait_s == 0.0)
        assert (wait_s == inf) is (amount > limit)
        if wait_s == inf:
            continue
        assert wait_s <= 61
        now += wait_s
        assert window.fits(now, amount)
        bucket = window.take(now, amount)
        taken.append(Taken(now, amount))
        assert sum(one.amount for one in taken if one.at > now - 60) <= limit
        now += 0.3
        window.settle(now, bucket, amount, min(used, amount))
        taken[-1].amount = min(used, amount)
        assert window.used(now) >= sum(one.amount for one in taken if one.at > now - 60)
        assert window.used(now) <= sum(one.amount for one in taken if one.at > now - 62)


def test_what_was_used_beyond_the_estimate_holds_back_the_next_ones() -> None:
    window = SlidingWindow(100)
    bucket = window.take(0.0, 50)
    window.settle(30.0, bucket, 50, 180)
    assert window.used(30.0) == 180
    assert window.wait_s(30.0, 10) == 61.0
    assert window.fits(91.0, 100)


def test_what_is_given_back_after_its_minute_counts_for_nothing() -> None:
    window = SlidingWindow(100)
    bucket = window.take(0.0, 50)
    assert window.used(61.0) == 0
    window.settle(61.0, bucket, 50, 10)
    assert window.used(61.0) == 0


def test_a_gauge_keeps_its_counts_when_its_limit_changes() -> None:
    gauge = Gauge("the provider groq", "limits.providers.groq", Limit(concurrency=1, requests_per_minute=1))
    gauge.enter(0.0, 10)
    assert gauge.is_full
    assert gauge.is_in_use(0.0)
    gauge.change(Limit(concurrency=2, requests_per_minute=1, tokens_per_minute=100))
    assert not gauge.fits(0.0, 1)
    gauge.change(Limit(concurrency=2))
    assert gauge.fits(0.0, 1)
    gauge.leave(4.0, 0.0, None, 10, 10)
    assert not gauge.is_in_use(4.0)


def test_the_guess_of_when_a_place_is_free_follows_how_long_requests_take() -> None:
    gauge = Gauge("the provider groq", "limits.providers.groq", Limit(concurrency=2))
    for _ in range(50):
        gauge.enter(0.0, 0)
        gauge.leave(8.0, 0.0, None, 0, 0)
    assert gauge.place_wait_s(0) == 0
    gauge.enter(0.0, 0)
    gauge.enter(0.0, 0)
    assert gauge.place_wait_s(0) == pytest.approx(4, rel=0.01)
    assert gauge.place_wait_s(3) == pytest.approx(16, rel=0.01)
