"""The routes of routing: what is known of every backend, and how a model name would be resolved at this moment.

Reads memory only: no route here asks a source anything or moves a turn on.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from litestar.params import FromPath, QueryParameter

from jackfield.core.errors import NotFound
from jackfield.doors.control.given import Held, look
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.refusals import OF_NAMED
from jackfield.gateway.masking import masked_config

if TYPE_CHECKING:
    from jackfield.store.ledger import LedgerRow

ATTEMPT = ("attempt", "at", "slot", "provider", "model", "outcome", "status", "latency_s", "first_token_s", "cost_msat")
"""What is told of each attempt."""


@look("/backends", summary="Every backend: status, circuit, counts, latencies, and the sums over all")
async def list_backends(panel: Held) -> dict[str, Any]:
    return _shown(panel, panel.backends.get_backend_status_report())


@look("/backends/{backend:path}", summary="One backend, by id", responses=OF_NAMED)
async def show_backend(panel: Held, backend: FromPath[str]) -> dict[str, Any]:
    backend_id = backend.removeprefix("/")
    found = panel.backends.get_backend(backend_id)
    if found is None:
        raise NotFound(f"there is no backend {backend_id!r}: GET /control/v1/backends lists all", param="backend")
    return _shown(panel, panel.backends.describe(found))


@look("/explain", summary="Who would answer a model name now, in which order, and who would not and why", responses=OF_NAMED)
async def explain(
    panel: Held,
    model: Annotated[str, QueryParameter(description="As in a request's `model`.")],
) -> dict[str, Any]:
    return _shown(panel, panel.explain(model))


@look(
    "/explain/requests/{request_id:str}",
    summary="Why a request went where it went, and what came of each attempt",
    responses=OF_NAMED,
)
async def explain_request(panel: Held, request_id: FromPath[str]) -> dict[str, Any]:
    """`decision` is null where only one source could answer, or where it is forgotten; `attempts` are rows of the ledger."""
    decision = panel.decision(request_id)
    rows = await _rows_of(panel, request_id)
    if decision is None and not rows:
        raise NotFound(
            f"nothing is known of a request {request_id!r}: its id is the x-request-id of its answer", param="request_id"
        )
    attempts = [{name: getattr(row, name) for name in ATTEMPT} for row in rows]
    return _shown(panel, {"request_id": request_id, "decision": decision, "attempts": attempts})


async def _rows_of(panel: ControlPanel, request_id: str) -> "list[LedgerRow]":
    if panel.ledger is None:
        return []
    if panel.journal is not None:
        await asyncio.to_thread(panel.journal.rotate_and_replay, panel.ledger)
    return await asyncio.to_thread(panel.ledger.of_request, request_id)


def _shown(panel: ControlPanel, facts: Any) -> dict[str, Any]:
    return masked_config(facts, panel.secrets.known_values())


BACKEND_ROUTES = [list_backends, show_backend, explain, explain_request]
