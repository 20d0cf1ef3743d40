"""Waiting for a source on this machine that is still starting: its first answers may take as long as its model takes to load.

Holds for a source that nobody has seen ready yet, soon after it was plugged or the gateway began, and for one that says itself
that it is loading; one that ran and died is another matter, and nobody waits a minute for it.
"""

from collections.abc import Callable

from jackfield.core.errors import MODEL_LOADING, JackfieldError, Overloaded, Unavailable
from jackfield.gateway.route import Target
from jackfield.routing.attempts import FailureKind, kind_of

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 2.0


class Warming:
    """Of one request, from its first failure on. `clock` in seconds."""

    __slots__ = ("_clock", "_ends_at", "_tries", "_within_s")

    def __init__(self, within_s: float, clock: Callable[[], float]) -> None:
        self._within_s = within_s
        self._clock = clock
        self._ends_at = clock() + within_s
        self._tries = 0

    @staticmethod
    def fits(target: Target, error: JackfieldError, within_s: float) -> bool:
        """Whether this failure is only that of a source which is starting."""
        if within_s <= 0 or target.binding.info.type != "local":
            return False
        if isinstance(error, Overloaded) and error.code == MODEL_LOADING:
            return True
        backend = target.backend
        if backend.metrics.ok or backend.age_s > within_s or backend.seen.was_ready:
            return False
        return isinstance(error, Overloaded) or (isinstance(error, Unavailable) and kind_of(error) is FailureKind.TRANSPORT)

    def waits_for(self, target: Target, error: JackfieldError) -> bool:
        """Whether to ask once more, after `delay_s`."""
        return self.fits(target, error, self._within_s) and self._clock() + self._next_s(error) < self._ends_at

    def delay_s(self, error: JackfieldError) -> float:
        """Twice as long each time, up to `LONGEST_DELAY_S`; no sooner than the source asked for."""
        found = self._next_s(error)
        self._tries += 1
        return found

    def _next_s(self, error: JackfieldError) -> float:
        return max(error.retry_after_s or 0.0, min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0**self._tries))
