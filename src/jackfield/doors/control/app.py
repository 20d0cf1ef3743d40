"""Puts the control door together: routes, the reading of requests, the answering of errors, the OpenAPI description.

The one file that decides how Litestar is set up: no debug pages, no CORS, no templates, no access to anything outside.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

import jackfield
from jackfield.doors.control.backend_routes import BACKEND_ROUTES
from jackfield.doors.control.discovered import Discovered
from jackfield.doors.control.event_routes import EVENT_ROUTES
from jackfield.doors.control.event_stream import EventStreams
from jackfield.doors.control.failures import MAX_BODY_BYTES, error_handler
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.question_routes import QUESTION_ROUTES
from jackfield.doors.control.reading import StrictRequest, refuse_unknown_query
from jackfield.doors.control.record_routes import RECORD_ROUTES
from jackfield.doors.control.slot_routes import SLOT_ROUTES
from jackfield.doors.control.source_routes import SOURCE_ROUTES
from jackfield.gateway.client import Receive, Scope, Send

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
PREFIX = "/control/v1"
QUERY_NAMES = frozenset({"limit", "model", "refresh"})


def create_control_app(panel: ControlPanel) -> ASGIApp:
    """The control door's app. It serves full paths (`/control/v1/...`) and needs no lifespan events."""
    streams = EventStreams(
        panel.registry.subscribe, panel.stopping, keep_alive_s=panel.keep_alive_s, max_listeners=panel.max_listeners
    )
    discovered = Discovered(panel.discover, panel.clock)
    app = Litestar(
        route_handlers=[
            Router(
                PREFIX,
                route_handlers=[*SLOT_ROUTES, *SOURCE_ROUTES, *BACKEND_ROUTES, *QUESTION_ROUTES, *EVENT_ROUTES, *RECORD_ROUTES],
            )
        ],
        dependencies={
            "panel": Provide(lambda: panel, sync_to_thread=False),
            "streams": Provide(lambda: streams, sync_to_thread=False),
            "discovered": Provide(lambda: discovered, sync_to_thread=False),
        },
        before_request=_check_query,
        exception_handlers={Exception: error_handler(panel.secrets.known_values)},
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        response_headers={"cache-control": "no-store"},
        openapi_config=_description(),
        logging_config=None,
        debug=False,
    )
    return cast("ASGIApp", app)


async def _check_query(request: Request[Any, Any, Any]) -> None:
    taken = request.route_handler.parsed_fn_signature.parameters
    refuse_unknown_query(request.query_params, [name for name in taken if name in QUERY_NAMES])


def _description() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="jackfield control",
        version=jackfield.__version__,
        description="The panel of slots over HTTP. Errors are OpenAI error objects.",
        path=f"{PREFIX}/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        use_handler_docstrings=False,
    )
