"""How a backend is: six statuses, seven facts, and the table of rules that tells a status from the evidence.

Pure: evidence is what looks and outcomes have shown; who looks is probing.py's. Nothing is taken for healthy that was not
seen to be.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from jackfield.routing.attempts import FailureKind
from jackfield.routing.breaker import HURTFUL, LOCKED_OUT, BreakerState

HARMFUL = HURTFUL | LOCKED_OUT
"""Failures that are the backend's own; the others are the request's."""


class BackendStatus(StrEnum):
    UNKNOWN = "unknown"
    INITIALIZING = "initializing"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    OFFLINE = "offline"


class Facts(msgspec.Struct, frozen=True):
    """What is known, each yes, no, or None for not known.

    configured: something can be asked. authorized: it takes our key. reachable: something listens there. live: it answers.
    ready: it could take a request now. healthy: it has not failed lately. routable: it is offered requests.
    """

    configured: bool | None = None
    authorized: bool | None = None
    reachable: bool | None = None
    live: bool | None = None
    ready: bool | None = None
    healthy: bool | None = None
    routable: bool | None = None


class Look(msgspec.Struct, frozen=True):
    """What one look told; None for what it could not tell. `models` None where it names none; `detail` is for a person.

    `is_late`: it did not say in time. That is no news of a source which answers requests meanwhile: it may be busy.
    """

    is_ready: bool | None = None
    reachable: bool | None = None
    authorized: bool | None = None
    latency_s: float | None = None
    models: tuple[str, ...] | None = None
    detail: str = ""
    is_late: bool = False


class HealthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Degraded from `degraded_failures` of the last `window` outcomes; a good look `forget_after_s` later clears those.

    Offline where nothing can look and nothing was seen for `offline_after_s`. What is there but was never ready counts as
    starting for `warm_up_s`.
    """

    degraded_failures: int = 5
    window: int = 10
    forget_after_s: float = 60.0
    offline_after_s: float = 300.0
    warm_up_s: float = 600.0


class Evidence:
    """What has been seen of one backend. Times are seconds of one clock; `recent` has a bit for each outcome, 1 failed."""

    __slots__ = (
        "answers",
        "authorized",
        "can_be_asked",
        "can_be_looked_at",
        "detail",
        "failed_at",
        "is_looking",
        "key_was_refused",
        "looked_at",
        "reachable",
        "ready",
        "recent",
        "registered_at",
        "seen_at",
        "settings",
        "was_ready",
    )

    def __init__(self, settings: HealthSettings, registered_at: float) -> None:
        self.settings = settings
        self.registered_at = registered_at
        self.can_be_asked = False
        self.can_be_looked_at = False
        self.is_looking = False
        self.authorized: bool | None = None
        self.key_was_refused = False
        self.reachable: bool | None = None
        self.answers: bool | None = None
        self.ready: bool | None = None
        self.was_ready = False
        self.recent = 0
        self.seen_at: float | None = None
        self.looked_at: float | None = None
        self.failed_at = registered_at
        self.detail = ""

    def note_look(self, look: Look, now: float) -> None:
        self.looked_at = now
        self.is_looking = False
        if look.is_late and look.reachable is not False and self._was_good_lately(now):
            return
        self.detail = look.detail
        self.ready = look.is_ready
        self.reachable = True if look.is_ready else look.reachable
        self.answers = True if look.is_ready or look.latency_s is not None or look.authorized is False else None
        self.key_was_refused = look.authorized is False
        if look.authorized is not None:
            self.authorized = look.authorized
        if look.is_ready:
            self._note_ready(now)
            if now - self.failed_at >= self.settings.forget_after_s:
                self.recent = 0
        elif look.reachable is False:
            self.answers = False

    def note_good(self, now: float) -> None:
        """A request was answered well."""
        self.recent = (self.recent << 1) & ((1 << self.settings.window) - 1)
        self.reachable = self.answers = self.ready = self.authorized = True
        self.key_was_refused = False
        self._note_ready(now)

    def note_failure(self, kind: FailureKind, now: float) -> None:
        """A request failed; a mistake in the request still shows that it answers."""
        if kind is not FailureKind.TRANSPORT:
            self.reachable = self.answers = True
            self.seen_at = now
        if kind is FailureKind.CREDENTIAL:
            self.authorized = False
        if kind in HARMFUL:
            self.recent = ((self.recent << 1) | 1) & ((1 << self.settings.window) - 1)
            self.failed_at = now

    def recovered(self) -> None:
        """Its circuit has closed again: what broke it is over."""
        self.recent = 0

    def take_after(self, other: "Evidence") -> None:
        """What was seen of the same source under another model: whether it is there, not how its answers were."""
        for name in ("authorized", "key_was_refused", "reachable", "answers", "ready", "was_ready", "looked_at", "detail"):
            setattr(self, name, getattr(other, name))

    @property
    def is_down(self) -> bool:
        """The last look found nobody, nobody ready, or a refused key."""
        return self.reachable is False or self.ready is False or self.key_was_refused

    def _was_good_lately(self, now: float) -> bool:
        return self.ready is True and self.seen_at is not None and now - self.seen_at < self.settings.forget_after_s

    def _note_ready(self, now: float) -> None:
        self.seen_at = now
        self.was_ready = True


