"""Counters of a provider."""

import pytest

from jackfield.core.usage import Money, Usage
from jackfield.slots.metrics import SlotMetrics


def test_sums_tokens_and_priced_answers_and_keeps_unpriced_apart() -> None:
    metrics = SlotMetrics()
    metrics.observe(0.2, 0.1, Usage(10, 5), Money(1500), "ok")
    metrics.observe(0.4, None, Usage(1, 1), None, "ok")
    metrics.observe(9.0, None, Usage(), None, "unavailable")
    metrics.observe(9.0, None, Usage(), None, "cancelled")
    told = metrics.as_dict()
    assert (told["requests"], told["failures"], told["unpriced"], told["tokens_used"]) == (4, 1, 1, 17)
    assert told["latency_ms"] == pytest.approx(300)
    assert told["cost_estimate"] == 1.5
    assert told["success_rate"] == 0.5
    assert metrics.failures_in_a_row == 1
    metrics.observe(0.1, None, Usage(), None, "ok")
    assert metrics.failures_in_a_row == 0


def test_an_unused_one_shows_numbers_too() -> None:
    told = SlotMetrics().as_dict()
    assert (told["latency_ms"], told["tokens_used"], told["cost_estimate"], told["success_rate"]) == (0.0, 0, 0.0, None)
