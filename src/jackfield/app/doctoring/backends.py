"""Four looks at each backend that does not answer: status report, health checks, logs, network, each with what to do next.

Judges what the gateway told of itself. Talks to nobody but through `Told.listens`, which connects to this machine only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from jackfield.app.doctoring.check import Check, State
from jackfield.routing.breaker import BreakerState
from jackfield.routing.health import BackendStatus
from jackfield.slots.plugging import is_on_this_machine

Facts = Mapping[str, Any]
STATES: Mapping[str, State] = {
    BackendStatus.HEALTHY: "ok",
    BackendStatus.UNKNOWN: "warn",
    BackendStatus.INITIALIZING: "warn",
    BackendStatus.DEGRADED: "warn",
    BackendStatus.UNHEALTHY: "fail",
    BackendStatus.OFFLINE: "fail",
}
GOOD = "ok"


class Examined(msgspec.Struct, frozen=True):
    """One backend and what the looks at it found; `slot` None where it is plugged nowhere now."""

    id: str
    slot: int | None
    provider: str
    checks: tuple[Check, ...]


class Told(msgspec.Struct, frozen=True):
    """Answers of the control API: the status report, the slots, cards by provider id, the ledger's newest rows.

    `rows` None: the gateway keeps no ledger. `listens` is None where the gateway runs on another machine, whose ports cannot
    be tried from here.
    """

    report: Facts
    slots: Sequence[Facts]
    cards: Mapping[str, Facts]
    rows: Sequence[Facts] | None
    listens: Callable[[str, int], bool] | None = None


def examine_backends(told: Told) -> list[Examined]:
    """Every backend with its four checks, then each slot that could not be plugged and so has none."""
    found = [
        Examined(str(backend["id"]), backend["slot"], str(backend["provider"]), tuple(check(backend, told) for check in CHECKS))
        for backend in told.report["backends"]
    ]
    return found + [_unplugged(slot) for slot in told.slots if slot["state"] == "failed"]


def _unplugged(slot: Facts) -> Examined:
    number = slot["number"]
    check = Check(
        "status report",
        "fail",
        f"it could not be plugged: {slot.get('problem')}",
        f"mend that, then plug it again; jackfield slots info {number} tells more",
    )
    return Examined(f"slot-{number}", number, str(slot["provider"]), (check,))


def status_report(backend: Facts, told: Told) -> Check:
    status = str(backend["status"])
    reason, _ = _reason(backend)
    return Check("status report", STATES.get(status, "warn"), f"{status}: {reason}", _next_step(status, backend, told))


def _next_step(status: str, backend: Facts, told: Told) -> str:
    if status == BackendStatus.HEALTHY:
        return ""
    if status == BackendStatus.INITIALIZING:
        return "wait: a large model may take minutes to load"
    if status == BackendStatus.UNKNOWN:
        return _ask_it(backend)
    if status == BackendStatus.DEGRADED:
        return "see its logs below; others are asked first where there are any"
    if backend["liveness"]["authorized"] is False:
        return _give_key(backend, told)
    return _start_it(backend, told)


def health_checks(backend: Facts, _: Told) -> Check:
    facts, circuit, in_row = backend["liveness"], backend["circuit"], backend["consecutive_failures"]
    seen_s = backend["last_seen_s_ago"]
    ready = {True: "ready", False: "not ready", None: "not looked at yet"}[facts["ready"]]
    seen = "never seen" if seen_s is None else f"last seen {_ago(seen_s)}"
    detail = f"{ready}, {seen}, circuit {circuit}, {in_row} failed in a row"
    if facts["authorized"] is False:
        return Check("health checks", "fail", f"{detail}, its key is refused", "give it a valid key and plug it again")
    if circuit == BreakerState.OPEN:
        return Check("health checks", "fail", detail, "wait: it gets single trials by itself; see its logs for what broke it")
    if facts["ready"] is False:
        return Check("health checks", "fail", detail, f"look what it said: jackfield slots info {_slot(backend)}")
    if facts["ready"] is None or circuit == BreakerState.HALF_OPEN or in_row:
        return Check("health checks", "warn", detail, _ask_it(backend))
    return Check("health checks", "ok", detail)


def logs(backend: Facts, told: Told) -> Check:
    """The newest calls that the ledger has of it; the gateway's own log has them by their request ids."""
    if told.rows is None:
        return Check(
            "logs", "warn", "the gateway keeps no ledger", "set ledger.enabled: true, or read the log that the gateway writes"
        )
    rows = [row for row in told.rows if (row["slot"], row["provider"]) == (backend["slot"], backend["provider"])]
    failed = [row for row in rows if row["outcome"] != GOOD]
    if not failed:
        return Check("logs", "ok", f"none of its last {len(rows)} calls failed" if rows else "it was not called lately")
    last = failed[0]
    ago = _ago(float(told.report["timestamp"]) - float(last["at"]))
    detail = f"{len(failed)} of its last {len(rows)} calls failed; the last: {last['outcome']} ({last['status']}), {ago}"
    fix = f"jackfield explain {last['request_id']} shows each attempt; the gateway's log has that id too"
    return Check("logs", "fail" if len(failed) == len(rows) else "warn", detail, fix)


