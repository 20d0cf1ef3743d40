"""MCP over stdin and stdout for a gateway that runs elsewhere: carries messages between stdio and its /mcp.

Understands only as much of them as HTTP must say in headers: whatever the gateway can do, a stdio client can.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from jackfield.core.modes import OperatingMode
from jackfield.transport.egress import EgressGate
from jackfield.transport.gated import gated_client

SILENCE_S = 660.0


async def bridged(url: str, key: str | None, host: str) -> None:
    """Carries messages to and from the /mcp of a gateway at `url` until stdin ends; its `host` and no other is reached.

    `key` is shown to it.
    """
    gate = EgressGate(OperatingMode.BURST, {"gateway": [host]})
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    stamps = _Stamps()
    async with (
        gated_client(gate, headers=headers, timeout_s=SILENCE_S) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (from_gateway, to_gateway),
        stdio_server() as (from_client, to_client),
    ):
        back = asyncio.create_task(_carry(stamps.seen(from_gateway), to_client), name="MCP answers")
        try:
            await _carry(stamps.stamped(from_client), to_gateway)
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)


async def _carry(messages: AsyncIterator[SessionMessage], to: Any) -> None:
    async for message in messages:
        await to.send(message)


class _Stamps:
    """Puts into headers what HTTP wants there. The older revision settles its version once, the newer says it each time."""

    def __init__(self) -> None:
        self._settled: str | None = None

    async def stamped(self, messages: AsyncIterator[SessionMessage | Exception]) -> AsyncIterator[SessionMessage]:
        """What a client says, without lines that are no messages."""
        async for message in messages:
            if isinstance(message, SessionMessage):
                headers = self._headers(message.message)
                yield SessionMessage(message.message, ClientMessageMetadata(headers=headers) if headers else None)

    async def seen(self, messages: AsyncIterator[SessionMessage | Exception]) -> AsyncIterator[SessionMessage]:
        """What the gateway says, unchanged; its answer to `initialize` is remembered."""
        async for message in messages:
            if isinstance(message, SessionMessage):
                said = message.message
                if isinstance(said, JSONRPCResponse) and "protocolVersion" in said.result:
                    self._settled = said.result["protocolVersion"]
                yield message

    def _headers(self, said: Any) -> dict[str, str]:
        if not isinstance(said, JSONRPCRequest | JSONRPCNotification) or said.method == "initialize":
            return {}
        params = said.params or {}
        version = (params.get("_meta") or {}).get(PROTOCOL_VERSION_META_KEY)
        if not isinstance(version, str):
            return {} if self._settled is None else {MCP_PROTOCOL_VERSION_HEADER: self._settled}
        headers = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: said.method}
        name = params.get(NAME_BEARING_METHODS.get(said.method, ""))
        return {**headers, MCP_NAME_HEADER: encode_header_value(name)} if isinstance(name, str) else headers
