"""Waiting for a source on this machine that is still starting: its first answers may take as long as its model takes to load.

Holds for a source that has not answered anybody yet, or that says itself that it is loading; one that ran and died is another
matter, and nobody waits a minute for it.
"""

from time import perf_counter

from jackfield.core.errors import JackfieldError, Overloaded, Unavailable
from jackfield.gateway.route import Target
from jackfield.routing.attempts import FailureKind, kind_of

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 2.0
LOADING = "loading"


class Warming:
    """Of one request that came at `since` (perf_counter seconds)."""

    __slots__ = ("_ends_at", "_tries", "_within_s")

    def __init__(self, within_s: float, since: float) -> None:
        self._within_s = within_s
        self._ends_at = since + within_s
        self._tries = 0

    @staticmethod
    def fits(target: Target, error: JackfieldError, within_s: float) -> bool:
        """Whether this failure is only that of a source which is starting."""
        if within_s <= 0 or target.binding.info.type != "local" or not isinstance(error, Overloaded | Unavailable):
            return False
        if isinstance(error, Overloaded):
            return LOADING in error.message.lower()
        is_refused = kind_of(error) is FailureKind.TRANSPORT
        return is_refused and target.backend.metrics.ok == 0 and target.backend.age_s <= within_s

    def waits_for(self, target: Target, error: JackfieldError) -> bool:
        """Whether to ask once more, after `delay_s`."""
        return self.fits(target, error, self._within_s) and perf_counter() + self._next_s() < self._ends_at

    def delay_s(self) -> float:
        """Twice as long each time, up to `LONGEST_DELAY_S`."""
        found = self._next_s()
        self._tries += 1
        return found

    def _next_s(self) -> float:
        return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0**self._tries)
