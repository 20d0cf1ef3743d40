"""The table of statuses: each line of it, its order, and what evidence leaves behind."""

from typing import Any

import pytest

from jackfield.routing.attempts import FailureKind
from jackfield.routing.breaker import BreakerState
from jackfield.routing.health import BackendStatus, Evidence, HealthSettings, Look, judge

GOOD = Look(is_ready=True, latency_s=0.01, models=("m",))
NOBODY = Look(is_ready=False, reachable=False, detail="refused")
THERE = Look(is_ready=False, reachable=True)
NO_KEY = Look(is_ready=False, reachable=True, authorized=False)
LATE = Look(is_ready=False, reachable=True, is_late=True)


def evidence(*seen: Look | FailureKind | None, asked: bool = True, looked_at: bool = True) -> Evidence:
    """What is left after looks, failures and (None) good answers, one a second from the first second on."""
    found = Evidence(HealthSettings(), 0.0)
    found.can_be_asked, found.can_be_looked_at = asked, looked_at
    for now, each in enumerate(seen, 1):
        if each is None:
            found.note_good(now)
        elif isinstance(each, Look):
            found.note_look(each, now)
        else:
            found.note_failure(each, now)
    return found


def status(found: Evidence, circuit: BreakerState = BreakerState.CLOSED, now: float = 20.0) -> BackendStatus:
    return judge(found, circuit, now).status


FAILED = FailureKind.UPSTREAM


@pytest.mark.behaviour("MGR-13")
@pytest.mark.parametrize(
    ("seen", "circuit", "now", "expected"),
    [
        ([], "closed", 20, "unknown"),
        ([GOOD], "closed", 20, "healthy"),
        ([None], "closed", 20, "healthy"),
        ([NOBODY], "closed", 20, "offline"),
        ([GOOD, NOBODY], "closed", 20, "offline"),
        ([GOOD, NOBODY, GOOD], "closed", 20, "healthy"),
        ([GOOD, NOBODY, None], "closed", 20, "healthy"),
        ([NOBODY], "open", 20, "offline"),
        ([GOOD], "open", 20, "unhealthy"),
        ([GOOD], "half_open", 20, "degraded"),
        ([NO_KEY], "closed", 20, "unhealthy"),
        ([NO_KEY, GOOD], "closed", 20, "healthy"),
        ([THERE], "closed", 20, "initializing"),
        ([THERE], "closed", 700, "unhealthy"),
        ([GOOD, THERE], "closed", 20, "unhealthy"),
        ([LATE], "closed", 20, "initializing"),
        ([None, LATE], "closed", 20, "healthy"),
        ([None, *[FAILED] * 4], "closed", 20, "healthy"),
        ([None, *[FAILED] * 5], "closed", 20, "degraded"),
        ([*[None, FAILED] * 5], "closed", 20, "degraded"),
        ([*[FAILED] * 5, *[None] * 6], "closed", 20, "healthy"),
        ([None, *[FailureKind.REQUEST] * 9], "closed", 20, "healthy"),
        ([None, *[FailureKind.CONTENT] * 9], "closed", 20, "healthy"),
    ],
)
def test_status_follows_from_what_was_seen(seen: list[Any], circuit: str, now: float, expected: str) -> None:
    assert str(status(evidence(*seen), BreakerState(circuit), now)) == expected


@pytest.mark.behaviour("MGR-15")
def test_what_nobody_can_look_at_is_never_taken_for_healthy_for_long() -> None:
    quiet = evidence(looked_at=False)
    assert status(quiet, now=10_000) is BackendStatus.UNKNOWN
    once_good = evidence(None, looked_at=False)
    assert status(once_good, now=20) is BackendStatus.HEALTHY
    assert status(once_good, now=400) is BackendStatus.UNKNOWN
    nothing_behind_it = evidence(asked=False, looked_at=False)
    assert status(nothing_behind_it, now=299) is BackendStatus.UNKNOWN
    assert status(nothing_behind_it, now=301) is BackendStatus.OFFLINE
    listening_only = evidence(Look(reachable=True))
    assert status(listening_only) is BackendStatus.UNKNOWN


def test_the_first_look_shows_while_it_lasts() -> None:
    found = evidence()
    found.is_looking = True
    assert status(found) is BackendStatus.INITIALIZING
    found.note_look(GOOD, 1.0)
    found.is_looking = True
    assert status(found) is BackendStatus.HEALTHY


def test_a_good_look_clears_old_failures_only() -> None:
    found = evidence(None, *[FAILED] * 5)
    found.note_look(GOOD, 30.0)
    assert status(found, now=30.0) is BackendStatus.DEGRADED
    found.note_look(GOOD, 6.0 + HealthSettings().forget_after_s)
    assert status(found, now=70.0) is BackendStatus.HEALTHY


def test_a_key_refused_in_use_is_not_excused_by_a_public_list_of_models() -> None:
    found = evidence(FailureKind.CREDENTIAL, GOOD)
    assert found.authorized is False
    found.note_good(3.0)
    assert found.authorized is True


def test_every_rule_says_why() -> None:
    assert judge(evidence(NOBODY), BreakerState.CLOSED, 1.0).reason == "nothing listens at its address"
    assert judge(evidence(), BreakerState.CLOSED, 1.0).reason == "nothing was seen of it yet"
