"""Uvicorn's WebSocket protocol, and what it leaves out: a client that does not read can still be let go.

Loaded with the first WebSocket: a gateway that is never asked for one does not pay for it. Knows a connection, no message.
"""

import asyncio
from typing import Any

from jackfield.core.errors import MissingExtra

try:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
except ImportError:
    raise MissingExtra("clients' WebSockets need the WebSocket library: pip install 'jackfield[ws]'") from None

CLOSE_WITHIN_S = 5.0


class GatewayWebSocket(WebSocketsSansIOProtocol):
    """What uvicorn is given for WebSockets. A client that is told to go has `CLOSE_WITHIN_S` to read so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.debug = False  # else keys and prompts would be written into a debug log
        self._last_call: asyncio.TimerHandle | None = None

    async def send(self, message: Any) -> None:
        """As uvicorn's, but a close does not wait until the client has read everything before it."""
        if message["type"] == "websocket.close" and self.handshake_complete:
            self._last_call = self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)
            self.writable.set()
        await super().send(message)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._last_call is not None:
            self._last_call.cancel()
        super().connection_lost(exc)
