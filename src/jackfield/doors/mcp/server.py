"""Makes the MCP server: every tool and resource of this door, and how what the SDK itself refuses is told.

Knows the SDK's server; what HTTP needs beside it is app.py's.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

import jackfield
from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.doors.mcp.answering import add_tools, failed
from jackfield.doors.mcp.backend_tools import BACKEND_TOOLS
from jackfield.doors.mcp.inference_tools import INFERENCE_TOOLS
from jackfield.doors.mcp.panel import McpPanel
from jackfield.doors.mcp.resources import Resources
from jackfield.doors.mcp.slot_tools import SLOT_TOOLS
from jackfield.doors.mcp.source_tools import SOURCE_TOOLS

INSTRUCTIONS = (
    "jackfield holds sources of inference in numbered slots. list_slots shows them, list_providers what can be plugged, "
    "plug_provider plugs it; invoke_slot asks one slot, route_inference_request whoever has a model. Costs are in satoshi."
)


def create_server(panel: McpPanel) -> "MCPServer[McpPanel]":
    """A server on `panel`. Opens nothing."""

    @asynccontextmanager
    async def held(_: "MCPServer[McpPanel]") -> AsyncIterator[McpPanel]:
        yield panel

    async def refusals_as_objects(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        try:
            result = await call_next(ctx)
        except ValueError as error:
            if ctx.method != "prompts/get":
                raise
            raise MCPError(INVALID_PARAMS, str(error)) from None  # the SDK takes an unknown prompt for a fault of ours
        return _as_object(result, panel) if ctx.method == "tools/call" and isinstance(result, dict) else result

    with _logging_left_alone():
        server: MCPServer[McpPanel] = MCPServer(
            "jackfield",
            title="jackfield",
            instructions=INSTRUCTIONS,
            version=jackfield.__version__,
            lifespan=held,
            middleware=[refusals_as_objects],
            subscriptions=False,
        )
    add_tools(server, *SLOT_TOOLS, *SOURCE_TOOLS, *BACKEND_TOOLS, *INFERENCE_TOOLS)
    Resources(panel).add_to(server)
    return server


async def serve_stdio(panel: McpPanel) -> None:
    """Serves `panel` over stdin and stdout until stdin ends."""
    await create_server(panel).run_stdio_async()


def _as_object(result: dict[str, Any], panel: McpPanel) -> dict[str, Any]:
    """What the SDK says in plain words (wrong arguments, an unknown tool, a fault of ours) as an error object."""
    if not result.get("isError") or "structuredContent" in result:
        return result
    said = " ".join(block.get("text", "") for block in result["content"])
    told = failed(_refusal(said), panel.known_secrets())
    return {**result, **told.model_dump(mode="json", by_alias=True, exclude_none=True)}


def _refusal(said: str) -> JackfieldError:
    _, marker, wrong = said.partition(": ")
    if said.startswith("Unknown tool"):
        return BadRequest(f"{said}: tools/list names all", code="unknown_tool")
    if not marker:
        return JackfieldError(f"{said}: the gateway's log says more")
    problems = _problems(wrong)
    told = "; ".join(f"{name}: {problem[:1].lower()}{problem[1:]}" for name, problem in problems)
    param = problems[0][0].partition(".")[0] if problems else None
    return BadRequest(f"arguments are wrong: {told or 'see the schema of the tool'}", param=param)


def _problems(said: str) -> list[tuple[str, str]]:
    """pydantic's words as (argument, problem), without the values that were given: one of them may be a key."""
    lines = (line.strip().partition(" [type=")[0] for line in said.splitlines()[1:])
    kept = [line for line in lines if line and not line.startswith("For further information")]
    return list(zip(kept[::2], kept[1::2], strict=False))


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """The SDK sets up the process's logging; what is logged here is for the app to say."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
