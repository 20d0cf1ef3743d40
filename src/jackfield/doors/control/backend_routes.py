"""The routes of routing: what is known of every backend, and how a model name would be resolved at this moment.

Reads memory only: no route here asks a source anything or moves a turn on.
"""

from typing import Annotated, Any

from litestar.params import FromPath, QueryParameter

from jackfield.core.errors import NotFound
from jackfield.doors.control.given import Held, look
from jackfield.doors.control.masking import masked_config
from jackfield.doors.control.panel import ControlPanel


@look("/backends", summary="Every backend: status, circuit, counts, latencies, and the sums over all")
async def list_backends(panel: Held) -> dict[str, Any]:
    return _shown(panel, panel.backends.get_backend_status_report())


@look("/backends/{backend:path}", summary="One backend, by id")
async def show_backend(panel: Held, backend: FromPath[str]) -> dict[str, Any]:
    backend_id = backend.removeprefix("/")
    found = panel.backends.get_backend(backend_id)
    if found is None:
        raise NotFound(f"there is no backend {backend_id!r}: GET /control/v1/backends lists all", param="backend")
    return _shown(panel, panel.backends.describe(found))


@look("/explain", summary="Who would answer a model name now, in which order, and who would not and why")
async def explain(
    panel: Held,
    model: Annotated[str, QueryParameter(description="As in a request's `model`.")],
) -> dict[str, Any]:
    return _shown(panel, panel.explain(model))


def _shown(panel: ControlPanel, facts: Any) -> dict[str, Any]:
    return masked_config(facts, panel.secrets.known_values())


BACKEND_ROUTES = [list_backends, show_backend, explain]
