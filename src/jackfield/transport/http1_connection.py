"""One HTTP/1.1 connection and the answer that is being read from it: parsing, limits, back-pressure, timeouts, the cut.

Knows bytes and clocks of a single socket that is already open. It opens nothing, keeps no pool and never retries; those
are http1.py's. All limits of a connection share one timer, armed at most once per shortest limit, never per chunk.
"""

import asyncio
import select
import socket
import struct
import sys
from typing import Protocol, cast

import httptools

from jackfield.core.errors import Conflict, JackfieldError, Malformed
from jackfield.transport import failures
from jackfield.transport.endpoint import Endpoint, RequestHead
from jackfield.transport.limit import Limits, Timeouts

CROSSING_WITHIN_S = 0.05
_CLOCK_SLACK_S = 0.002
_WATCHED = frozenset({b"transfer-encoding", b"content-encoding"})
_FRAMED = frozenset({b"content-length", b"transfer-encoding"})
_TCP_INFO_BYTES = 232
_BYTES_ACKED = struct.Struct("@Q")
_BYTES_SENT_AND_RESENT = struct.Struct("@QQ")


class StaleConnection(Exception):
    """A kept connection turned out to have been closed before the request could reach the upstream: safe to send again."""


class Keeper(Protocol):
    """Who owns connections: told when one is free again, and when one is no more."""

    def keep(self, connection: "Connection") -> None: ...
    def forget(self, connection: "Connection") -> None: ...
    def gone(self, connection: "Connection") -> None: ...


class Response:
    """An answer whose head has arrived. Finished after `read` or an empty `chunk`; otherwise `close` it.

    Cancelling whoever waits in `read` or `chunk` cuts the connection at once.
    """

    __slots__ = (
        "_chunks", "_connection", "_done", "_reads_whole", "_size", "_too_large", "_waiter", "failure", "headers", "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.failure: Exception | None = None
        self._connection: Connection | None = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._done = False
        self._reads_whole = False
        self._too_large: Malformed | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Response {self.status}{' done' if self._done else ''}>"

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def read(self) -> bytes:
        """All of the body that has not been taken yet. Raises Malformed over `Limits.body_bytes`, and Upstream errors."""
        connection = self._connection
        if connection is not None:
            self._reads_whole = True
            connection.resume()
            while not self._done and self.failure is None:
                try:
                    await self.news()
                except BaseException:
                    self.close()
                    raise
        error = self.failure or self._too_large
        if error is not None:
            raise error
        return self._take()

    async def chunk(self) -> bytes:
        """What has arrived, as soon as anything has; b"" at the end. What came before a fault is given before it is raised."""
        while not self._chunks:
            if self.failure is not None:
                raise self.failure
            if self._done:
                return b""
            try:
                await self.news()
            except BaseException:
                self.close()
                raise
        connection = self._connection
        if connection is not None:
            connection.resume()
        return self._take()

    async def aclose(self) -> None:
        """Idempotent; same as `close`."""
        self.close()

    def close(self) -> None:
        """Cuts the connection at once unless the answer is already whole."""
        connection = self._connection
        if connection is not None:
            connection.fail(Conflict("the answer was closed before it was read to its end"))

    def news(self) -> asyncio.Future[None]:
        """Done as soon as something has changed: head, chunk, end, failure. For one waiter, who closes when cancelled."""
        connection = self._connection
        if connection is None or self._waiter is not None:
            raise Conflict("this answer is already being read by another task")
        waiter = self._waiter = connection.loop.create_future()
        return waiter

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._size = 0
        return data

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)


