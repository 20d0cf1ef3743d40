"""Ways to the network for libraries that bring their own protocol: each opens what the gate pinned, and nothing else.

`gated_client` is an httpx2 client for those that want one, `gated_socket` a connected TCP socket for those that take that;
`shakes_hands` looks whether a WebSocket endpoint is there.
"""

import asyncio
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from jackfield.core.errors import JackfieldError, TimedOut
from jackfield.transport import failures
from jackfield.transport.egress import EgressGate
from jackfield.transport.endpoint import Endpoint
from jackfield.transport.host import bracketed

if TYPE_CHECKING:
    import httpx2

_HTTP = {"ws": "http", "wss": "https"}


async def gated_socket(gate: EgressGate, endpoint: Endpoint, timeout_s: float) -> socket.socket:
    """A socket connected to the first of the endpoint's addresses that takes it. The caller closes it.

    Raises EgressDenied, TimedOut, Unavailable.
    """
    loop = asyncio.get_running_loop()
    refused: OSError | None = None
    try:
        async with asyncio.timeout(timeout_s):
            for family, address in await gate.addresses(endpoint.host, endpoint.port):
                found = socket.socket(family, socket.SOCK_STREAM)
                try:
                    found.setblocking(False)
                    await loop.sock_connect(found, address)
                except OSError as exc:
                    found.close()
                    refused = refused or exc
                except BaseException:
                    found.close()
                    raise
                else:
                    return found
    except TimeoutError as exc:
        raise TimedOut(f"{endpoint} did not take a connection within {timeout_s:g} s") from exc
    assert refused is not None
    raise failures.from_transport(refused, endpoint) from refused


async def shakes_hands(gate: EgressGate, url: str, timeout_s: float) -> bool:
    """Whether a WebSocket endpoint takes connections: one handshake, and nothing said after it. Never raises for a bad one."""
    scheme, _, rest = url.partition("://")
    if scheme not in _HTTP:
        return False
    writer: asyncio.StreamWriter | None = None
    try:
        endpoint = Endpoint.parse(f"{_HTTP[scheme]}://{rest.partition('?')[0]}")
        async with asyncio.timeout(timeout_s):
            sock = await gated_socket(gate, endpoint, timeout_s)
            tls = ssl.create_default_context() if scheme == "wss" else None
            name = endpoint.host if tls is not None else None
            reader, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
            writer.write(
                f"GET /{rest.partition('/')[2]} HTTP/1.1\r\nhost: {endpoint.authority}\r\nupgrade: websocket\r\n"
                "connection: upgrade\r\nsec-websocket-version: 13\r\n"
                f"sec-websocket-key: {b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
            )
            return (await reader.readline()).startswith(b"HTTP/1.1 101")
    except (JackfieldError, TimeoutError, OSError):
        return False
    finally:
        if writer is not None:
            writer.close()


def gated_client(
    gate: EgressGate,
    *,
    headers: dict[str, str] | None = None,
    timeout_s: float = 60.0,
    on_status: Callable[[int], None] | None = None,
) -> "httpx2.AsyncClient":
    """An httpx2 client that resolves names through the gate, follows no redirect and reads no proxy from the environment.

    `on_status` hears the status of every answer, for libraries that do not tell it.
    """
    import httpx2

    class Gated(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: "httpx2.Request") -> "httpx2.Response":
            url = request.url
            port = url.port or (443 if url.scheme == "https" else 80)
            address = (await gate.addresses(url.host, port))[0][1][0]
            request.headers.setdefault("host", url.netloc.decode("ascii"))
            request.extensions = {**request.extensions, "sni_hostname": url.host}
            request.url = url.copy_with(host=bracketed(address).strip("[]"), port=port)
            response = await super().handle_async_request(request)
            if on_status is not None:
                on_status(response.status_code)
            return response

    return httpx2.AsyncClient(
        transport=Gated(trust_env=False), headers=headers, timeout=timeout_s, trust_env=False, follow_redirects=False
    )
