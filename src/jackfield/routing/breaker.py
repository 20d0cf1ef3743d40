"""The circuit breaker of one backend: closed, open, half-open, with a slow start after recovery.

Pure: counts outcomes against a clock and says whether the next request may go there; sends nothing, knows no backend and no
error. An outcome of a failed attempt comes as its kind. A backend without siblings is treated like any other.
"""

from collections import deque
from enum import StrEnum
from math import ceil, inf

import msgspec

from jackfield.core.errors import Overloaded
from jackfield.routing.attempts import Clock, FailureKind, Random

HURTFUL = frozenset({FailureKind.RATE_LIMIT, FailureKind.OVERLOAD, FailureKind.UPSTREAM, FailureKind.TRANSPORT})
"""These count. `request` and `content` say nothing about the backend."""
LOCKED_OUT = frozenset({FailureKind.CREDENTIAL, FailureKind.ACCOUNT})
"""These open at once, and for longer: a person must act before it can get better."""
_BUSY = frozenset({FailureKind.RATE_LIMIT, FailureKind.OVERLOAD})
_BUCKETS = 10


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opens after `consecutive` failures in a row, or when more than `ratio` of at least `at_least` in `window_s` failed.

    Holds double from `hold_s` to `hold_max_s`, and from `lockout_s` to `lockout_max_s` for keys and accounts; a hold is
    shortened by up to `jitter` of itself. Retry-After lengthens a hold, up to `retry_after_max_s`. `probe_budget` requests
    are let through while half-open; one without an outcome after `probe_timeout_s` is given up, so tell it as soon as an
    answer begins. After recovery a backend's share ramps from `ramp_from` to 1 in `ramp_s`.
    """

    consecutive: int = 5
    ratio: float = 0.5
    at_least: int = 10
    window_s: float = 30.0
    hold_s: float = 5.0
    hold_max_s: float = 300.0
    lockout_s: float = 60.0
    lockout_max_s: float = 900.0
    retry_after_max_s: float = 3600.0
    jitter: float = 0.2
    probe_budget: int = 1
    probe_timeout_s: float = 120.0
    ramp_s: float = 30.0
    ramp_from: float = 0.1


class Breaker:
    """Ask `allow()` before each attempt and tell its outcome once: `success`, `failure` or `abandon`; before that,
    `answering` may tell that an answer has begun.

    `began_at`, the clock at the time of `allow()`, keeps outcomes of attempts begun before the last change of state from
    deciding the next one; without it they count. `random` in [0, 1).
    """

    __slots__ = (
        "_bad",
        "_bucket_ends",
        "_clock",
        "_closed_at",
        "_consecutive",
        "_holds",
        "_is_calm",
        "_ok",
        "_past",
        "_paused_until",
        "_probes",
        "_random",
        "_settings",
        "_since",
        "_state",
        "_until",
        "cause",
    )

    def __init__(self, settings: BreakerSettings, clock: Clock, random: Random) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random
        self._state = BreakerState.CLOSED
        self._since = -inf
        self._closed_at = -inf
        self._until = -inf
        self._paused_until = -inf
        self._holds = 0
        self._probes: list[float] = []
        self._is_calm = True
        self._consecutive = 0
        self._ok = 0
        self._bad = 0
        self._bucket_ends = -inf
        self._past: deque[tuple[float, int, int]] = deque(maxlen=_BUCKETS + 1)
        self.cause: FailureKind | None = None
        """The kind of failure that opened or paused it last."""

    @property
    def state(self) -> BreakerState:
        """Half-open as soon as the hold is over, whether or not a request has come since. A pause does not open it."""
        if self._state is BreakerState.OPEN and self._clock() >= self._until:
            return BreakerState.HALF_OPEN
        return self._state

    @property
    def is_resting(self) -> bool:
        """Open, paused, or with all its probes out: `allow` would say no."""
        return not self._is_calm and self.retry_after_s > 0.0

    @property
    def retry_after_s(self) -> float:
        """Seconds until asking again makes sense; 0 when it does now."""
        now = self._clock()
        if self._state is BreakerState.CLOSED:
            return max(0.0, self._paused_until - now)
        if self._state is BreakerState.OPEN:
            return max(0.0, self._until - now)
        self._give_up_probes(now)
        return 1.0 if len(self._probes) >= self._settings.probe_budget else 0.0

    def allow(self) -> bool:
        """Whether a request may go there now. While half-open each True takes a probe, until its outcome is told."""
        return True if self._is_calm else self._allow_slowly()

    def insist(self) -> bool:
        """Lets a request through that has nowhere else to go, where only a key or an account was at fault.

        Such a refusal costs the source nothing, and a person may have put it right meanwhile. Its outcome decides as a probe's.
        """
        if self._state is not BreakerState.OPEN or self.cause not in LOCKED_OUT:
            return False
        self._half_open(self._clock())
        return self._allow_slowly()

    def success(self, began_at: float | None = None) -> None:
        now = self._clock()
        if self._state is BreakerState.CLOSED:
            self._consecutive = 0
            if now >= self._bucket_ends:
                self._turn_bucket(now)
            self._ok += 1
        elif self._decides(began_at):
            self._close(now)

    def answering(self, began_at: float | None = None) -> None:
        """An answer has begun: enough to close a half-open circuit, not enough to count as a success."""
        now = self._clock()
        if self._decides(began_at):
            self._close(now)

    def failure(self, kind: FailureKind, *, retry_after_s: float | None = None, began_at: float | None = None) -> None:
        """A failed attempt. Kinds that say nothing about health only give their probe back."""
        if kind not in HURTFUL and kind not in LOCKED_OUT:
            self.abandon(began_at)
            return
        now = self._clock()
        ask_s = min(max(0.0, retry_after_s or 0.0), self._settings.retry_after_max_s)
        if self._state is BreakerState.CLOSED:
            if not self._is_stale(began_at):
                self._fail_closed(now, kind, ask_s)
        elif self._decides(began_at):
            self._open(now, kind, ask_s)
        elif self._state is BreakerState.OPEN and ask_s:
            self._until = max(self._until, now + ask_s)

    def abandon(self, began_at: float | None = None) -> None:
        """The attempt ended without an outcome, as when the client left: its probe is given back."""
        if self._state is BreakerState.HALF_OPEN and self._probes and not self._is_stale(began_at):
            self._probes.pop()

    def seen_alive(self) -> None:
        """An active probe got an answer: a hold for being down or broken ends now, and real requests may probe.

        Holds for keys, accounts and limits stand, since such a probe says nothing about those.
        """
        if self._state is BreakerState.OPEN and self.cause in (FailureKind.TRANSPORT, FailureKind.UPSTREAM):
            self._until = min(self._until, self._clock())

    def share(self) -> float:
        """The part of its usual requests that it should get: 0 while open or paused, ramping up after recovery, then 1."""
        if self._is_calm and self._closed_at == -inf:
            return 1.0
        state = self.state
        if state is not BreakerState.CLOSED:
            return 0.0 if state is BreakerState.OPEN else self._settings.ramp_from
        if self._clock() < self._paused_until:
            return 0.0
        settings = self._settings
        age_s = self._clock() - self._closed_at
        if age_s >= settings.ramp_s:
            return 1.0
        return settings.ramp_from + (1.0 - settings.ramp_from) * max(0.0, age_s) / settings.ramp_s

    def refusal(self, name: str) -> Overloaded:
        """What a caller is told when `name`, this breaker's backend, is the only one and may not be asked now."""
        wait_s = float(max(1, ceil(self.retry_after_s)))
        why = {
            FailureKind.CREDENTIAL: "refused its key",
            FailureKind.ACCOUNT: "says that its account has nothing left",
            FailureKind.RATE_LIMIT: "is over its rate limit",
            FailureKind.OVERLOAD: "is overloaded",
        }.get(self.cause or FailureKind.UPSTREAM, "keeps failing")
        return Overloaded(
            f"{name} {why} and is not asked for {wait_s:.0f} s: wait, or plug a second source for this model",
            code="backend_resting",
            retry_after_s=wait_s,
        )

    def _allow_slowly(self) -> bool:
        now = self._clock()
        if now < self._paused_until:
            return False
        if self._state is BreakerState.CLOSED:
            self._is_calm = True
            return True
        if self._state is BreakerState.OPEN:
            if now < self._until:
                return False
            self._half_open(now)
        self._give_up_probes(now)
        if len(self._probes) >= self._settings.probe_budget:
            return False
        self._probes.append(now)
        return True

    def _half_open(self, now: float) -> None:
        self._state = BreakerState.HALF_OPEN
        self._since = now
        self._probes.clear()

    def _give_up_probes(self, now: float) -> None:
        oldest = now - self._settings.probe_timeout_s
        if self._probes and self._probes[0] <= oldest:
            self._probes = [began for began in self._probes if began > oldest]

    def _is_stale(self, began_at: float | None) -> bool:
        return began_at is not None and began_at < self._since

    def _decides(self, began_at: float | None) -> bool:
        """Whether an outcome now is a probe's."""
        return self._state is BreakerState.HALF_OPEN and not self._is_stale(began_at)

    def _fail_closed(self, now: float, kind: FailureKind, ask_s: float) -> None:
        if now >= self._bucket_ends:
            self._turn_bucket(now)
        self._consecutive += 1
        self._bad += 1
        if kind in LOCKED_OUT or self._consecutive >= self._settings.consecutive or self._fails_too_often(now):
            self._open(now, kind, ask_s)
        elif kind in _BUSY and ask_s:
            self.cause = kind
            self._paused_until = max(self._paused_until, now + ask_s)
            self._is_calm = False

    def _fails_too_often(self, now: float) -> bool:
        oldest = now - self._settings.window_s
        while self._past and self._past[0][0] <= oldest:
            self._past.popleft()
        bad = self._bad + sum(bucket[2] for bucket in self._past)
        total = bad + self._ok + sum(bucket[1] for bucket in self._past)
        return total >= self._settings.at_least and bad > self._settings.ratio * total

    def _turn_bucket(self, now: float) -> None:
        if self._ok or self._bad:
            self._past.append((self._bucket_ends, self._ok, self._bad))
        self._ok = self._bad = 0
        self._bucket_ends = now + self._settings.window_s / _BUCKETS

    def _open(self, now: float, kind: FailureKind, ask_s: float) -> None:
        settings = self._settings
        if self._state is BreakerState.CLOSED and now - self._closed_at >= settings.ramp_s:
            self._holds = 0
        first_s, most_s = (
            (settings.lockout_s, settings.lockout_max_s) if kind in LOCKED_OUT else (settings.hold_s, settings.hold_max_s)
        )
        # The exponent is bounded so that a backend that is down for months does not overflow it.
        hold_s = min(most_s, first_s * 2.0 ** min(self._holds, 32)) * (1.0 - settings.jitter * self._random())
        self._holds += 1
        self._state = BreakerState.OPEN
        self._since = now
        self._until = max(now + max(hold_s, ask_s), self._paused_until)
        self.cause = kind
        self._is_calm = False

    def _close(self, now: float) -> None:
        self._state = BreakerState.CLOSED
        self._since = self._closed_at = now
        self._is_calm = True
        self._consecutive = self._ok = self._bad = 0
        self._bucket_ends = -inf
        self._past.clear()
