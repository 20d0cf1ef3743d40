"""What tests of the MCP door share: the official client on a gateway, and what a tool's answer says."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

from running_gateway import Gateway

REVISIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
BOTH = pytest.mark.parametrize("mode", list(REVISIONS), ids=list(REVISIONS.values()))


@asynccontextmanager
async def client_of(gateway: Gateway, mode: str = "auto", *, key: str | None = None, **options: Any) -> AsyncIterator[Client]:
    """The official client on /mcp, in the newest revision or by the older handshake."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    chosen: Any = mode
    async with (
        httpx2.AsyncClient(headers=headers, timeout=20, trust_env=False) as http,
        Client(streamable_http_client(f"{gateway.url}/mcp", http_client=http), mode=chosen, **options) as client,
    ):
        yield client


async def tell(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool told, from its text; its structured form must say the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    told = json.loads(text_of(result))
    assert result.structured_content == (told if isinstance(told, dict) else {"result": told})
    return told


async def refuse(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The error object of a tool that refused, with what stands beside it under "beside"."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    told = json.loads(text_of(result))
    assert result.structured_content == told
    assert told.pop("status") == "error"
    error: dict[str, Any] = told.pop("error")
    return {**error, "beside": told}


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if block.type == "text")


class Person:
    """Whoever answers a client's questions: accepts with yes or no, declines, or cancels. `asked` are the questions."""

    def __init__(self, answers: Iterable[str]) -> None:
        self.asked: list[str] = []
        self._answers = iter(answers)

    async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        answer = next(self._answers)
        if answer in ("yes", "no"):
            return ElicitResult(action="accept", content={"allow": answer == "yes"})
        kind: Any = answer
        return ElicitResult(action=kind)
