"""The pooled HTTP/1.1 client of the request path: keep-alive, verified TLS, proxies, Unix sockets, one retry when stale.

Knows which connection a request goes out on. How bytes are read is http1_connection.py's, how sockets are opened
connecting.py's, and whether they may be opened egress.py's. It follows no redirect and knows no API.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable

from jackfield.core.errors import BadRequest, Conflict
from jackfield.transport.connecting import Connector
from jackfield.transport.egress import EgressGate
from jackfield.transport.endpoint import Endpoint, Proxy, RequestHead, encode_headers
from jackfield.transport.http1_connection import Connection, Response, StaleConnection
from jackfield.transport.limit import Limits, Timeouts

__all__ = ["Endpoint", "HttpClient", "Limits", "Proxy", "RequestHead", "Response", "Timeouts", "encode_headers"]

_log = logging.getLogger("jackfield.transport")
_DEFAULT_TIMEOUTS = Timeouts()
_FAREWELL_S = 2.0


class HttpClient:
    """Connections to any number of endpoints, kept between requests. Belongs to one event loop.

    `tls_context` replaces the system's trust store (a private certificate authority); it makes verified contexts only.
    """

    def __init__(
        self,
        gate: EgressGate,
        limits: Limits | None = None,
        *,
        tls_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._gate = gate
        self._limits = limits or Limits()
        self._generation = gate.generation
        self._connector = Connector(gate, self._limits, self._tls_for)
        self._make_tls_context = tls_context
        self._tls_contexts: dict[bool, ssl.SSLContext] = {}
        self._warned: set[str] = set()
        self._idle: dict[str, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._dying: set[Connection] = set()
        self._all_gone: asyncio.Event | None = None
        self._is_closed = False

    @property
    def idle_count(self) -> int:
        """Connections waiting to be used again."""
        return sum(map(len, self._idle.values()))

    @property
    def gate(self) -> EgressGate:
        """Who decides what it may reach; for those who reach out by other means."""
        return self._gate

    @property
    def open_count(self) -> int:
        """All connections: being opened, in use and idle."""
        return len(self._open)

    async def send(
        self,
        head: RequestHead,
        body: bytes = b"",
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        extra_headers: bytes = b"",
    ) -> Response:
        """Sends one request and returns once the head of its answer has come. `extra_headers` as `encode_headers` gives.

        Raises EgressDenied, TimedOut, Unavailable, Malformed, StreamBroken. A status of 400 or more is an answer like any
        other. The caller reads the answer to its end or closes it; being cancelled cuts the connection.
        """
        if extra_headers and (extra_headers[-2:] != b"\r\n" or b"\r\n\r\n" in extra_headers):
            raise BadRequest("extra headers must be whole lines: make them with encode_headers", param="headers")
        started = asyncio.get_running_loop().time()
        connection = self._take(head.pool_key)
        while True:
            if connection is None:
                connection = await self._connect(head.endpoint, timeouts)
            response = connection.send(head, body, extra_headers, timeouts, started)
            try:
                if len(body) > self._limits.buffer_bytes:
                    await connection.send_rest(response, body)
                while not response.status and response.failure is None:
                    await response.news()
            except BaseException:
                response.close()
                raise
            if response.failure is None:
                return response
            if not isinstance(response.failure, StaleConnection):
                raise response.failure
            connection = None  # closed by the upstream while it lay idle: once more, on a new connection

    async def aclose(self) -> None:
        """Cuts every connection, in use or not, and waits until the sockets are closed. Idempotent."""
        self._is_closed = True
        for connection in list(self._open):
            connection.fail(Conflict("the HTTP client was closed"))
        if self._dying:
            self._all_gone = asyncio.Event()
            try:
                async with asyncio.timeout(_FAREWELL_S):
                    await self._all_gone.wait()
            except TimeoutError:
                _log.warning("%d connections did not close within %g s", len(self._dying), _FAREWELL_S)

    def _take(self, pool_key: str) -> Connection | None:
        if self._generation != self._gate.generation:
            self._drop_idle()
        idle = self._idle.get(pool_key)
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    def _drop_idle(self) -> None:
        """The gate's answers have changed: no connection made under the old ones is used again."""
        self._generation = self._gate.generation
        for idle in list(self._idle.values()):
            for connection in list(idle):
                connection.abort()
        self._idle.clear()

    async def _connect(self, endpoint: Endpoint, timeouts: Timeouts) -> Connection:
        if self._is_closed:
            raise Conflict("the HTTP client is closed")
        connection = Connection(endpoint, self, self._limits, self._gate.generation)
        self._open.add(connection)
        try:
            await self._connector.open(connection, min(timeouts.connect_s, timeouts.total_s))
            if connection.generation != self._gate.generation:
                self._check_again(connection)
            if self._is_closed:
                raise Conflict("the HTTP client was closed")
        except BaseException:
            connection.abort()
            self._dying.discard(connection)  # whoever was opening it has closed it, and uvloop says no more about it
            raise
        return connection

    def _check_again(self, connection: Connection) -> None:
        """The gate changed while the connection was being opened."""
        for host in (connection.endpoint.host, connection.endpoint.proxy.host if connection.endpoint.proxy else None):
            if host is not None and connection.endpoint.unix_path is None:
                self._gate.check(host)
        connection.generation = self._gate.generation

    def _tls_for(self, endpoint: Endpoint) -> ssl.SSLContext:
        context = self._tls_contexts.get(endpoint.verify_tls)
        if context is None:
            context = self._make_tls_context()
            context.set_alpn_protocols(["http/1.1"])
            if not endpoint.verify_tls:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._tls_contexts[endpoint.verify_tls] = context
        if not endpoint.verify_tls and str(endpoint) not in self._warned:
            self._warned.add(str(endpoint))
            _log.warning(
                "TLS certificates of %s are not verified (verify_tls is off): whoever sits in between can read and change "
                "prompts and answers; trust the server's issuer on this machine instead",
                endpoint,
            )
        return context

    # ---- what connections tell (http1_connection.Keeper)

    def keep(self, connection: Connection) -> None:
        key = connection.endpoint.pool_key
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle[key] = []
        if len(idle) >= self._limits.max_idle_per_endpoint or connection.generation != self._gate.generation or self._is_closed:
            connection.abort()
            return
        idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection.has_socket:
            self._dying.add(connection)
        key = connection.endpoint.pool_key
        idle = self._idle.get(key)
        if idle is not None:
            if connection in idle:
                idle.remove(connection)
            if not idle:
                del self._idle[key]

    def gone(self, connection: Connection) -> None:
        self._dying.discard(connection)
        if not self._dying and self._all_gone is not None:
            self._all_gone.set()
