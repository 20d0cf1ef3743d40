"""Sources that a person named: other jackfields (peers) and WebSocket endpoints. Are they there?

Only addresses from the settings are looked at, each once and briefly, and through the egress gate: what may not be reached in
this operating mode is not asked, and says so. Sends no prompt.
"""

import asyncio

import msgspec

from jackfield.core.errors import EgressDenied, JackfieldError
from jackfield.transport.egress import EgressGate
from jackfield.transport.endpoint import Endpoint
from jackfield.transport.gated import shakes_hands
from jackfield.transport.http1 import HttpClient, Timeouts

WITHIN_S = 2.0
BODY_MAX_BYTES = 4 * 1024 * 1024
_TIMEOUTS = Timeouts(connect_s=WITHIN_S, first_byte_s=WITHIN_S, idle_s=WITHIN_S, total_s=WITHIN_S)


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
    found = await asyncio.gather(*(shakes_hands(gate, url, WITHIN_S) for url in urls))
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
