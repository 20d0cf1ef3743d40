"""Sources that a person named: other jackfields (peers) and WebSocket endpoints. Are they there?

Only addresses from the settings are looked at, each once and briefly, and through the egress gate: what may not be reached in
this operating mode is not asked, and says so. Sends no prompt.
"""

import asyncio
import os
from base64 import b64encode

import msgspec

from jackfield.core.errors import EgressDenied, JackfieldError
from jackfield.transport.egress import EgressGate
from jackfield.transport.endpoint import Endpoint
from jackfield.transport.gated import gated_socket
from jackfield.transport.http1 import HttpClient, Timeouts

WITHIN_S = 2.0
BODY_MAX_BYTES = 4 * 1024 * 1024
_TIMEOUTS = Timeouts(connect_s=WITHIN_S, first_byte_s=WITHIN_S, idle_s=WITHIN_S, total_s=WITHIN_S)
_HTTP = {"ws": "http", "wss": "https"}


class FoundPeer(msgspec.Struct, frozen=True):
    """Another jackfield, and what its slots are called."""

    url: str
    models: tuple[str, ...] = ()


class FoundSocket(msgspec.Struct, frozen=True):
    """An endpoint that takes WebSocket connections."""

    url: str


async def find_peers(http: HttpClient, urls: tuple[str, ...]) -> tuple[FoundPeer, ...]:
    """Those of the named addresses where a jackfield answers. Never raises for what is not there."""
    found = await asyncio.gather(*(_peer(http, url) for url in urls))
    return tuple(peer for peer in found if peer is not None)


async def find_sockets(gate: EgressGate, urls: tuple[str, ...]) -> tuple[FoundSocket, ...]:
    """Those of the named endpoints that shake hands. Never raises for what is not there."""
    found = await asyncio.gather(*(_shakes_hands(gate, url) for url in urls))
    return tuple(FoundSocket(url) for url, is_there in zip(urls, found, strict=True) if is_there)


async def _peer(http: HttpClient, url: str) -> FoundPeer | None:
    """Our own mark on the models tells a jackfield from any other server with OpenAI's API."""
    try:
        head = Endpoint.parse(url).head("GET", "v1/models", {"accept": "application/json"})
        reply = await http.send(head, b"", _TIMEOUTS)
        body = await reply.read() if reply.status == 200 else b""
        await reply.aclose()
    except (JackfieldError, EgressDenied):
        return None
    try:
        listed = msgspec.json.decode(body[:BODY_MAX_BYTES])["data"]
        names = tuple(str(each["id"]) for each in listed if "jackfield" in each)
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return FoundPeer(url, names) if names else None


async def _shakes_hands(gate: EgressGate, url: str) -> bool:
    scheme, _, rest = url.partition("://")
    if scheme not in _HTTP:
        return False
    writer: asyncio.StreamWriter | None = None
    try:
        endpoint = Endpoint.parse(f"{_HTTP[scheme]}://{rest.partition('?')[0]}")
        async with asyncio.timeout(WITHIN_S):
            sock = await gated_socket(gate, endpoint, WITHIN_S)
            tls = {"ssl": True, "server_hostname": endpoint.host} if scheme == "wss" else {}
            reader, writer = await asyncio.open_connection(sock=sock, **tls)  # type: ignore[arg-type]  # two shapes of options
            path = "/" + rest.partition("/")[2]
            writer.write(
                f"GET {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                f"sec-websocket-version: 13\r\nsec-websocket-key: {b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
            )
            return (await reader.readline()).startswith(b"HTTP/1.1 101")
    except (JackfieldError, TimeoutError, OSError):
        return False
    finally:
        if writer is not None:
            writer.close()
