"""The gateway's WebSocket as a test sees it: the official client, messages as plain JSON, every wait bounded."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from running_gateway import Gateway

WITHIN_S = 8.0


class Talk:
    """`told` is everything that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def hear(self, *kinds: str, **fields: Any) -> dict[str, Any]:
        """The next message of one of these kinds, and with these fields; others before it are only kept in `told`."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                self.told.append(message)
                fits = all(message.get(name) == value for name, value in fields.items())
                if fits and (not kinds or message["type"] in kinds):
                    return message

    async def ask(self, kind: str, *replies: str, **fields: Any) -> dict[str, Any]:
        await self.say(kind, **fields)
        return await self.hear(*replies)

    def pieces(self, request_id: Any) -> list[dict[str, Any]]:
        return [told for told in self.told if told["type"] == "inference_chunk" and told["request_id"] == request_id]


def address(gateway: Gateway, client: str = "me", query: str = "") -> str:
    return f"ws://127.0.0.1:{gateway.port}/ws/{client}{query}"


@contextlib.asynccontextmanager
async def talking(gateway: Gateway, client: str = "me", query: str = "", **options: Any) -> AsyncIterator[Talk]:
    """A connection that was welcomed."""
    async with connect(address(gateway, client, query), proxy=None, **options) as socket:
        talk = Talk(socket)
        await talk.hear("connection")
        yield talk
