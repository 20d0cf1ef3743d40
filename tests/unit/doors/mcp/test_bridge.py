"""What HTTP wants in headers, from messages that came over stdin: each revision in its own way."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from jackfield.doors.mcp.bridge import _Stamps

NEWEST = {PROTOCOL_VERSION_META_KEY: "2026-07-28"}


def request(method: str, **params: Any) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params)


async def each(*messages: Any) -> AsyncIterator[Any]:
    for message in messages:
        yield message if isinstance(message, Exception) else SessionMessage(message)


async def headers_of(stamps: _Stamps, message: Any) -> dict[str, str] | None:
    (stamped,) = [stamped async for stamped in stamps.stamped(each(message))]
    assert stamped.message is message
    return stamped.metadata.headers if isinstance(stamped.metadata, ClientMessageMetadata) else None


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (request("tools/list", _meta=NEWEST), {"mcp-method": "tools/list"}),
        (request("tools/call", name="generate", _meta=NEWEST), {"mcp-method": "tools/call", "mcp-name": "generate"}),
        (request("resources/read", uri="jackfield://slots", _meta=NEWEST), {"mcp-method": "resources/read", "mcp-name": "jackfield://slots"}),
    ],
)  # fmt: skip
async def test_the_newest_revision_says_everything_each_time(message: Any, headers: dict[str, str]) -> None:
    assert await headers_of(_Stamps(), message) == {"mcp-protocol-version": "2026-07-28", **headers}


async def test_the_older_revision_is_settled_by_the_handshake() -> None:
    stamps = _Stamps()
    assert await headers_of(stamps, request("initialize", protocolVersion="2025-11-25")) is None
    assert await headers_of(stamps, request("tools/list")) is None
    said = (
        JSONRPCNotification(jsonrpc="2.0", method="notifications/progress", params={}),
        JSONRPCError.model_validate({"jsonrpc": "2.0", "id": 0, "error": {"code": -1, "message": "x"}}),
        JSONRPCResponse(jsonrpc="2.0", id=0, result={"protocolVersion": "2025-06-18"}),
    )
    assert tuple([message.message async for message in stamps.seen(each(*said))]) == said
    assert await headers_of(stamps, request("tools/list")) == {"mcp-protocol-version": "2025-06-18"}
    initialized = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
    assert await headers_of(stamps, initialized) == {"mcp-protocol-version": "2025-06-18"}


async def test_lines_that_are_no_messages_are_left_out() -> None:
    stamps = _Stamps()
    assert [message async for message in stamps.stamped(each(ValueError("no JSON")))] == []
    assert [message async for message in stamps.seen(each(ValueError("no JSON")))] == []
