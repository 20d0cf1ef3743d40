"""The tools of routing: every backend that is known, who would be chosen for a task, which tasks can be done. Reads memory."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from jackfield.core.errors import BadRequest, NoCapableProvider
from jackfield.core.tasks import TASK_SYNONYMS, canonical_task
from jackfield.doors.mcp.answering import Ctx, Facts, Refused, panel_of
from jackfield.routing.backends import Backend, BackendStatus, BackendType
from jackfield.routing.manager import BackendManager


async def list_inference_backends(
    ctx: Ctx, backend_type: str | None = None, status: str | None = None, task: str | None = None
) -> Facts:
    """Backends, all or those of a type, a status, or a task: {total_backends, backends, timestamp}.

    Types: gpu, api, cli, p2p, websocket, mcp, hybrid. Statuses: healthy, degraded, unhealthy, offline, initializing, unknown.
    """
    backends = panel_of(ctx).backends
    _check_task(backends, task)
    try:
        found = backends.list_backends(backend_type or None, status or None, task or None)
    except BadRequest as error:
        valid = {"valid_types": [str(kind) for kind in BackendType], "valid_statuses": [str(kind) for kind in BackendStatus]}
        error.param = {"type": "backend_type"}.get(error.param or "", error.param)
        raise Refused(error, **valid) from None
    return {
        "total_backends": len(found),
        "backends": [backends.describe(backend) for backend in found],
        "timestamp": panel_of(ctx).clock(),
    }


async def get_backend_status(ctx: Ctx) -> Facts:
    """The status report: sums by type and status, the tasks that are supported, and every backend with its counts."""
    return panel_of(ctx).backends.get_backend_status_report()


async def select_backend_for_inference(
    task: str,
    ctx: Ctx,
    model: str | None = None,
    preferred_types: list[str] | None = None,
    required_protocols: list[str] | None = None,
) -> Facts:
    """Who would be asked for a task now, and why: {backend_id, name, type, status, endpoint, reasons, capabilities, ...}.

    `preferred_types` come first, in their order; `required_protocols` must all be spoken.
    """
    backends = panel_of(ctx).backends
    try:
        chosen = backends.select_backend_for_task(task, model, preferred_types, required_protocols)
    except BadRequest as error:
        raise Refused(error, valid_types=[str(kind) for kind in BackendType]) from None
    if chosen is None:
        raise _nobody(backends, task, model)
    return _selected(backends, chosen)


async def get_supported_tasks(ctx: Ctx) -> Facts:
    """Which tasks can be done, and by whom: {total_tasks, tasks: {task: {backend_count, backends}}, timestamp}."""
    tasks = _by_task(panel_of(ctx).backends)
    return {
        "total_tasks": len(tasks),
        "tasks": {task: {"backend_count": len(ids), "backends": ids} for task, ids in sorted(tasks.items())},
        "timestamp": panel_of(ctx).clock(),
    }


def _by_task(backends: BackendManager) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for backend in backends.list_backends():
        for task in backends.describe(backend)["tasks"]:
            found.setdefault(task, []).append(backend.id)
    return found


def _check_task(backends: BackendManager, task: str | None) -> None:
    known = {*TASK_SYNONYMS, *_by_task(backends)}
    if task and canonical_task(task) not in known:
        error = BadRequest(f"task must be one of {', '.join(sorted(known))}, got {task!r}", param="task")
        raise Refused(error, valid_tasks=sorted(known))


def _nobody(backends: BackendManager, task: str, model: str | None) -> Refused:
    able = backends.list_backends(task=task)
    said = f"no backend can be asked for {task}" + (f" with the model {model}" if model else "")
    error = NoCapableProvider(f"{said}: {len(able)} support the task; plug a source that does, or look at their status")
    return Refused(
        error,
        available_backends={
            "total": len(backends.list_backends()),
            "supporting_task": len(able),
            "by_status": _statuses(able),
        },
    )


def _statuses(found: Sequence[Backend]) -> dict[str, int]:
    return dict(Counter(str(backend.status) for backend in found))


def _selected(backends: BackendManager, chosen: Backend) -> dict[str, Any]:
    report, record = backends.describe(chosen), chosen.capabilities
    metrics = report["metrics"]
    return {
        "backend_id": chosen.id,
        "name": report["name"],
        "type": report["type"],
        "status": report["status"],
        "endpoint": report["endpoint"],
        "slot": report["slot"],
        "provider": report["provider"],
        "model": report["model"],
        "reasons": [reason.strip() for reason in chosen.last_selection_reason.split(";")],
        "capabilities": {
            "tasks": report["tasks"],
            "models": list(chosen.models),
            "protocols": report["protocols"],
            "streaming": record.streaming,
            "batching": record.max_batch_size > 1,
        },
        "current_metrics": metrics,
    }


BACKEND_TOOLS = (list_inference_backends, get_backend_status, select_backend_for_inference, get_supported_tasks)
