"""How sockets come to be: TLS, proxies, Unix sockets, several addresses, and what happens when none opens."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from jackfield.core.errors import AuthFailed, EgressDenied, Malformed, TimedOut, Unavailable, Upstream
from jackfield.core.modes import OperatingMode
from jackfield.transport.egress import Address, EgressGate
from jackfield.transport.http1 import Endpoint, HttpClient, Timeouts
from unit.transport.upstream import OK, PATIENCE_S, Visit, answer_all, closed_port, listening

V4, V6 = socket.AF_INET, socket.AF_INET6


async def ask(client: HttpClient, endpoint: Endpoint, timeouts: Timeouts | None = None) -> bytes:
    response = await client.send(endpoint.head("POST", "chat", {}), b"{}", timeouts or Timeouts())
    return await response.read()


@pytest.fixture
def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return make


@pytest.fixture
def server_tls(own_certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own_certificate.configure_cert(context)
    return context


@pytest.fixture
async def trusting_client(trusting: Callable[[], ssl.SSLContext]) -> AsyncIterator[HttpClient]:
    client = HttpClient(EgressGate(), tls_context=trusting)
    yield client
    await client.aclose()


def everywhere_here(mode: OperatingMode = OperatingMode.BURST) -> EgressGate:
    """A gate with consent for api.example.com and proxy.example, whose names both lead to this machine."""

    async def resolver(host: str, port: int) -> list[Address]:
        return [(V4, ("127.0.0.1", port))]

    return EgressGate(mode, {"p": ["api.example.com", "proxy.example"]}, resolver=resolver)


# ---- TLS


@pytest.mark.behaviour("SEC-06")
async def test_an_unknown_issuer_is_refused_by_default(client: HttpClient, server_tls: ssl.SSLContext) -> None:
    async with listening(answer_all, tls=server_tls) as upstream:
        with pytest.raises(Unavailable, match=r"certificate of https://127\.0\.0\.1:\d+ is not trusted .* verify_tls = false"):
            await ask(client, Endpoint.parse(upstream.url))
        assert upstream.requests == []
        assert client.open_count == 0


@pytest.mark.behaviour("SEC-06")
async def test_verification_can_be_left_off_for_one_endpoint_with_one_warning(
    client: HttpClient, server_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(answer_all, tls=server_tls) as upstream:
        unverified = Endpoint.parse(upstream.url, verify_tls=False)
        with caplog.at_level(logging.WARNING, "jackfield.transport"):
            assert await asyncio.gather(*(ask(client, unverified) for _ in range(3))) == [b"pong"] * 3
            assert upstream.connections == 3
        warnings = [record.getMessage() for record in caplog.records if record.name == "jackfield.transport"]
        assert len(warnings) == 1
        assert f"https://127.0.0.1:{upstream.port} are not verified" in warnings[0]
        with pytest.raises(Unavailable, match="not trusted"):
            await ask(client, Endpoint.parse(upstream.url))


@pytest.mark.behaviour("SEC-06")
async def test_a_verified_endpoint_never_rides_on_an_unverified_connection(
    client: HttpClient, server_tls: ssl.SSLContext
) -> None:
    async with listening(answer_all, tls=server_tls) as upstream:
        assert await ask(client, Endpoint.parse(upstream.url, verify_tls=False)) == b"pong"
        assert client.idle_count == 1
        with pytest.raises(Unavailable):
            await ask(client, Endpoint.parse(upstream.url))


async def test_a_trusted_certificate_is_accepted_and_kept(trusting_client: HttpClient, server_tls: ssl.SSLContext) -> None:
    async with listening(answer_all, tls=server_tls) as upstream:
        for _ in range(3):
            assert await ask(trusting_client, Endpoint.parse(upstream.url)) == b"pong"
        assert upstream.connections == 1


async def test_a_certificate_for_another_name_is_refused(
    trusting: Callable[[], ssl.SSLContext], server_tls: ssl.SSLContext
) -> None:
    client = HttpClient(EgressGate(), tls_context=trusting)
    async with listening(answer_all, tls=server_tls, host="127.0.0.2") as upstream:
        with pytest.raises(Unavailable, match="not trusted"):
            await ask(client, Endpoint.parse(upstream.url))
    await client.aclose()


async def test_the_name_is_verified_though_the_address_is_pinned(
    trusting: Callable[[], ssl.SSLContext], server_tls: ssl.SSLContext
) -> None:
    client = HttpClient(everywhere_here(), tls_context=trusting)
    async with listening(answer_all, tls=server_tls) as upstream:
        assert await ask(client, Endpoint.parse(f"https://api.example.com:{upstream.port}")) == b"pong"
        assert b"host: api.example.com" in upstream.requests[0]
        with pytest.raises(Unavailable, match="not trusted"):
            await ask(client, Endpoint.parse(f"https://proxy.example:{upstream.port}"))
    await client.aclose()


async def test_tls_towards_a_plain_server_is_explained(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(100)
        await visit.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(script) as upstream:
        with pytest.raises(Unavailable, match="write http://"):
            await ask(client, Endpoint.parse(f"https://127.0.0.1:{upstream.port}"))


async def test_a_plain_request_towards_tls_is_explained(client: HttpClient, server_tls: ssl.SSLContext) -> None:
    async with listening(answer_all, tls=server_tls) as upstream:
        with pytest.raises(Upstream) as caught:
            await ask(client, Endpoint.parse(f"http://127.0.0.1:{upstream.port}"))
        assert isinstance(caught.value, Unavailable) or "https://" in str(caught.value)


async def test_a_handshake_cut_short_is_unavailable(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(10)

    async with listening(script) as upstream:
        with pytest.raises(Unavailable):
            await ask(client, Endpoint.parse(f"https://127.0.0.1:{upstream.port}"))
        assert client.open_count == 0


async def test_large_bodies_both_ways_under_tls(trusting_client: HttpClient, server_tls: ssl.SSLContext) -> None:
    body = bytes(3_000_000)

    async def script(visit: Visit) -> None:
        while request := await visit.request():
            await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(request), request)

    async with listening(script, tls=server_tls) as upstream:
        endpoint = Endpoint.parse(upstream.url)
        response = await trusting_client.send(endpoint.head("POST", "echo", {}), body)
        size = 0
        while data := await response.chunk():
            size += len(data)
        assert size == len(upstream.requests[0])
        assert trusting_client.idle_count == 1


# ---- no connection


async def test_a_refused_connection_asks_whether_the_server_runs(client: HttpClient) -> None:
    port = closed_port()
    for url in (f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
        with pytest.raises(Unavailable, match=rf"is the server running on 127\.0\.0\.1:{port}\?"):
            await ask(client, Endpoint.parse(url))
    with pytest.raises(Unavailable, match=rf"is the server running on localhost:{port}\?"):
        await ask(client, Endpoint.parse(f"http://localhost:{port}"))
    assert client.open_count == 0


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        return [(V4, ("127.0.0.3", port)), (V4, ("127.0.0.1", port))]

    client = HttpClient(EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=resolver))
    async with listening(answer_all) as upstream:
        assert await ask(client, Endpoint.parse(f"http://api.example.com:{upstream.port}")) == b"pong"
    await client.aclose()


async def test_localhost_is_found_on_either_family(client: HttpClient) -> None:
    async with listening(answer_all, host="127.0.0.1") as upstream:
        assert await ask(client, Endpoint.parse(f"http://localhost:{upstream.port}")) == b"pong"


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A listener whose queue is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@pytest.mark.behaviour("HTTP1-02")
async def test_no_connection_in_time(client: HttpClient) -> None:
    with deaf_port() as port:
        with pytest.raises(TimedOut, match=rf"no connection to http://127\.0\.0\.1:{port} within 0.1 s \(connect timeout\)"):
            await ask(client, Endpoint.parse(f"http://127.0.0.1:{port}"), Timeouts(connect_s=0.1))
        assert client.open_count == 0


async def quiet(visit: Visit) -> None:
    await visit.gone()


@pytest.mark.behaviour("HTTP1-02")
async def test_a_handshake_without_an_end_is_a_connect_timeout(client: HttpClient) -> None:
    async with listening(quiet) as upstream:
        with pytest.raises(TimedOut, match="connect timeout"):
            await ask(client, Endpoint.parse(f"https://127.0.0.1:{upstream.port}"), Timeouts(connect_s=0.1))
        await upstream.left()
        assert client.open_count == 0


async def cancel_soon(doing: "asyncio.Task[Any]", client: HttpClient) -> None:
    await asyncio.sleep(0.05)
    assert client.open_count == 1
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert client.open_count == 0


@pytest.mark.behaviour("HTTP1-03")
async def test_cancelled_while_connecting(client: HttpClient) -> None:
    with deaf_port() as port:
        await cancel_soon(asyncio.create_task(ask(client, Endpoint.parse(f"http://127.0.0.1:{port}"))), client)


@pytest.mark.behaviour("HTTP1-03")
@pytest.mark.parametrize("way", ["handshake", "tunnel"])
async def test_cancelled_on_the_way_to_a_secure_connection(way: str) -> None:
    client = HttpClient(everywhere_here())
    async with listening(quiet) as upstream:
        here = f"127.0.0.1:{upstream.port}"
        endpoint = (
            Endpoint.parse(f"https://{here}")
            if way == "handshake"
            else Endpoint.parse("https://api.example.com", proxy=f"http://{here}")
        )
        await cancel_soon(asyncio.create_task(ask(client, endpoint)), client)
        await upstream.left()
    await client.aclose()


@pytest.mark.behaviour("HTTP1-03")
async def test_cancelled_while_resolving() -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        await asyncio.sleep(PATIENCE_S)
        return []

    client = HttpClient(EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=resolver))
    await cancel_soon(asyncio.create_task(ask(client, Endpoint.parse("http://api.example.com"))), client)


# ---- Unix sockets


async def test_unix_sockets_work_in_every_mode(tmp_path: Path) -> None:
    path = str(tmp_path / "llama.sock")
    async with listening(answer_all, unix_path=path) as upstream:
        for mode in OperatingMode:
            client = HttpClient(EgressGate(mode))
            for _ in range(2):
                assert await ask(client, Endpoint.parse(f"unix://{path}:/v1")) == b"pong"
            assert client.idle_count == 1
            await client.aclose()
        assert upstream.requests[0].startswith(b"POST /v1/chat HTTP/1.1\r\nhost: localhost\r\n")
        assert upstream.connections == len(OperatingMode)


async def test_a_missing_unix_socket_is_explained(client: HttpClient, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is the server running"):
        await ask(client, Endpoint.parse(f"unix://{tmp_path}/none.sock"))
    assert client.open_count == 0


# ---- proxies


class ProxyServer:
    """Forwards plain requests itself and tunnels CONNECT, both to whatever listens at `target_port` here."""

    def __init__(self, target_port: int, answer: bytes = b"HTTP/1.1 200 Established\r\nvia: x\r\n\r\n") -> None:
        self.target_port = target_port
        self.answer = answer
        self.heads: list[bytes] = []

    async def __call__(self, visit: Visit) -> None:
        head = await visit.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if not head.startswith(b"CONNECT "):
            await visit.send(OK)
            await visit.gone()
            return
        await visit.send(self.answer)
        if b" 200 " not in self.answer:
            await visit.gone()
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(visit.reader, writer))
                group.create_task(pump(reader, visit.writer))
        finally:
            writer.close()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def test_plain_targets_are_asked_for_by_whole_url() -> None:
    client = HttpClient(everywhere_here())
    proxy = ProxyServer(0)
    async with listening(proxy) as server:
        endpoint = Endpoint.parse("http://api.example.com/v1", proxy=f"http://ann:pw@127.0.0.1:{server.port}")
        assert await ask(client, endpoint) == b"pong"
    assert proxy.heads[0].startswith(b"POST http://api.example.com/v1/chat HTTP/1.1\r\nhost: api.example.com\r\n")
    assert b"proxy-authorization: Basic YW5uOnB3\r\n" in proxy.heads[0]
    await client.aclose()


@pytest.mark.parametrize("to_proxy", ["http", "https"])
async def test_secure_targets_are_tunnelled(
    trusting: Callable[[], ssl.SSLContext], server_tls: ssl.SSLContext, to_proxy: str
) -> None:
    client = HttpClient(everywhere_here(), tls_context=trusting)
    async with listening(answer_all, tls=server_tls) as upstream:
        proxy = ProxyServer(upstream.port)
        async with listening(proxy, tls=server_tls if to_proxy == "https" else None) as server:
            endpoint = Endpoint.parse("https://api.example.com/v1", proxy=f"{to_proxy}://ann:pw@127.0.0.1:{server.port}")
            for _ in range(3):
                assert await ask(client, endpoint) == b"pong"
            assert (server.connections, upstream.connections, client.idle_count) == (1, 1, 1)
            await client.aclose()
    assert proxy.heads == [
        b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\nproxy-authorization: Basic YW5uOnB3\r\n\r\n"
    ]
    assert upstream.requests[0].startswith(b"POST /v1/chat HTTP/1.1\r\nhost: api.example.com\r\n")
    assert b"proxy" not in upstream.requests[0]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 407 Auth\r\ncontent-length: 0\r\n\r\n", AuthFailed, "asks for credentials"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Unavailable, "status 502"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://x/\r\n\r\n", Unavailable, "status 302"),
        (b"SSH-2.0-x\r\n\r\n", Malformed, "does not answer with HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello before time", Malformed, "before the tunnel began"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, Malformed, "headers exceed"),
    ],
)
async def test_a_proxy_that_does_not_play_along(answer: bytes, kind: type[Exception], words: str) -> None:
    client = HttpClient(everywhere_here())
    async with listening(ProxyServer(closed_port(), answer)) as server:
        endpoint = Endpoint.parse("https://api.example.com", proxy=f"http://ann:hunter22@127.0.0.1:{server.port}")
        with pytest.raises(kind, match=words) as caught:
            await ask(client, endpoint)
        assert "hunter22" not in str(caught.value)
        assert client.open_count == 0
    await client.aclose()


async def test_a_proxy_that_hangs_up(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")

    client = HttpClient(everywhere_here())
    async with listening(script) as server:
        with pytest.raises(Unavailable, match="closed the connection without an answer to CONNECT"):
            await ask(client, Endpoint.parse("https://api.example.com", proxy=f"http://127.0.0.1:{server.port}"))
    with pytest.raises(Unavailable, match=r"proxy .* refused the connection"):
        await ask(client, Endpoint.parse("https://api.example.com", proxy=f"http://127.0.0.1:{closed_port()}"))
    await client.aclose()


async def test_the_targets_certificate_is_verified_through_a_proxy(client: HttpClient, server_tls: ssl.SSLContext) -> None:
    client = HttpClient(everywhere_here())
    async with listening(answer_all, tls=server_tls) as upstream, listening(ProxyServer(upstream.port)) as server:
        with pytest.raises(Unavailable, match="not trusted"):
            await ask(client, Endpoint.parse("https://api.example.com", proxy=f"http://127.0.0.1:{server.port}"))
        assert upstream.requests == []
    await client.aclose()


@pytest.mark.behaviour("EGRESS-01")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_no_way_round_the_gate(client: HttpClient, scheme: str) -> None:
    async with listening(answer_all) as server:
        near, far = f"http://127.0.0.1:{server.port}", "http://192.0.2.1:3128"
        for target, proxy in [("192.0.2.1", near), ("api.example.com", near), ("127.0.0.1", far), ("localhost", far)]:
            with pytest.raises(EgressDenied):
                await ask(client, Endpoint.parse(f"{scheme}://{target}", proxy=proxy))
        assert server.connections == 0


@pytest.mark.behaviour("EGRESS-01")
@pytest.mark.parametrize("url", ["http://192.0.2.1", "https://api.example.com", "http://0.0.0.0:1", "http://[2001:db8::1]"])
async def test_no_socket_is_opened_to_what_the_gate_refuses(client: HttpClient, url: str) -> None:
    with pytest.raises(EgressDenied):
        await ask(client, Endpoint.parse(url))
    assert client.open_count == 0
