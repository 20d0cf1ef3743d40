"""Counters of one live provider: what `get_metrics`, `is_available` and the panel show. Additions only, no I/O, no clock."""

from typing import Any

from jackfield.core.usage import Money, Usage

SMOOTHING = 0.2
GOOD = "ok"
# The provider was not at fault: neither good nor bad news about it.
_NO_NEWS = frozenset({"cancelled", "hedged", "invalid_request", "context_length_exceeded", "not_supported"})


class SlotMetrics:
    """Plain ints and floats, written on the event loop only. Latencies in seconds; `cost_msat` counts priced answers only."""

    __slots__ = (
        "completion_tokens",
        "cost_msat",
        "failures",
        "failures_in_a_row",
        "first_token_s",
        "last_latency_s",
        "last_outcome",
        "latency_sum_s",
        "prompt_tokens",
        "requests",
        "smoothed_latency_s",
        "successes",
        "unpriced",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.successes = 0
        self.failures = 0
        self.failures_in_a_row = 0
        self.unpriced = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cost_msat = 0
        self.latency_sum_s = 0.0
        self.last_latency_s = 0.0
        self.smoothed_latency_s = 0.0
        self.first_token_s: float | None = None
        self.last_outcome = ""

    def observe(self, latency_s: float, first_token_s: float | None, usage: Usage, cost: Money | None, outcome: str) -> None:
        """Counts one call. `outcome` is "ok", "cancelled" or an error's code; `cost` None means unpriced, which is not free."""
        self.requests += 1
        self.last_outcome = outcome
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        if cost is not None:
            self.cost_msat += cost.msat
        elif outcome == GOOD:
            self.unpriced += 1
        if outcome == GOOD:
            self._good(latency_s, first_token_s)
        elif outcome not in _NO_NEWS:
            self.failures += 1
            self.failures_in_a_row += 1

    def _good(self, latency_s: float, first_token_s: float | None) -> None:
        self.failures_in_a_row = 0
        self.smoothed_latency_s += (latency_s - self.smoothed_latency_s) * (SMOOTHING if self.successes else 1.0)
        self.successes += 1
        self.latency_sum_s += latency_s
        self.last_latency_s = latency_s
        if first_token_s is not None:
            self.first_token_s = first_token_s

    @property
    def tokens_used(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, Any]:
        """`latency_ms` is the mean of good answers, `cost_estimate` sats so far; `unpriced` good answers are not in it."""
        mean_s = self.latency_sum_s / self.successes if self.successes else 0.0
        return {
            "latency_ms": mean_s * 1000,
            "tokens_used": self.tokens_used,
            "cost_estimate": self.cost_msat / 1000,
            "requests": self.requests,
            "failures": self.failures,
            "unpriced": self.unpriced,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "last_latency_ms": self.last_latency_s * 1000,
            "smoothed_latency_ms": self.smoothed_latency_s * 1000,
            "first_token_ms": None if self.first_token_s is None else self.first_token_s * 1000,
            "success_rate": self.successes / self.requests if self.requests else None,
        }