def network(backend: Facts, told: Told) -> Check:
    endpoint = backend["endpoint"]
    if not endpoint:
        return Check("network", "ok", "none needed: it plays inside the gateway, or as a program")
    local = _local_address(str(endpoint))
    if local is not None and told.listens is not None:
        return _tried(backend, told, *local, told.listens(*local))
    reachable, (_, why) = backend["liveness"]["reachable"], _reason(backend)
    if reachable:
        return Check("network", "ok", f"the gateway reaches {endpoint}")
    if reachable is None:
        fix = f"{_ask_it(backend)}; the mode or a missing consent may keep the gateway from it: jackfield doctor"
        return Check("network", "warn", f"the gateway has not tried {endpoint} yet", fix)
    fix = f"check its name, the firewall and the proxy where the gateway runs: curl -v {endpoint}"
    return Check("network", "fail", f"the gateway cannot reach {endpoint}{f': {why}' if why else ''}", fix)


def _tried(backend: Facts, told: Told, host: str, port: int, is_there: bool) -> Check:
    if is_there:
        return Check("network", "ok", f"something listens at {host}:{port}")
    fix = f"{_start_it(backend, told)}; jackfield doctor ports shows what listens where"
    return Check("network", "fail", f"nothing listens at {host}:{port}", fix)


def _local_address(endpoint: str) -> tuple[str, int] | None:
    """Host and port, where they are this machine's."""
    parts = urlsplit(endpoint)
    try:
        port = parts.port
    except ValueError:
        return None
    return (parts.hostname, port) if port and parts.hostname and is_on_this_machine(parts.hostname) else None


CHECKS: tuple[Callable[[Facts, Told], Check], ...] = (status_report, health_checks, logs, network)


def _reason(backend: Facts) -> tuple[str, str]:
    """Why the status is what it is, and what the last look said, "" where it said nothing."""
    reason, _, said = str(backend["reason"]).partition(" (")
    return reason, said.removesuffix(")")


def _start_it(backend: Facts, told: Told) -> str:
    hint = told.cards.get(str(backend["provider"]), {}).get("hint")
    return str(hint) if hint else f"start it, or plug it where it runs: jackfield slots info {_slot(backend)}"


def _give_key(backend: Facts, told: Told) -> str:
    names = told.cards.get(str(backend["provider"]), {}).get("key_env") or ()
    return f"set {names[0]} to a valid key, or plug it with api_key" if names else "plug it with a valid api_key"


def _ask_it(backend: Facts) -> str:
    return f"ask it once: jackfield ask ping --slot {_slot(backend)}"


def _slot(backend: Facts) -> str:
    return "N" if backend["slot"] is None else str(backend["slot"])


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"