class Case(NamedTuple):
    """What a rule looks at."""

    seen: Evidence
    circuit: BreakerState
    now: float


class Rule(NamedTuple):
    """`reason` is for a person."""

    status: BackendStatus
    reason: str
    applies: Callable[[Case], bool]


def _is_first_look(case: Case) -> bool:
    return case.seen.is_looking and case.seen.looked_at is None and case.seen.seen_at is None


def _is_lost(case: Case) -> bool:
    """Nothing can look there, nothing can be sent there, and nothing came from there for long."""
    seen = case.seen
    if seen.can_be_asked or seen.can_be_looked_at:
        return False
    return case.now - (seen.registered_at if seen.seen_at is None else seen.seen_at) > seen.settings.offline_after_s


def _is_starting(case: Case) -> bool:
    seen = case.seen
    is_there = seen.ready is False and not seen.was_ready and not seen.key_was_refused
    return is_there and case.now - seen.registered_at <= seen.settings.warm_up_s


def _is_stale(case: Case) -> bool:
    """It was well, nobody can look whether it still is, and nothing came from there for long."""
    seen = case.seen
    return not seen.can_be_looked_at and seen.seen_at is not None and case.now - seen.seen_at > seen.settings.offline_after_s


RULES: tuple[Rule, ...] = (
    Rule(BackendStatus.INITIALIZING, "it is being looked at for the first time", _is_first_look),
    Rule(BackendStatus.OFFLINE, "nothing listens at its address", lambda case: case.seen.reachable is False),
    Rule(BackendStatus.OFFLINE, "nothing was seen of it for long, and nothing can look", _is_lost),
    Rule(BackendStatus.UNHEALTHY, "its circuit is open", lambda case: case.circuit is BreakerState.OPEN),
    Rule(BackendStatus.UNHEALTHY, "it refuses our key", lambda case: case.seen.key_was_refused),
    Rule(BackendStatus.INITIALIZING, "it is there and not ready yet", _is_starting),
    Rule(BackendStatus.UNHEALTHY, "it is there and not ready", lambda case: case.seen.ready is False),
    Rule(BackendStatus.DEGRADED, "its circuit is half open", lambda case: case.circuit is BreakerState.HALF_OPEN),
    Rule(
        BackendStatus.DEGRADED,
        "too many of its last answers failed",
        lambda case: case.seen.recent.bit_count() >= case.seen.settings.degraded_failures,
    ),
    Rule(BackendStatus.UNKNOWN, "nothing was seen of it lately, and nothing can look", _is_stale),
    Rule(BackendStatus.HEALTHY, "it answers", lambda case: case.seen.ready is True),
    Rule(BackendStatus.UNKNOWN, "nothing was seen of it yet", lambda case: True),
)
"""The first that applies decides."""


def judge(seen: Evidence, circuit: BreakerState, now: float) -> Rule:
    """The rule that applies, with the status and why."""
    case = Case(seen, circuit, now)
    return next(rule for rule in RULES if rule.applies(case))
