"""The window of measurements: its mean and percentiles are those of the last values, whatever came before."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.routing.measures import PROMPT_CLASSES, BackendMetrics
from jackfield.routing.window import Window

SECONDS = st.floats(0, 1000, allow_nan=False)


@given(st.lists(SECONDS, max_size=60), st.integers(1, 20), st.floats(0.1, 100))
def test_it_tells_of_the_last_values(values: list[float], size: int, percent: float) -> None:
    window = Window(size)
    for value in values:
        window.add(value)
    last = sorted(values[-size:])
    assert len(window) == len(last)
    if not last:
        assert (window.mean, window.percentile(percent)) == (None, None)
        return
    assert window.mean == pytest.approx(sum(last) / len(last), abs=1e-9)
    found = window.percentile(percent)
    assert found is not None
    assert sum(value <= found for value in last) >= math.floor(len(last) * percent / 100)
    assert found in last


def test_what_is_no_number_is_left_out() -> None:
    window = Window()
    for value in (math.nan, math.inf, -math.inf, 2.0):
        window.add(value)
    assert (len(window), window.mean) == (1, 2.0)


def test_it_stays_small() -> None:
    window = Window()
    for number in range(10_000):
        window.add(number / 7)
    assert sum(sys.getsizeof(getattr(window, name)) for name in window.__slots__) < 6_000


@pytest.mark.parametrize(
    ("size", "number"), [(0, 0), (1023, 0), (1024, 1), (4095, 1), (4096, 2), (16384, 3), (65535, 3), (65536, 4), (10**9, 4)]
)
def test_prompts_are_sorted_by_size(size: int, number: int) -> None:
    metrics = BackendMetrics(0.0)
    metrics.note_good(2.0, 0.5, size)
    alike = [metrics.first_token(each) is not None for each in (0, *PROMPT_CLASSES)]
    assert alike.index(True) == number
    assert alike.count(True) == 1


def test_first_tokens_are_kept_by_prompt_size() -> None:
    metrics = BackendMetrics(0.0)
    for number in range(1, 21):
        metrics.note_good(2.0, number / 10, 100)
    metrics.note_good(2.0, 9.0, 100_000)
    short, long = metrics.first_token(5), metrics.first_token(70_000)
    assert short is not None
    assert long is not None
    assert (len(short), short.percentile(50), short.percentile(95)) == (20, 1.0, 1.9)
    assert long.percentile(95) == 9.0
    assert metrics.first_token(5000) is None
    told = metrics.as_dict(10.0)["first_token_ms"]
    assert told["<1k"] == {"p50": 1000.0, "p95": 1900.0, "count": 20}
    assert list(told) == ["<1k", "more"]
