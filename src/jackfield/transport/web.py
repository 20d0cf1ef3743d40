"""The client for everything off the request path: prices, listings, marketplaces. One request, one connection.

Goes through the same gate as the request path and connects only to addresses that the gate pinned. Follows no redirect,
reads no proxy from the environment, keeps no connection. httpx2 is loaded when first used, since it is slow to import.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from jackfield.core.errors import AuthFailed, JackfieldError, Malformed, NotFound, RateLimited, TimedOut, Unavailable
from jackfield.transport.egress import Address, EgressGate
from jackfield.transport.endpoint import Endpoint, encode_headers, split_target
from jackfield.transport.failures import from_transport, malformed
from jackfield.transport.host import bracketed

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class WebReply:
    """`headers` have lower-case names; `body` is whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class WebClient:
    """Asks other people's web servers, where the gate lets it. Certificates are always verified."""

    def __init__(
        self,
        gate: EgressGate,
        *,
        body_bytes: int = 32 * 1024 * 1024,
        tls_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._gate = gate
        self._body_bytes = body_bytes
        self._make_tls_context = tls_context
        self._tls: ssl.SSLContext | None = None

    async def get_json(self, url: str, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0) -> Any:
        """The JSON behind `url`. Raises like `request`, and a core error for any status but 2xx."""
        reply = await self.request("GET", url, headers=headers, timeout_s=timeout_s)
        endpoint, _ = split_target(url)
        if not 200 <= reply.status < 300:
            raise _status_error(endpoint, reply.status)
        try:
            return msgspec.json.decode(reply.body)
        except msgspec.DecodeError as exc:
            raise Malformed(f"{endpoint} did not answer with JSON: check the address in the settings") from exc

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> WebReply:
        """One request; any status is an answer, 3xx too. `timeout_s` covers all of it.

        Raises BadRequest, EgressDenied, TimedOut, Unavailable, Malformed.
        """
        endpoint, target = split_target(url)
        encode_headers(headers or {})  # the same refusals as on the request path
        try:
            async with asyncio.timeout(timeout_s):
                return await self._try_each(method, endpoint, target, headers or {}, body)
        except TimeoutError as exc:
            raise TimedOut(f"{endpoint} did not answer within {timeout_s:g} s: is it up, and is the network?") from exc

    async def _try_each(
        self, method: str, endpoint: Endpoint, target: str, headers: Mapping[str, str], body: bytes
    ) -> WebReply:
        import httpx2

        unreachable: httpx2.ConnectError | None = None
        for address in await self._gate.addresses(endpoint.host, endpoint.port):
            try:
                return await self._ask(method, endpoint, address, target, headers, body)
            except httpx2.ConnectError as exc:
                unreachable = unreachable or exc
            except httpx2.RemoteProtocolError as exc:
                raise malformed(endpoint, "its answer cannot be read as HTTP") from exc
            except httpx2.HTTPError as exc:
                raise _failure(exc, endpoint) from exc
        assert unreachable is not None
        raise _failure(unreachable, endpoint) from unreachable

    async def _ask(
        self, method: str, endpoint: Endpoint, address: Address, target: str, headers: Mapping[str, str], body: bytes
    ) -> WebReply:
        import httpx2

        # The URL names the pinned address; the server and its certificate are still asked for by name.
        url = f"{endpoint.scheme}://{bracketed(address[1][0])}:{endpoint.port}{target}"
        sent = {"host": endpoint.authority, "accept-encoding": "identity", "user-agent": "jackfield", **headers}
        tls: ssl.SSLContext | bool = self._tls_context() if endpoint.scheme == "https" else False
        async with (
            httpx2.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=None) as client,
            client.stream(method, url, headers=sent, content=body, extensions={"sni_hostname": endpoint.host}) as answer,
        ):
            return WebReply(answer.status_code, _lower(answer.headers.multi_items()), await self._read(answer, endpoint))

    async def _read(self, answer: "httpx2.Response", endpoint: Endpoint) -> bytes:
        whole = bytearray()
        async for piece in answer.aiter_raw():
            whole += piece
            if len(whole) > self._body_bytes:
                raise malformed(endpoint, f"its answer is larger than {self._body_bytes} bytes")
        return bytes(whole)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._make_tls_context()
        return self._tls


def _lower(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers)


def _failure(exc: BaseException, endpoint: Endpoint) -> JackfieldError:
    """The system's own exception lies below those of httpx2 and anyio: the deepest one says what happened."""
    deepest, below = exc, exc.__cause__ or exc.__context__
    while below is not None:
        if isinstance(below, OSError):
            deepest = below
        below = below.__cause__ or below.__context__
    return from_transport(deepest, endpoint)


def _status_error(endpoint: Endpoint, status: int) -> JackfieldError:
    if status in (401, 403):
        return AuthFailed(f"{endpoint} refused the request (status {status}): check the key that belongs to it")
    if status == 404:
        return NotFound(f"{endpoint} has nothing at that address (status 404): check it in the settings")
    if status == 429:
        return RateLimited(f"{endpoint} asks to slow down (status 429): try again later")
    if 300 <= status < 400:
        return Unavailable(f"{endpoint} redirects elsewhere (status {status}), which is not followed: write the final address")
    return Unavailable(f"{endpoint} answered with status {status}: try again later")
