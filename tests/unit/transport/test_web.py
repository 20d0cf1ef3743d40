"""The off-path client: the same gate, pinned addresses, no redirects, no proxies from the environment."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import pytest
import trustme

from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    EgressDenied,
    JackfieldError,
    Malformed,
    NotFound,
    RateLimited,
    TimedOut,
    Unavailable,
)
from jackfield.core.modes import OperatingMode
from jackfield.transport.egress import Address, EgressGate
from jackfield.transport.web import WebClient
from unit.transport.upstream import Script, Visit, answers, closed_port, listening

V4 = socket.AF_INET


def says(status: int, body: bytes, headers: bytes = b"") -> Script:
    return answers(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), headers, body))


@pytest.fixture
def web() -> WebClient:
    return WebClient(EgressGate())


def burst(*answer: Address) -> EgressGate:
    async def resolver(host: str, port: int) -> list[Address]:
        return [(family, (sockaddr[0], port)) for family, sockaddr in answer]

    return EgressGate(OperatingMode.BURST, {"p": ["prices.example", "api.example.com"]}, resolver=resolver)


async def test_json_is_fetched(web: WebClient) -> None:
    async with listening(says(200, b'{"btc": [1, 2]}')) as upstream:
        assert await web.get_json(f"{upstream.url}/v1/prices?page=2", {"x-key": "k"}) == {"btc": [1, 2]}
        request = upstream.requests[0]
        assert request.startswith(b"GET /v1/prices?page=2 HTTP/1.1\r\n")
        for line in (b"host: 127.0.0.1:%d" % upstream.port, b"x-key: k", b"accept-encoding: identity"):
            assert line in request.lower()


async def test_any_status_is_an_answer(web: WebClient) -> None:
    async with listening(says(418, b"short and stout", b"X-Pot: tea\r\n")) as upstream:
        reply = await web.request("POST", upstream.url, body=b"brew")
        assert (reply.status, reply.body, reply.header("x-pot"), reply.header("x-cup")) == (
            418,
            b"short and stout",
            "tea",
            None,
        )
        assert upstream.requests[0].endswith(b"brew")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthFailed), (403, AuthFailed), (404, NotFound), (429, RateLimited), (500, Unavailable), (400, Unavailable)],
)
async def test_json_needs_a_good_status(web: WebClient, status: int, kind: type[JackfieldError]) -> None:
    async with listening(says(status, b"{}")) as upstream:
        with pytest.raises(kind, match=rf"127\.0\.0\.1:{upstream.port}"):
            await web.get_json(f"{upstream.url}/secret-path")


async def test_what_is_not_json_is_malformed(web: WebClient) -> None:
    async with listening(says(200, b"<html>")) as upstream:
        with pytest.raises(Malformed, match="JSON"):
            await web.get_json(upstream.url)


@pytest.mark.behaviour("EGRESS-01")
async def test_redirects_are_not_followed(web: WebClient) -> None:
    async with listening(says(302, b"", b"Location: http://192.0.2.1/\r\n")) as upstream:
        reply = await web.request("GET", upstream.url)
        assert (reply.status, reply.header("location"), upstream.connections) == (302, "http://192.0.2.1/", 1)
        with pytest.raises(Unavailable, match="not followed"):
            await web.get_json(upstream.url)


@pytest.mark.behaviour("EGRESS-01")
async def test_proxies_of_the_environment_are_ignored(web: WebClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    async with listening(says(200, b"1")) as upstream:
        assert await web.get_json(upstream.url) == 1


@pytest.mark.behaviour("EGRESS-01")
@pytest.mark.parametrize("url", ["http://192.0.2.1/", "https://api.example.com/x", "http://0.0.0.0/", "http://[2001:db8::1]/"])
async def test_the_gate_is_asked(web: WebClient, url: str) -> None:
    with pytest.raises(EgressDenied):
        await web.get_json(url)


@pytest.mark.behaviour("EGRESS-01")
async def test_the_pinned_address_is_the_one_connected_to() -> None:
    web = WebClient(burst((V4, ("127.0.0.9", 0)), (V4, ("127.0.0.1", 0))))  # the first refuses
    async with listening(says(200, b"1")) as upstream:
        assert await web.get_json(f"http://prices.example:{upstream.port}/") == 1
        assert b"host: prices.example:%d" % upstream.port in upstream.requests[0].lower()


async def test_certificates_are_verified_by_name(authority: trustme.CA, own_certificate: trustme.LeafCert) -> None:
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own_certificate.configure_cert(server_tls)
    gate = burst((V4, ("127.0.0.1", 0)))
    async with listening(says(200, b"1"), tls=server_tls) as upstream:
        with pytest.raises(Unavailable, match="not trusted"):
            await WebClient(gate).get_json(f"https://api.example.com:{upstream.port}/")
        trusting = WebClient(gate, tls_context=trusting_only(authority))
        assert await trusting.get_json(f"https://api.example.com:{upstream.port}/") == 1
        with pytest.raises(Unavailable, match="not trusted"):
            await trusting.get_json(f"https://prices.example:{upstream.port}/")


def trusting_only(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return make


async def test_faults_are_core_errors(web: WebClient) -> None:
    port = closed_port()
    with pytest.raises(Unavailable, match=rf"is the server running on 127\.0\.0\.1:{port}\?"):
        await web.get_json(f"http://127.0.0.1:{port}/")
    async with listening(answers(b"garbage\r\n\r\n")) as upstream:
        with pytest.raises(Malformed):
            await web.get_json(upstream.url)
    async with listening(answers(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", then="close")) as upstream:
        with pytest.raises((Malformed, Unavailable)):
            await web.get_json(upstream.url)
    for url in ("nonsense", "ftp://x/", "http://a:b@localhost/", "http://local host/"):
        with pytest.raises(BadRequest):
            await web.get_json(url)


async def test_the_time_is_bounded_and_so_is_the_size() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.gone()

    async with listening(script) as upstream:
        with pytest.raises(TimedOut, match=r"within 0.1 s"):
            await WebClient(EgressGate()).get_json(upstream.url, timeout_s=0.1)
        await upstream.left()
    async with listening(says(200, b"a" * 5000)) as upstream:
        with pytest.raises(Malformed, match="larger than 1000 bytes"):
            await WebClient(EgressGate(), body_bytes=1000).get_json(upstream.url)


async def test_cancelling_closes_the_connection(web: WebClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.gone()

    async with listening(script) as upstream:
        asking = asyncio.create_task(web.get_json(upstream.url))
        while not upstream.requests:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await upstream.left()
