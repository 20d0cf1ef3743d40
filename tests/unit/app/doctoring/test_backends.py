"""Four looks at a backend, judged from what a gateway told of it; tests/unit/app/cli has the command before a real gateway."""

from collections.abc import Callable
from typing import Any

import pytest

from jackfield.app.doctoring.backends import CHECKS, Told, examine_backends
from jackfield.app.doctoring.check import Check

NAMES = ["status report", "health checks", "logs", "network"]
NOW = 1_000_000.0
HINT = "start acme with: acme serve"
CARD = {"id": "acme", "hint": HINT, "key_env": ["ACME_KEY"]}


def backend(**changes: Any) -> dict[str, Any]:
    facts = {"ready": True, "authorized": None, "reachable": True, "routable": True} | changes.pop("liveness", {})
    well = {
        "id": "acme/m", "slot": 1, "provider": "acme", "status": "healthy", "reason": "it answers", "circuit": "closed",
        "endpoint": "http://127.0.0.1:8099", "last_seen_s_ago": 3.0, "consecutive_failures": 0,
    }  # fmt: skip
    return {**well, **changes, "liveness": facts}


def row(outcome: str = "ok", status: int = 200, **changes: Any) -> dict[str, Any]:
    told = {"slot": 1, "provider": "acme", "outcome": outcome, "status": status, "at": NOW - 30, "request_id": "req-7"}
    return told | changes


def checks(
    each: dict[str, Any],
    rows: list[dict[str, Any]] | None = None,
    listens: Callable[[str, int], bool] | None = lambda _host, _port: True,
    cards: dict[str, Any] | None = None,
) -> dict[str, Check]:
    told = Told({"backends": [each], "timestamp": NOW}, (), {"acme": CARD} if cards is None else cards, rows, listens)
    (examined,) = examine_backends(told)
    assert [check.name for check in examined.checks] == NAMES
    assert len(CHECKS) == len(NAMES)
    return {check.name: check for check in examined.checks}


@pytest.mark.behaviour("ERR-11")
def test_a_backend_that_answers_passes_all_four_looks() -> None:
    found = checks(backend(), [row()])
    assert {check.state for check in found.values()} == {"ok"}
    assert {check.fix for check in found.values()} == {""}


@pytest.mark.behaviour("ERR-11")
def test_one_that_does_not_answer_fails_all_four_and_each_says_what_to_do() -> None:
    down = backend(
        status="offline", reason="nothing listens at its address (it refused the connection)", last_seen_s_ago=None,
        consecutive_failures=3, liveness={"ready": False, "reachable": False, "routable": False},
    )  # fmt: skip
    found = checks(down, [row("unavailable", 502)], listens=lambda host, port: (host, port) != ("127.0.0.1", 8099))
    assert {check.state for check in found.values()} == {"fail"}
    assert all(check.fix for check in found.values())
    assert found["status report"] == Check("status report", "fail", "offline: nothing listens at its address", HINT)
    assert "jackfield slots info 1" in found["health checks"].fix
    assert found["logs"].detail == "1 of its last 1 calls failed; the last: unavailable (502), 30 s ago"
    assert "jackfield explain req-7" in found["logs"].fix
    assert found["network"].detail == "nothing listens at 127.0.0.1:8099"
    assert HINT in found["network"].fix


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({"status": "initializing"}, "warn", "wait"),
        ({"status": "unknown"}, "warn", "jackfield ask ping --slot 1"),
        ({"status": "degraded"}, "warn", "logs"),
        ({"status": "unhealthy"}, "fail", "start acme"),
        ({"status": "unhealthy", "liveness": {"authorized": False}}, "fail", "set ACME_KEY to a valid key"),
    ],
)
def test_each_status_has_its_next_step(changes: dict[str, Any], state: str, said: str) -> None:
    check = checks(backend(**changes))["status report"]
    assert (check.state, said in check.fix) == (state, True), check


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({"liveness": {"authorized": False}}, "fail", "its key is refused"),
        ({"circuit": "open"}, "fail", "circuit open"),
        ({"circuit": "half_open"}, "warn", "circuit half_open"),
        ({"liveness": {"ready": None}, "last_seen_s_ago": None, "slot": None}, "warn", "not looked at yet, never seen"),
        (
            {"consecutive_failures": 2, "last_seen_s_ago": 9000.0},
            "warn",
            "last seen 2 h ago, circuit closed, 2 failed in a row",
        ),
        ({"last_seen_s_ago": 600.0}, "ok", "last seen 10 min ago"),
    ],
)
def test_health_says_what_was_seen(changes: dict[str, Any], state: str, said: str) -> None:
    check = checks(backend(**changes))["health checks"]
    assert (check.state, said in check.detail) == (state, True), check
    assert bool(check.fix) is (state != "ok")


def test_the_logs_are_of_this_backend_and_a_gateway_without_a_ledger_says_so() -> None:
    others = [row("unavailable", 502, slot=2), row("unavailable", 502, provider="other")]
    assert checks(backend(), others)["logs"] == Check("logs", "ok", "it was not called lately")
    assert checks(backend(), [row("rate_limited", 429), row()])["logs"].state == "warn"
    unkept = checks(backend(), None)["logs"]
    assert (unkept.state, "ledger.enabled" in unkept.fix) == ("warn", True)


@pytest.mark.parametrize("endpoint", ["http://api.acme.example:443", "http://::1:80:9", "http://127.0.0.1:8099"])
@pytest.mark.parametrize(("reachable", "state"), [(True, "ok"), (None, "warn"), (False, "fail")])
def test_what_cannot_be_tried_from_here_is_told_as_the_gateway_saw_it(
    endpoint: str, reachable: bool | None, state: str
) -> None:
    seen = backend(endpoint=endpoint, reason="nothing listens (no such name)", liveness={"reachable": reachable})
    check = checks(seen, listens=None)["network"]
    assert check.state == state
    assert endpoint in check.detail
    assert ("no such name" in check.detail) is (state == "fail")


def test_an_engine_within_the_gateway_needs_no_network_and_a_card_without_a_hint_no_hint() -> None:
    assert checks(backend(endpoint=None))["network"].state == "ok"
    bare = checks(backend(status="unhealthy", liveness={"authorized": False}), cards={})["status report"]
    assert bare.fix == "plug it with a valid api_key"
    assert "start it" in checks(backend(status="offline"), cards={})["status report"].fix


def test_a_slot_that_could_not_be_plugged_is_among_them() -> None:
    slots = [
        {"number": 4, "state": "failed", "provider": "acme", "problem": "no key"},
        {"number": 5, "state": "empty", "provider": None},
    ]
    (examined,) = examine_backends(Told({"backends": [], "timestamp": NOW}, slots, {}, [], None))
    assert (examined.id, examined.slot) == ("slot-4", 4)
    assert (examined.checks[0].state, "no key" in examined.checks[0].detail) == ("fail", True)
