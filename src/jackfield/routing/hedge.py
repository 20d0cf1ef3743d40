"""Hedging: asking a second backend when the first is slower to begin its answer than it usually is, within a budget.

Pure: says when and whether; who races and cancels is the walker's matter. Never more than `share` of all requests are doubled,
and none while the pool is failing, when more load is the last thing it needs.
"""

from typing import Protocol

import msgspec

from jackfield.routing.attempts import Clock

_WINDOW_S = 60.0
_AT_LEAST_JUDGED = 10


class Times(Protocol):
    """Measured times in seconds."""

    def __len__(self) -> int: ...
    def percentile(self, percent: float) -> float | None: ...


class HedgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`share` of requests that may be doubled, `burst` of them saved up. Waits for the `percent`-th percentile of the backend's
    own times, known from `at_least` answers, and never less than `shortest_s`. Off when more than
    `failing_ratio` of the last minute's attempts failed.
    """

    is_on: bool = True
    share: float = 0.05
    burst: float = 5.0
    percent: float = 95.0
    at_least: int = 20
    shortest_s: float = 0.05
    failing_ratio: float = 0.1


class Hedger:
    """Of one pool. `delay_s` once a request, `spend` when the delay is over, `outcome` when the race is decided."""

    __slots__ = ("_clock", "_failed", "_judged", "_level", "_settings", "_window_ends", "asked", "hedged", "won")

    def __init__(self, settings: HedgeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._level = 0.0
        self._window_ends = clock() + _WINDOW_S
        self._judged = 0.0
        self._failed = 0.0
        self.asked = 0
        self.hedged = 0
        self.won = 0
        """Races that the second backend won."""

    def delay_s(self, times: Times | None) -> float | None:
        """How long to wait for the first content before a second backend is asked too; None: do not. Counts the request.

        `times` are those that the first backend took for it lately: its first tokens, or, of whole answers, all of them.
        """
        settings = self._settings
        self.asked += 1
        level = self._level + settings.share
        self._level = level = level if level < settings.burst else settings.burst
        if level < 1.0 or not settings.is_on or self.is_failing:
            return None
        if times is None or len(times) < settings.at_least:
            return None
        usual_s = times.percentile(settings.percent)
        return None if usual_s is None else max(settings.shortest_s, usual_s)

    def spend(self) -> bool:
        """Takes one second request from the budget; False when others have used it up meanwhile, or the pool began to fail."""
        if self._level < 1.0 or self.is_failing:
            return False
        self._level -= 1.0
        self.hedged += 1
        return True

    def outcome(self, won: bool) -> None:
        """Whether the second backend was the faster one."""
        self.won += won

    def attempt_ended(self, failed: bool) -> None:
        """Each attempt of the pool, hedged or not: what `is_failing` goes by."""
        now = self._clock()
        if now >= self._window_ends:
            # Half of the past stays, so that a new minute does not begin blind; after a silent minute none of it counts.
            kept = 0.5 if now < self._window_ends + _WINDOW_S else 0.0
            self._judged *= kept
            self._failed *= kept
            self._window_ends = now + _WINDOW_S
        self._judged += 1.0
        self._failed += failed

    @property
    def is_failing(self) -> bool:
        return self._judged >= _AT_LEAST_JUDGED and self._failed > self._settings.failing_ratio * self._judged
