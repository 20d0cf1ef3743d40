"""Opens sockets: the gate's pinned addresses in turn, TLS on top, proxies in between. All within one connect timeout.

The only place of the request path that asks asyncio for a connection. Knows nothing of requests or pools.
"""

import asyncio
import ssl
from collections.abc import Callable

from jackfield.core.errors import AuthFailed, JackfieldError, Unavailable
from jackfield.transport import failures
from jackfield.transport.egress import Address, EgressGate
from jackfield.transport.endpoint import Endpoint
from jackfield.transport.host import bracketed
from jackfield.transport.http1_connection import Connection
from jackfield.transport.limit import Limits

TlsFor = Callable[[Endpoint], ssl.SSLContext]
_HANDSHAKE_S = 600.0  # never decides: the connect timeout around it does


class Connector:
    """Turns an endpoint into an open socket under a `Connection`."""

    def __init__(self, gate: EgressGate, limits: Limits, tls_for: TlsFor) -> None:
        self._gate = gate
        self._limits = limits
        self._tls_for = tls_for

    async def open(self, connection: Connection, timeout_s: float) -> None:
        """Gives `connection` its socket. Raises EgressDenied, TimedOut, Unavailable, Malformed; leaves nothing open then."""
        endpoint = connection.endpoint
        try:
            async with asyncio.timeout(timeout_s):
                await self._open(connection, timeout_s)
        except TimeoutError as exc:
            raise failures.connect_timed_out(endpoint, timeout_s) from exc
        except OSError as exc:
            raise failures.from_transport(exc, endpoint) from exc

    async def _open(self, connection: Connection, timeout_s: float) -> None:
        endpoint, loop = connection.endpoint, connection.loop
        if endpoint.unix_path is not None:
            await loop.create_unix_connection(lambda: connection, endpoint.unix_path)
            return
        if endpoint.proxy is not None:
            await self._open_through_proxy(connection, timeout_s)
            return
        tls = self._tls_for(endpoint) if endpoint.scheme == "https" else None
        addresses = await self._gate.addresses(endpoint.host, endpoint.port)
        await _try_each(lambda: connection, addresses, tls, endpoint.host, timeout_s)

    async def _open_through_proxy(self, connection: Connection, timeout_s: float) -> None:
        endpoint, proxy = connection.endpoint, connection.endpoint.proxy
        assert proxy is not None
        self._gate.check(endpoint.host)  # a proxy that may be reached is no way round a host that may not
        addresses = await self._gate.addresses(proxy.host, proxy.port)
        to_proxy = self._tls_for(endpoint) if proxy.scheme == "https" else None
        if endpoint.scheme == "http":
            await _try_each(lambda: connection, addresses, to_proxy, proxy.host, timeout_s)
            return
        tunnel = _Tunnel(endpoint, self._limits.header_bytes)
        transport = await _try_each(lambda: tunnel, addresses, to_proxy, proxy.host, timeout_s)
        try:
            await tunnel.established(transport)
            secured = await connection.loop.start_tls(
                transport,
                connection,
                self._tls_for(endpoint),
                server_hostname=endpoint.host,
                ssl_handshake_timeout=_HANDSHAKE_S,
            )
            if secured is None:
                raise ConnectionResetError
        except BaseException:
            transport.abort()
            raise
        connection.connection_made(secured)


async def _try_each(
    factory: Callable[[], asyncio.Protocol],
    addresses: list[Address],
    tls: ssl.SSLContext | None,
    server_name: str,
    timeout_s: float,
) -> asyncio.Transport:
    """Connects to the first address that answers, giving each its share of the time. Raises the first one's error."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    first_error: OSError | None = None
    for index, (family, sockaddr) in enumerate(addresses):
        share_s = (deadline - loop.time()) / (len(addresses) - index)
        try:
            async with asyncio.timeout(share_s):
                if tls is None:
                    transport, _ = await loop.create_connection(factory, sockaddr[0], sockaddr[1], family=family)
                else:
                    transport, _ = await loop.create_connection(
                        factory,
                        sockaddr[0],
                        sockaddr[1],
                        family=family,
                        ssl=tls,
                        server_hostname=server_name,
                        ssl_handshake_timeout=_HANDSHAKE_S,
                    )
                return transport
        except ssl.SSLError:
            raise  # somebody answered: another address of the same name would say the same
        except OSError as exc:
            first_error = first_error or exc
    assert first_error is not None
    raise first_error


class _Tunnel(asyncio.Protocol):
    """Asks an HTTP proxy for a way through (CONNECT) and reads the head of its answer."""

    def __init__(self, endpoint: Endpoint, header_bytes: int) -> None:
        self._endpoint = endpoint
        self._header_bytes = header_bytes
        self._answer = bytearray()
        self._result: asyncio.Future[JackfieldError | None] = asyncio.get_running_loop().create_future()

    async def established(self, transport: asyncio.Transport) -> None:
        proxy = self._endpoint.proxy
        assert proxy is not None
        target = f"{bracketed(self._endpoint.host)}:{self._endpoint.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        problem = await self._result
        if problem is not None:
            raise problem

    def data_received(self, data: bytes) -> None:
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        if end >= 0:
            self._settle(self._judge(bytes(self._answer[:end]), surplus=len(self._answer) > end + 4))
        elif len(self._answer) > self._header_bytes:
            self._settle(failures.malformed(self._endpoint, f"the proxy's headers exceed {self._header_bytes} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(Unavailable(f"the proxy {self._endpoint.proxy} closed the connection without an answer to CONNECT"))

    def _judge(self, head: bytes, *, surplus: bool) -> JackfieldError | None:
        words = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (len(words[1]) == 3 and words[1].isdigit()):
            return failures.malformed(self._endpoint, f"the proxy {self._endpoint.proxy} does not answer with HTTP/1")
        status = int(words[1])
        if status == 407:
            return AuthFailed(f"the proxy {self._endpoint.proxy} asks for credentials: write them into the proxy setting")
        if not 200 <= status < 300:
            return Unavailable(f"the proxy {self._endpoint.proxy} refused the way to {self._endpoint} (status {status})")
        if surplus:
            return failures.malformed(self._endpoint, f"the proxy {self._endpoint.proxy} sent bytes before the tunnel began")
        return None

    def _settle(self, problem: JackfieldError | None) -> None:
        if not self._result.done():
            self._result.set_result(problem)
