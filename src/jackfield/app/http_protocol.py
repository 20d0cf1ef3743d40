"""Uvicorn's HTTP protocol with a short way for data routes: from the parser to a handler and back in one write.

ASGI tells an application nothing of a client that left, makes a dict of every request and two calls of every answer; on
the request path that costs more than all of the gateway's own work. So a plain request becomes a `DirectClient` here, with
the same face as gateway/client.py's. Everything else (the control door, upgrades, odd targets) goes uvicorn's own way, and
so do keep-alive, pipelining, back-pressure and shutdown.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from jackfield.app.asgi import Root
from jackfield.app.connection_limits import LimitedProtocol
from jackfield.app.mounts import MOUNTED
from jackfield.core.errors import BodyTooLarge, TimedOut
from jackfield.gateway.client import BODY_WITHIN_S, NO_CONTENT, Client, Headers, declares_over, given_up, joined, too_large

Serve = Callable[["DirectClient"], Awaitable[None]]
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"connection: close\r\n"
# What a client may still send of a body that was refused before its connection is cut.
DISCARD_MAX_BYTES = 16 * 1024 * 1024


class _Deaf:
    """Stands in for the event that uvicorn's own cycle has; nobody waits for it here."""

    def set(self) -> None:
        """Nothing to wake."""


_DEAF = _Deaf()


