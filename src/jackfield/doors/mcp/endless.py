"""Streams that a client listens to for as long as it likes: they end in order when the gateway stops.

The SDK ends such a stream when its client leaves, so that is what it is told; the client gets the stream's proper end.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from jackfield.gateway.client import Receive, Scope, Send


class Endless:
    """One such request. `serve` runs `app` on it until the client leaves or `stopping` is set."""

    def __init__(self, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self._receive = receive
        self._send = send
        self._stopping = stopping
        self._is_open = False

    async def serve(self, app: Any, scope: Scope) -> None:
        await app(scope, self._received, self._sent)
        if self._is_open and self._stopping.is_set():
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _received(self) -> MutableMapping[str, Any]:
        heard = asyncio.ensure_future(self._receive())
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({heard, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return heard.result() if heard.done() else {"type": "http.disconnect"}
        finally:
            heard.cancel()
            stopped.cancel()
            await asyncio.gather(heard, stopped, return_exceptions=True)

    async def _sent(self, message: MutableMapping[str, Any]) -> None:
        self._is_open = message["type"] == "http.response.start" or bool(message.get("more_body", False))
        await self._send(message)