class Connection(asyncio.Protocol):
    """One socket. `send` writes a request and gives its answer-to-be; once that is whole the keeper has the socket back."""

    __slots__ = (
        "_closed", "_complete", "_fault", "_framing_bytes", "_heard_at", "_is_head", "_keep_alive", "_limits", "_parser",
        "_reading_paused", "_response", "_reused", "_sent_at", "_silent_since", "_surplus", "_timeouts", "_timer", "_timer_at",
        "_tls_fd", "_total_at", "_transport", "_unsent", "_writing_paused", "_written_bytes", "endpoint", "generation",
        "idle_since", "keeper", "loop",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, keeper: Keeper, limits: Limits, generation: int) -> None:
        self.endpoint = endpoint
        self.keeper = keeper
        self.generation = generation
        self.loop = asyncio.get_running_loop()
        self.idle_since = 0.0
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._response: Response | None = None
        self._timeouts = Timeouts()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._silent_since = 0.0
        self._sent_at = 0.0
        self._total_at = 0.0
        self._written_bytes = 0
        self._tls_fd = -1
        self._closed = False
        self._reused = False
        self._reading_paused = False
        self._writing_paused = False
        # of the answer that is being read:
        self._is_head = False
        self._heard_at = 0.0
        self._complete = False
        self._keep_alive = False
        self._surplus = False
        self._unsent = False
        self._framing_bytes = 0
        self._fault: Malformed | None = None

    @property
    def has_socket(self) -> bool:
        return self._transport is not None

    def is_usable(self) -> bool:
        """Whether an idle connection still seems to be alive.

        Under TLS the socket itself is asked: what it has to read can only be its end, and uvloop drops TLS sockets before
        `_never_arrived` could look at them.
        """
        if self._closed or self._transport is None or self._transport.is_closing():
            return False
        if self._tls_fd < 0:
            return True
        poll = select.poll()
        poll.register(self._tls_fd, select.POLLIN)
        return not poll.poll(0)

    # ---- the request

    def send(self, head: RequestHead, body: bytes, extra_headers: bytes, timeouts: Timeouts, started: float) -> Response:
        """Writes the request, of a large body only the head (`send_rest` follows). The answer fills as bytes come in.

        `started` (loop time) is when the total timeout began to count. What fails is told by `Response.failure`.
        """
        response = Response(self)
        transport = self._transport
        if transport is None or self._closed:
            response.failure = StaleConnection() if self._reused else self._no_answer(None)
            return response
        self._response = response
        self._is_head = head.is_head
        self._heard_at = 0.0
        self._complete = False
        self._framing_bytes = 0
        self._timeouts = timeouts
        self._total_at = started + timeouts.total_s
        self._sent_at = self._silent_since = now = started if self._reused else self.loop.time()
        if self._timer is None or self._timer_at > now + timeouts.shortest_s:
            self._arm(min(now + timeouts.shortest_s, self._total_at))
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        length = len(body)
        end = b"content-length: %d\r\n\r\n" % length if length or head.takes_body else b"\r\n"
        if length > self._limits.buffer_bytes:
            self._unsent = True
            body = b""
        request = b"".join((head.data, extra_headers, end, body))
        self._written_bytes += len(request)
        transport.write(request)
        return response

    async def send_rest(self, response: Response, body: bytes) -> None:
        """A body too large for one write goes out in slices, no faster than the upstream takes them."""
        if not self._unsent:
            return
        view = memoryview(body)
        step = max(self._limits.buffer_bytes, 1)
        for start in range(0, len(body), step):
            while self._writing_paused and not response.status and response.failure is None:
                await response.news()
            transport = self._transport
            if response.status or response.failure is not None or transport is None:
                return  # answered or failed before the whole request was taken: `_unsent` stays set
            self._silent_since = self.loop.time()
            self._written_bytes += min(step, len(body) - start)
            transport.write(view[start : start + step])
        self._unsent = False

    # ---- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's share no base class with asyncio's
        if self._closed:  # given up while it was being opened
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._limits.buffer_bytes)
        if self.endpoint.scheme == "https" and hasattr(select, "poll"):
            sock = transport.get_extra_info("socket")
            self._tls_fd = sock.fileno() if sock is not None else -1

    def data_received(self, data: bytes) -> None:
        response = self._response
        parser = self._parser
        if response is None or parser is None:
            self.abort()  # bytes nobody asked for: whatever follows could be taken for another request's answer
            return
        self._silent_since = self.loop.time()
        if not self._heard_at:
            if not data.startswith(b"HTTP/") and not b"HTTP/".startswith(data):
                self.fail(failures.not_http(self.endpoint, data))
                return
            self._heard_at = self._silent_since
        self._framing_bytes += len(data)
        size_before = response._size
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if not self._complete:
                self.fail(self._fault or failures.from_transport(exc, self.endpoint))
                return
            self._surplus = True
        if self._fault is not None:
            self.fail(self._fault)
        elif self._complete:
            self._finish(response)
        else:
            self._account(response, size_before)

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self._transport = None
        self.keeper.gone(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._silent_since = self.loop.time()
        if self._response is not None:
            self._response._wake()

    # ---- what the parser tells

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._response
        if response is None or response.status:
            return  # trailers, or a second answer that nobody asked for
        name = name.lower()
        response.headers.append((name, value))
        if name in _WATCHED:
            self._watch(response, name, value)

    def on_headers_complete(self) -> None:
        response, parser = self._response, self._parser
        if response is None or response.status or parser is None:
            return
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                self._fault = failures.malformed(self.endpoint, f"status {status} cannot answer this request")
            response.headers.clear()
            return
        response.status = status
        if self._framing_bytes > self._limits.header_bytes and _head_bytes(response.headers) > self._limits.header_bytes:
            self._fault = self._head_too_large()
        if self._is_head:
            self._complete = True
            self._keep_alive = parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        response = self._response
        if response is None or self._complete:
            self._surplus = True
            return
        response._chunks.append(data)
        response._size += len(data)

    def on_message_complete(self) -> None:
        response = self._response
        if response is not None and response.status and not self._complete and self._parser is not None:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()

    def _watch(self, response: Response, name: bytes, value: bytes) -> None:
        value = value.strip().lower()
        if name == b"content-encoding":
            if value not in (b"identity", b""):
                self._fault = failures.malformed(self.endpoint, "it compressed its answer although identity was asked for")
        elif value != b"chunked" or sum(key == name for key, _ in response.headers) > 1:
            self._fault = failures.malformed(self.endpoint, "it used a transfer-encoding other than chunked")

    # ---- the state between

    def _account(self, response: Response, size_before: int) -> None:
        """After a read that did not end the answer: limits, back-pressure, and a word to whoever waits."""
        limits = self._limits
        if response._size > size_before:
            self._framing_bytes = 0
            if response._reads_whole:
                if response._size > limits.body_bytes:
                    self.fail(self._body_too_large())
                return
            if response._size > limits.buffer_bytes and not self._reading_paused:
                self._pause()
        elif self._framing_bytes > limits.header_bytes:
            self.fail(self._head_too_large())
            return
        if response.status and not response._reads_whole:
            response._wake()

    def _finish(self, response: Response) -> None:
        if response._size > self._limits.body_bytes:
            response._too_large = self._body_too_large()
        response._done = True
        response._connection = None
        self._response = None
        if self._is_head or self._surplus:
            self._parser = None
        if self._keep_alive and not (self._surplus or self._unsent or self._writing_paused or self._closed):
            if self._reading_paused:
                self._unpause()
            self._reused = True
            self.idle_since = self._silent_since
            self.keeper.keep(self)
        else:
            self.abort()
        response._wake()

    def fail(self, error: Exception) -> None:
        """Ends the answer with `error` and cuts the connection."""
        response = self._response
        self._response = None
        if response is not None:
            response.failure = error
            response._connection = None
            response._wake()
        self.abort()

    def abort(self) -> None:
        """Closes the socket at once, without waiting for what is not yet written. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parser = None
        self.keeper.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def _ended(self, exc: Exception | None) -> None:
        response = self._response
        if response is None:
            self.abort()
        elif exc is None and response.status and not any(name in _FRAMED for name, _ in response.headers):
            self._complete = True  # a body without a length ends with the connection
            self._finish(response)
        else:
            self.fail(self._explain(exc))

    def _explain(self, exc: Exception | None) -> Exception:
        if self._heard_at:
            return failures.cut(self.endpoint, exc)
        if self._reused and (self._was_closing() or self._never_arrived(exc)):
            return StaleConnection()
        return self._no_answer(exc)

    def _no_answer(self, exc: Exception | None) -> Exception:
        return failures.from_transport(exc or ConnectionResetError(), self.endpoint)

    def _was_closing(self) -> bool:
        """Whether the upstream let go of the connection at the moment it was used again, without one byte of an answer.

        Some servers (llama.cpp's after a stream) close a kept connection without having said so. The request then crosses
        the close on the wire; a source that takes a request and fails at it needs longer than this.
        """
        return self.loop.time() - self._sent_at < CROSSING_WITHIN_S

    def _never_arrived(self, exc: Exception | None) -> bool:
        """Whether it is certain that the upstream did not get the whole request, so that sending it again is no second call.

        Certain are: the write was refused; the peer's end of stream does not acknowledge all that was sent; bytes never
        left this machine. A reset alone proves nothing, since it may overtake the acknowledgement.
        """
        if isinstance(exc, BrokenPipeError):
            return True
        counts = _tcp_counts(self._transport)
        if counts is None:
            return False
        sent, acknowledged = counts
        if exc is None:
            return sent > acknowledged
        return self._written_bytes > sent and self.endpoint.scheme == "http"

    def resume(self) -> None:
        """Reads on after back-pressure stopped it."""
        if self._reading_paused:
            self._silent_since = self.loop.time()
            self._unpause()

    def _pause(self) -> None:
        if self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _unpause(self) -> None:
        self._reading_paused = False
        if self._transport is not None:
            self._transport.resume_reading()

    def _head_too_large(self) -> Malformed:
        return failures.malformed(self.endpoint, f"its headers are larger than {self._limits.header_bytes} bytes")

    def _body_too_large(self) -> Malformed:
        return failures.malformed(self.endpoint, f"its answer is larger than {self._limits.body_bytes} bytes")

    # ---- the one timer

    def _arm(self, at: float) -> None:
        """Rings no later than the keeping time ends, so that nothing has to be armed when a connection becomes idle."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = min(at, self.loop.time() + self._limits.idle_keep_s)
        self._timer = self.loop.call_at(self._timer_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self.loop.time() + _CLOCK_SLACK_S
        if self._response is None:
            until = self.idle_since + self._limits.idle_keep_s
            if now >= until:
                self.abort()
            else:
                self._arm(until)
            return
        due = self._due_at()
        if now >= due:
            self.fail(self._timed_out(now))
        else:
            self._arm(min(due, now + self._timeouts.shortest_s))

    def _due_at(self) -> float:
        if self._reading_paused:
            return self._total_at  # it is our own reader who is slow
        if not self._heard_at:
            return min(self._silent_since + self._timeouts.first_byte_s, self._total_at)
        due = min(self._silent_since + self._timeouts.idle_s, self._total_at)
        return due if self._has_head() else min(due, self._head_due_at())

    def _has_head(self) -> bool:
        return self._response is not None and self._response.status > 0

    def _head_due_at(self) -> float:
        """A head that drips in, or one 1xx after the other, is no sign of life."""
        return self._heard_at + self._timeouts.first_byte_s

    def _timed_out(self, now: float) -> JackfieldError:
        if now >= self._total_at:
            return failures.total_timed_out(self.endpoint, self._timeouts.total_s)
        if self._heard_at:
            if not self._has_head() and now >= self._head_due_at():
                return failures.head_timed_out(self.endpoint, self._timeouts.first_byte_s)
            return failures.idle_timed_out(self.endpoint, self._timeouts.idle_s)
        return failures.first_byte_timed_out(self.endpoint, self._timeouts.first_byte_s)


def _head_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _tcp_counts(transport: asyncio.BaseTransport | None) -> tuple[int, int] | None:
    """Bytes sent and bytes acknowledged by the peer on this socket, as Linux counts them; None where nobody counts."""
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(info) < 216:
        return None
    (acknowledged,) = _BYTES_ACKED.unpack_from(info, 120)
    sent, resent = _BYTES_SENT_AND_RESENT.unpack_from(info, 200)
    if not acknowledged or not sent:
        return None  # kernels and emulations that do not count leave zeros
    return sent - resent, acknowledged - 1  # the handshake's SYN is acknowledged too, and is no byte of ours
