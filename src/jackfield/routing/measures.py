"""What is counted of one backend: requests by their end, times, what is running and waiting now.

Plain additions on the event loop; knows no clock and decides nothing.
"""

from bisect import bisect_right
from typing import Any

from jackfield.routing.window import Window

PROMPT_CLASSES = (1024, 4096, 16384, 65536)
"""Upper ends, in bytes of messages, of the classes that first-token times are kept in; the last class has none."""
SMOOTHING = 0.2


class BackendMetrics:
    """`total` = `ok` + `failed` (its own fault) + `rejected` (the request's) + `cancelled`; times in seconds, of good answers.

    `active` requests run there now, `waiting` are held back for it here; both together are its queue. `tokens_per_s` is
    smoothed over answers, 0.0 before the first.
    """

    __slots__ = (
        "_first_token",
        "active",
        "cancelled",
        "failed",
        "latency",
        "models_loaded",
        "ok",
        "rejected",
        "started_at",
        "tokens_per_s",
        "total",
        "waiting",
    )

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.total = 0
        self.ok = 0
        self.failed = 0
        self.rejected = 0
        self.cancelled = 0
        self.active = 0
        self.waiting = 0
        self.models_loaded = 0
        self.tokens_per_s = 0.0
        self.latency = Window()
        self._first_token: list[Window | None] = [None] * (len(PROMPT_CLASSES) + 1)

    @property
    def queue(self) -> int:
        return self.active + self.waiting

    @property
    def success_rate(self) -> float | None:
        """Of the answers that tell something about the backend, the good ones' share; None before the first."""
        judged = self.ok + self.failed
        return self.ok / judged if judged else None

    def note_good(self, latency_s: float, first_token_s: float | None, prompt_bytes: int) -> None:
        self.total += 1
        self.ok += 1
        self.latency.add(latency_s)
        if first_token_s is not None:
            size = bisect_right(PROMPT_CLASSES, prompt_bytes)
            window = self._first_token[size]
            if window is None:
                window = self._first_token[size] = Window()
            window.add(first_token_s)

    def note_speed(self, tokens: int, within_s: float) -> None:
        """An answer's tokens came within so many seconds."""
        if within_s > 0.0:
            speed = tokens / within_s
            self.tokens_per_s += (speed - self.tokens_per_s) * (SMOOTHING if self.tokens_per_s else 1.0)

    def first_token(self, prompt_bytes: int) -> Window | None:
        """First-token times of prompts of that size; None before the first."""
        return self._first_token[bisect_right(PROMPT_CLASSES, prompt_bytes)]

    def as_dict(self, now: float) -> dict[str, Any]:
        """Plain JSON: times in milliseconds, rates in percent, None where nothing was measured."""
        rate = self.success_rate
        classes = (*(f"<{end // 1024}k" for end in PROMPT_CLASSES), "more")
        return {
            "requests": self.total,
            "successful": self.ok,
            "failed": self.failed,
            "rejected": self.rejected,
            "cancelled": self.cancelled,
            "success_rate": None if rate is None else rate * 100,
            "avg_latency_ms": _ms(self.latency.mean),
            "p50_latency_ms": _ms(self.latency.percentile(50)),
            "p95_latency_ms": _ms(self.latency.percentile(95)),
            "first_token_ms": {
                name: {"p50": _ms(window.percentile(50)), "p95": _ms(window.percentile(95)), "count": len(window)}
                for name, window in zip(classes, self._first_token, strict=True)
                if window is not None
            },
            "tokens_per_s": self.tokens_per_s or None,
            "queue_size": self.queue,
            "active": self.active,
            "models_loaded": self.models_loaded,
            "uptime_s": now - self.started_at,
        }


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else value_s * 1000
