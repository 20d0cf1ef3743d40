"""What a tool's client is told: facts as JSON text and as structured content, or an error object, never a secret.

Every tool goes through `answering`, which knows no tool. Facts that are a list stand under "result" in the structured form,
which must be an object.
"""

import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Annotated, Any

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent

from jackfield.core.errors import JackfieldError
from jackfield.core.redaction import redact_error
from jackfield.dialects.openai_chat import encode_error
from jackfield.doors.mcp.panel import McpPanel
from jackfield.gateway.masking import without_secrets

Ctx = Context[McpPanel, Any]
Facts = dict[str, Any]
Tool = Callable[..., Awaitable[Any]]


class Refused(Exception):
    """An error with facts beside it, such as the values that would have been right."""

    def __init__(self, error: JackfieldError, **facts: Any) -> None:
        super().__init__(error.message)
        self.error = error
        self.facts = facts


def panel_of(ctx: Ctx) -> McpPanel:
    return ctx.request_context.lifespan_context


def key_name_of(ctx: Ctx) -> str:
    """Which of the gateway's keys the request showed; "" where none is asked for."""
    request = ctx.request_context.request
    return "" if request is None else str(request.scope.get("jackfield.key_name", ""))


def add_tools(server: "MCPServer[McpPanel]", *tools: Tool) -> None:
    """Tools by their functions' names; the docstring is what a client reads."""
    for tool in tools:
        server.add_tool(answering(tool))


def answering(tool: Tool) -> Callable[..., Awaitable[CallToolResult]]:
    """`tool`, which returns facts or raises a JackfieldError, as the SDK takes it."""

    @functools.wraps(tool)
    async def answered(*args: Any, **given: Any) -> CallToolResult:
        panel = panel_of(given["ctx"])
        try:
            return told(await tool(*args, **given), panel.known_secrets())
        except Refused as refused:
            return failed(refused.error, panel.known_secrets(), refused.facts)
        except JackfieldError as error:
            return failed(error, panel.known_secrets())

    returns = tool.__annotations__["return"]
    structured = returns if returns is Facts else dict[str, Any]
    answered.__annotations__ = {**tool.__annotations__, "return": Annotated[CallToolResult, structured]}
    return answered


def told(facts: Any, known: Collection[str]) -> CallToolResult:
    """Facts of a tool that did what it was asked."""
    return _result(facts, known, is_error=False)


def failed(error: JackfieldError, known: Collection[str], facts: Mapping[str, Any] | None = None) -> CallToolResult:
    """An error object: {"status": "error", "error": {message, type, code, status, ...}}, and `facts` beside it."""
    redact_error(error, known)
    said = msgspec.json.decode(encode_error(error))["error"]
    return _result({"status": "error", "error": {**said, "status": error.status}, **(facts or {})}, known, is_error=True)


def safe_json(facts: Any, known: Collection[str]) -> str:
    """`facts` as JSON text without any of the secrets."""
    return msgspec.json.encode(without_secrets(msgspec.to_builtins(facts), known)).decode()


def _result(facts: Any, known: Collection[str], *, is_error: bool) -> CallToolResult:
    text = safe_json(facts, known)
    plain = msgspec.json.decode(text)
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=plain if isinstance(plain, dict) else {"result": plain},
        is_error=is_error,
    )
