"""Uvicorn's HTTP protocol, with an answer's head and first bytes leaving in one write instead of two.

Uvicorn writes a response's head as soon as it starts and the body right after: two system calls and often two packets for
every small answer. Here a head waits for what follows it within the same turn of the loop, and never longer.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = b"HTTP/1."


class JoiningTransport:
    """A transport that holds back a response head until the next write, or until the loop's next turn."""

    __slots__ = ("_flushing", "_held", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None
        self._flushing: asyncio.Handle | None = None
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        held = self._held
        if held is not None:
            self._let_go()
            self._transport.write(held + data)
        elif data.startswith(HEAD):
            self._held = data
            self._flushing = self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def _let_go(self) -> None:
        self._held = None
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None

    def _flush(self) -> None:
        held = self._held
        if held is not None:
            self._let_go()
            self._transport.write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._let_go()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """What uvicorn is given as its HTTP implementation."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
