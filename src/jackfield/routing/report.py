"""The status report: every backend and the sums over them, as plain JSON. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from jackfield.core.contracts import ReportsQuota
from jackfield.core.tasks import canonical_task
from jackfield.routing.backends import Backend, BackendStatus, BackendType


def status_report(backends: Iterable[Backend], *, now: float, timestamp: float) -> dict[str, Any]:
    """`timestamp` Unix seconds; each type and status has its count, those of none too."""
    entries = [backend_report(backend, now) for backend in backends]
    metrics = [entry["metrics"] for entry in entries]
    return {
        "total_backends": len(entries),
        "backends_by_type": _counted(entries, "type", BackendType),
        "backends_by_status": _counted(entries, "status", BackendStatus),
        "total_requests": sum(each["requests"] for each in metrics),
        "total_successful": sum(each["successful"] for each in metrics),
        "total_failed": sum(each["failed"] for each in metrics),
        "supported_tasks": sorted({task for entry in entries for task in entry["tasks"]}),
        "backends": entries,
        "timestamp": timestamp,
    }


def backend_report(backend: Backend, now: float) -> dict[str, Any]:
    """`liveness` are the seven facts, null where not known; `reason` says why the status is what it is; `quota` is what the
    source last said of its rate limits.
    """
    record = backend.capabilities
    return {
        "id": backend.id,
        "name": backend.name,
        "aliases": list(backend.identity.aliases),
        "type": str(backend.type),
        "status": str(backend.status),
        "reason": backend.reason,
        "endpoint": backend.endpoint,
        "provider": backend.provider,
        "model": backend.model,
        "slot": backend.slot,
        "tasks": sorted(set(map(canonical_task, record.supported_tasks))),
        "protocols": list(record.protocols),
        "hardware_types": list(record.hardware_types),
        "circuit": str(backend.breaker.state),
        "last_selection_reason": backend.last_selection_reason,
        "selection_count": backend.selection_count,
        "consecutive_failures": backend.consecutive_failures,
        "last_seen_s_ago": None if backend.last_seen_at is None else now - backend.last_seen_at,
        "liveness": msgspec.to_builtins(backend.facts),
        "metrics": backend.metrics.as_dict(now),
        "quota": _quota(backend),
    }


def _quota(backend: Backend) -> dict[str, Any] | None:
    """What the source last said of its rate limits."""
    live = backend.live
    if live is None or not isinstance(live.provider, ReportsQuota):
        return None
    told: dict[str, Any] | None = msgspec.to_builtins(live.provider.quota())
    return told


def _counted(entries: Iterable[dict[str, Any]], key: str, kinds: Iterable[str]) -> dict[str, int]:
    counts = dict.fromkeys(map(str, kinds), 0)
    for entry in entries:
        counts[entry[key]] += 1
    return counts
