"""The control API's status reports and slots as the figures that latency.py judges. Pure; asks nobody."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from jackfield.app.doctoring.latency import Source
from jackfield.routing.backends import BackendType

Facts = Mapping[str, Any]


def sources_of(reports: Sequence[Facts], slots: Sequence[Facts]) -> list[Source]:
    """One source for each backend of the last report; what runs and waits is the mean over all reports."""
    live = {slot["number"]: slot["live"] for slot in slots if slot.get("live")}
    loads: dict[str, list[Facts]] = {}
    for report in reports:
        for backend in report["backends"]:
            loads.setdefault(backend["id"], []).append(backend["metrics"])
    return [_source(backend, loads[backend["id"]], live.get(backend["slot"], {})) for backend in reports[-1]["backends"]]


def _source(backend: Facts, seen: Sequence[Facts], live: Facts) -> Source:
    metrics = backend["metrics"]
    active = fmean(each["active"] for each in seen)
    return Source(
        id=backend["id"],
        pool=backend["model"] or backend["id"],
        provider=backend["provider"],
        is_routable=backend["liveness"]["routable"] is True,
        is_local=backend["type"] == BackendType.GPU,
        requests=metrics["requests"],
        active=active,
        waiting=fmean(each["queue_size"] for each in seen) - active,
        p50_ms=metrics["p50_latency_ms"],
        p95_ms=metrics["p95_latency_ms"],
        first_token_ms=_first_token(metrics["first_token_ms"]),
        batch_max=live.get("capabilities", {}).get("max_batch_size", 1),
    )


def _first_token(by_size: Mapping[str, Facts]) -> float | None:
    """The median of the size of prompts that was asked most."""
    most = max(by_size.values(), key=lambda each: each["count"], default=None)
    return None if most is None else most["p50"]
