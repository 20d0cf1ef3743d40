"""What uvicorn leaves without a limit: how long and how large a request's head may be, and how long a client may not read.

Knows a connection's times and bytes, nothing of what is asked. One timer a connection, none a request.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_WITHIN_S = 20.0
HEAD_MAX_BYTES = 64 * 1024
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """A connection that is closed when nothing comes of it: no whole head in time, or an answer that nobody reads.

    While a request is being answered its handler sets the limits. Whoever parses calls `head_begins` and `head_ends`.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_in_head = False
        self._head_bytes = 0
        self._unread_bytes = 0
        self._idle_since: float | None = self.loop.time()
        self._patrol = self.loop.call_later(HEAD_WITHIN_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patrol.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
                self.transport.write(HEAD_TOO_LARGE)
                self.transport.close()

    def head_begins(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0

    def head_ends(self) -> None:
        self._is_in_head = False
        self._idle_since = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time() if self.cycle.response_complete else None

    def _look(self) -> None:
        self._patrol = self.loop.call_later(HEAD_WITHIN_S, self._look)
        if self._idle_since is None:
            return
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes and unread_bytes == self._unread_bytes:
            self.transport.abort()
        elif not unread_bytes and self.loop.time() - self._idle_since >= HEAD_WITHIN_S:
            self.transport.close()
        self._unread_bytes = unread_bytes