class DirectClient:
    """One request on its connection. The parser's side is `feed`, `complete`, `lost`; the rest is for its handler."""

    __slots__ = (
        "_discarded",
        "_expects_continue",
        "_is_complete",
        "_is_http11",
        "_max_body_bytes",
        "_parts",
        "_patience_s",
        "_protocol",
        "_size",
        "_task",
        "_waiter",
        "disconnected",
        "has_ended",
        "has_started",
        "headers",
        "is_gone",
        "is_late",
        "keep_alive",
        "key_name",
        "last_chunk",
        "method",
        "path",
        "query",
    )
    message_event = _DEAF

    def __init__(
        self, protocol: "GatewayProtocol", method: str, path: str, query: bytes, is_http11: bool, keep_alive: bool
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = joined(protocol.headers)
        self.keep_alive = keep_alive
        self.key_name = ""
        self.last_chunk = b""
        self.has_started = False
        self.has_ended = False
        self.is_gone = False
        self.is_late = False
        self.disconnected = False
        self._protocol = protocol
        self._is_http11 = is_http11
        self._expects_continue = protocol.expect_100_continue
        self._max_body_bytes = protocol.max_body_bytes
        self._patience_s = protocol.patience_s
        self._parts: list[bytes] = []
        self._size = 0
        self._discarded = 0
        self._is_complete = False
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What uvicorn's protocol asks of the request that it is at

    @property
    def response_complete(self) -> bool:
        return self.has_ended

    # The parser's side

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if not self.has_ended and self._size <= self._max_body_bytes:
            self._parts.append(data)
            return
        self._parts.clear()
        self._discarded += len(data)
        if self._discarded > DISCARD_MAX_BYTES:
            self._protocol.transport.abort()
        self._wake()

    def complete(self) -> None:
        self._is_complete = True
        self._wake()

    def lost(self) -> None:
        """The connection is gone: whoever works for this client may stop."""
        self.is_gone = True
        if self._task is not None and not self.has_ended:
            self._task.cancel()

    def run(self, serve: Serve) -> "asyncio.Task[None]":
        self._protocol.running = self
        task = self._task = self._protocol.loop.create_task(cast("Any", serve(self)))
        task.add_done_callback(self._served)
        return task

    def _served(self, task: "asyncio.Task[None]") -> None:
        self._protocol.tasks.discard(task)
        if self._protocol.running is self:
            self._protocol.running = None
            self._protocol.let_go()
        if not task.cancelled() and task.exception() is not None:
            self._protocol.logger.error("a request handler failed", exc_info=task.exception())
        if not self.has_ended and not self.is_gone:
            self._protocol.transport.close()  # an end without an end: the client sees that the answer is not whole

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    # The handler's side

    async def body(self) -> bytes:
        """The whole request body. Raises BodyTooLarge; a body that trickles past `BODY_WITHIN_S` ends in TimedOut."""
        if declares_over(self.headers, self._max_body_bytes):
            raise self._too_large()
        if not self._is_complete:
            await self._rest_of_body()
        if self._size > self._max_body_bytes:
            raise self._too_large()
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _rest_of_body(self) -> None:
        loop = self._protocol.loop
        if self._expects_continue:
            self._protocol.transport.write(CONTINUE)
        timer = loop.call_later(BODY_WITHIN_S, self._give_up)
        try:
            while not self._is_complete and self._size <= self._max_body_bytes:
                self._waiter = loop.create_future()
                await self._waiter
        finally:
            timer.cancel()

    def _too_large(self) -> BodyTooLarge:
        return too_large(self._max_body_bytes)

    def _give_up(self) -> None:
        self.is_late = True
        if self._task is not None:
            self._task.cancel()

    def why_cancelled(self) -> TimedOut | None:
        """As gateway/client.py's: the error to answer with after `is_late`, None after `is_gone`."""
        if self._task is not None:
            self._task.uncancel()
        return None if self.is_gone else given_up()

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer in one write."""
        if status != NO_CONTENT:  # which has no length (RFC 9110, 8.6)
            headers.append((b"content-length", b"%d" % len(body)))
        self.has_started = True
        head = self._head(status, headers)
        self._protocol.transport.write(head if self.method == "HEAD" else head + body)
        self._finish()

    async def start(self, status: int, headers: Headers) -> None:
        self._begin(status, headers)

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        """Sends without waiting; a client that does not read gets nothing more."""
        if self.has_ended or self.is_gone or self._protocol.flow.write_paused:
            return
        if head is not None:
            self._begin(HTTPStatus.OK, head)
        self._send(chunk)

    def _begin(self, status: int, headers: Headers) -> None:
        self.has_started = True
        if self._is_http11:
            headers.append((b"transfer-encoding", b"chunked"))
        else:
            self.keep_alive = False
        self._protocol.transport.write(self._head(status, headers))

    async def write(self, chunk: bytes) -> None:
        """Sends on at once; waits while the client reads slower than we write, though not for ever."""
        protocol = self._protocol
        if protocol.flow.write_paused:
            try:
                async with asyncio.timeout(self._patience_s):
                    await protocol.flow.drain()
            except TimeoutError:
                self.is_gone = True
                protocol.transport.abort()  # closing it would wait for the client to read
                raise TimedOut(f"the client read nothing of its answer for {self._patience_s:g} s") from None
        self._send(chunk)

    def _send(self, chunk: bytes) -> None:
        self.last_chunk = chunk
        if self.method == "HEAD":
            return  # whatever came after the head would be read as the next answer
        self._protocol.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_http11 else chunk)

    async def end(self, chunk: bytes = b"") -> None:
        if self.is_gone:
            self.has_ended = True
            return
        if self.method != "HEAD":
            if self._is_http11:
                chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk) if chunk else b"0\r\n\r\n"
            self._protocol.transport.write(chunk)
        self._finish()

    def close(self) -> None:
        """Nothing is held: the connection tells when the client leaves."""

    def _head(self, status: int, headers: Headers) -> bytes:
        if self._expects_continue and not self._is_complete:
            self.keep_alive = False  # nobody knows whether the body will still come
        lines = [STATUS_LINES[status]]
        for name, value in self._protocol.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            lines.append(CLOSE)
        lines.append(b"\r\n")
        head = b"".join(lines)
        count = 3 - self.keep_alive + len(self._protocol.server_state.default_headers) + len(headers)
        if head.count(b"\n") != count or head.count(b"\r") != count:
            raise ValueError("a header of the answer holds a line break")
        return head

    def _finish(self) -> None:
        self.has_ended = True
        protocol = self._protocol
        protocol.on_response_complete()
        if not self.keep_alive:
            protocol.transport.close()


class GatewayProtocol(LimitedProtocol):
    """What uvicorn is given as its HTTP implementation; its `config.loaded_app` must be a Root."""

    cycle: Any  # uvicorn's own, or a DirectClient

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        root = cast("Root", self.app)
        self._serve: Serve = root.serve
        self.access_log = False  # whoever listens to that logger: its lines have queries in them, and so keys
        self.max_body_bytes = root.max_body_bytes
        self.patience_s = root.patience_s
        self.url = b""
        self.running: DirectClient | None = None
        self.is_lost = False

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.head_begins()

    def on_headers_complete(self) -> None:
        self.head_ends()
        path, query = _plain_target(self.url)
        parser = self.parser
        if path is None or path.startswith(MOUNTED) or parser.should_upgrade():
            self._the_long_way()
            return
        version = parser.get_http_version()
        is_http11 = version == "1.1"
        client = DirectClient(
            self, parser.get_method().decode("ascii"), path, query, is_http11, is_http11 and parser.should_keep_alive()
        )
        current = self.cycle
        self.cycle = client
        if current is None or current.response_complete:
            self.tasks.add(client.run(self._serve))
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _the_long_way(self) -> None:
        """As uvicorn does it: the scope that `on_message_begin` did not make, then an ASGI cycle."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers = self.scope["headers"] = headers
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Also the turn of a pipelined request."""
        if isinstance(cycle, DirectClient):
            self.tasks.add(cycle.run(self._serve))
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        current = self.cycle
        if type(current) is DirectClient:
            current.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        current = self.cycle
        if type(current) is DirectClient:
            current.complete()
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.running is not None:
            self.running.lost()
        self.pipeline.clear()  # what was asked ahead and never begun
        self.is_lost = True
        self.let_go()

    def let_go(self) -> None:
        """Once the connection is gone and nobody works for it: its last request and it hold each other, a cycle."""
        if self.is_lost and self.running is None and isinstance(self.cycle, DirectClient):
            self.cycle = None


def _plain_target(url: bytes) -> tuple[str | None, bytes]:
    """The decoded path of an ordinary target and its raw query; None for one without a plain path (absolute form, `*`)."""
    if not url.startswith(b"/"):
        return None, b""
    path, _, query = url.partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode("utf-8", "replace"), query


_is_client: type[Client] = DirectClient
