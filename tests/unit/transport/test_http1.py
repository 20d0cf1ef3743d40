"""Which connection a request goes out on: reuse, the bound of the pool, the one retry, timeouts, cancellation, the gate."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

from jackfield.core.errors import BadRequest, Conflict, EgressDenied, StreamBroken, TimedOut, Unavailable
from jackfield.core.modes import OperatingMode
from jackfield.transport import http1_connection
from jackfield.transport.egress import Address, EgressGate
from jackfield.transport.http1 import Endpoint, HttpClient, Limits, RequestHead, Timeouts, encode_headers
from unit.transport.upstream import OK, PATIENCE_S, BlockingPeer, Script, Visit, answer_all, answers, blocking_peer, listening

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def post(url: str) -> RequestHead:
    return Endpoint.parse(url).head("POST", "chat", {"content-type": "application/json"})


async def ask(client: HttpClient, url: str, **options: Any) -> bytes:
    response = await client.send(post(url), b"{}", **options)
    return await response.read()


async def silence(visit: Visit) -> None:
    """Takes the request and never answers."""
    await visit.request()
    await visit.gone()


async def one_chunk_then_silence(visit: Visit) -> None:
    await visit.request()
    await visit.send(CHUNKED + b"3\r\none\r\n")
    await visit.gone()


# ---- what is sent


async def test_the_request_is_what_was_asked_for(client: HttpClient) -> None:
    async with listening(answer_all) as upstream:
        head = Endpoint.parse(f"{upstream.url}/v1").head("POST", "chat/completions", {"authorization": "Bearer k"})
        response = await client.send(head, b'{"a":1}', extra_headers=encode_headers({"x-request-id": "r7"}))
        await response.read()
        assert upstream.requests == [
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept-encoding: identity\r\n"
            b'user-agent: jackfield\r\nauthorization: Bearer k\r\nx-request-id: r7\r\ncontent-length: 7\r\n\r\n{"a":1}'
            % upstream.port
        ]


async def test_only_requests_with_a_body_have_a_length(client: HttpClient) -> None:
    async with listening(answer_all) as upstream:
        endpoint = Endpoint.parse(upstream.url)
        await (await client.send(endpoint.head("GET", "models", {}))).read()
        await (await client.send(endpoint.head("POST", "empty", {}))).read()
        assert b"content-length" not in upstream.requests[0]
        assert upstream.requests[1].endswith(b"content-length: 0\r\n\r\n")


@pytest.mark.parametrize("extra", [b"x: y", b"x: y\n", b"x: y\r\n\r\nGET / HTTP/1.1\r\n"])
async def test_extra_headers_must_be_whole_lines(client: HttpClient, extra: bytes) -> None:
    with pytest.raises(BadRequest):
        await client.send(post("http://127.0.0.1:1"), b"", extra_headers=extra)


# ---- keeping and sharing connections


@pytest.mark.behaviour("HTTP1-01")
async def test_requests_in_a_row_share_one_connection(client: HttpClient) -> None:
    async with listening(answer_all) as upstream:
        for _ in range(20):
            assert await ask(client, upstream.url) == b"pong"
        assert (upstream.connections, len(upstream.requests), client.idle_count) == (1, 20, 1)


async def test_paths_share_a_connection_and_endpoints_do_not(client: HttpClient) -> None:
    async with listening(answer_all) as one, listening(answer_all) as two:
        for url in (one.url, f"{one.url}/v1", two.url):
            await ask(client, url)
        assert (one.connections, two.connections, client.idle_count) == (1, 1, 2)


@pytest.mark.behaviour("HTTP1-01")
async def test_sixty_four_at_once(client: HttpClient) -> None:
    async with listening(answer_all) as upstream:

        async def some() -> None:
            for _ in range(10):
                assert await ask(client, upstream.url) == b"pong"

        async with asyncio.TaskGroup() as group:
            for _ in range(64):
                group.create_task(some())
        assert len(upstream.requests) == 640
        assert upstream.connections <= 64
        assert client.open_count == client.idle_count == upstream.connections


@pytest.mark.behaviour("HTTP1-01")
async def test_the_pool_has_a_bound() -> None:
    client = HttpClient(EgressGate(), Limits(max_idle_per_endpoint=3))
    together = asyncio.Barrier(8)

    async def script(visit: Visit) -> None:
        while await visit.request():
            await together.wait()
            await visit.send(OK)

    async with listening(script) as upstream:
        await asyncio.gather(*(ask(client, upstream.url) for _ in range(8)))
        assert (upstream.connections, client.idle_count, client.open_count) == (8, 3, 3)
        await client.aclose()


async def test_an_answer_that_was_left_unread_is_not_kept(client: HttpClient) -> None:
    async with listening(one_chunk_then_silence) as upstream:
        response = await client.send(post(upstream.url), b"{}")
        await response.aclose()
        await response.aclose()
        await upstream.left()
        assert client.open_count == 0
        with pytest.raises(Conflict):
            await response.read()


async def test_idle_connections_are_closed_after_a_while() -> None:
    client = HttpClient(EgressGate(), Limits(idle_keep_s=0.05))
    async with listening(silent_after(1)) as upstream:
        await ask(client, upstream.url)
        assert client.idle_count == 1
        await upstream.left()
        assert client.open_count == 0
    await client.aclose()


async def test_an_idle_connection_that_the_upstream_closed_is_dropped(client: HttpClient) -> None:
    async with listening(answers(OK, then="close")) as upstream:
        await ask(client, upstream.url)
        async with asyncio.timeout(PATIENCE_S):
            while client.open_count:
                await asyncio.sleep(0.001)
        assert await ask(client, upstream.url) == b"pong"
        assert upstream.connections == 2


async def test_a_closed_client_says_so_and_cuts_everything(client: HttpClient) -> None:
    async with listening(one_chunk_then_silence) as upstream:
        response = await client.send(post(upstream.url), b"{}")
        waiting = asyncio.create_task(ask(client, upstream.url))
        async with asyncio.timeout(PATIENCE_S):
            while upstream.connections < 2:
                await asyncio.sleep(0)
        await client.aclose()
        await client.aclose()
        assert client.open_count == 0
        for doing in (waiting, response.read(), ask(client, upstream.url)):
            with pytest.raises(Conflict):
                await doing


async def test_a_client_closed_while_connecting_leaves_nothing_open() -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        await client.aclose()
        return [(socket.AF_INET, ("127.0.0.1", port))]

    client = HttpClient(EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=resolver))
    async with listening(silence) as upstream:
        with pytest.raises(Conflict, match="closed"):
            await ask(client, f"http://api.example.com:{upstream.port}")
        await upstream.left()
        assert (client.open_count, upstream.requests) == (0, [])


# ---- stale connections


def play_stale(close: str) -> Any:
    """The first connection answers once and is closed while idle; the second one answers."""

    def play(peer: BlockingPeer) -> None:
        first = peer.accept()
        peer.take(first)
        first.sendall(OK)
        peer.cue.wait(PATIENCE_S)
        if close == "reset":
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.close()
        peer.done.set()
        second = peer.accept()
        peer.take(second)
        second.sendall(OK)
        peer.done.wait(PATIENCE_S)

    return play


def close_while_idle(peer: BlockingPeer) -> None:
    """The loop stands still meanwhile, so the client cannot have noticed before it writes."""
    peer.cue.set()
    assert peer.done.wait(PATIENCE_S)


@pytest.mark.behaviour("HTTP1-04")
@pytest.mark.parametrize("close", ["end", "reset"])
async def test_a_connection_closed_while_idle_costs_one_more_try(client: HttpClient, close: str) -> None:
    with blocking_peer(play_stale(close)) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        assert await ask(client, url) == b"pong"
        close_while_idle(peer)
        assert await ask(client, url) == b"pong"
        assert (peer.accepted, peer.requests) == (2, 2)
        await client.aclose()


@pytest.mark.behaviour("HTTP1-04")
async def test_stale_connections_under_tls_too(authority: trustme.CA, own_certificate: trustme.LeafCert) -> None:
    client = HttpClient(EgressGate(), tls_context=trusting(authority))
    with blocking_peer(play_stale("end"), server_tls(own_certificate)) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        assert await ask(client, url) == b"pong"
        close_while_idle(peer)
        assert await ask(client, url) == b"pong"
        assert (peer.accepted, peer.requests) == (2, 2)
        await client.aclose()


@pytest.mark.behaviour("HTTP1-04")
async def test_the_second_try_is_the_last(client: HttpClient) -> None:
    def play(peer: BlockingPeer) -> None:
        first = peer.accept()
        peer.take(first)
        first.sendall(OK)
        peer.cue.wait(PATIENCE_S)
        first.close()
        peer.done.set()
        while True:
            peer.accept().close()

    with blocking_peer(play) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        await ask(client, url)
        close_while_idle(peer)
        with pytest.raises(Unavailable):
            await ask(client, url)
        assert peer.accepted == 2


@pytest.mark.behaviour("HTTP1-04")
@pytest.mark.parametrize("end", ["close", "reset", "one byte"])
async def test_a_request_that_was_taken_is_never_sent_again(
    client: HttpClient, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1_connection, "CROSSING_WITHIN_S", 0.0)  # as if the source had worked on it for a while

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        if end == "one byte":
            await visit.send(b"H")
        if end == "reset":
            visit.reset()

    async with listening(script) as upstream:
        await ask(client, upstream.url)
        with pytest.raises(StreamBroken if end == "one byte" else Unavailable):
            await ask(client, upstream.url)
        assert (upstream.connections, len(upstream.requests), client.open_count) == (1, 2, 0)


@pytest.mark.behaviour("HTTP1-04")
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_close_that_crosses_the_request_costs_one_more_try(client: HttpClient, end: str) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        if end == "reset":
            visit.reset()

    async with listening(script) as upstream:
        await ask(client, upstream.url)
        assert await ask(client, upstream.url) == b"pong"
        assert upstream.connections == 2


@pytest.mark.behaviour("HTTP1-04")
async def test_half_an_answer_is_never_asked_for_twice(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK")

    async with listening(script) as upstream:
        await ask(client, upstream.url)
        with pytest.raises(StreamBroken):
            await ask(client, upstream.url)
        assert upstream.connections == 1


async def test_a_new_connection_is_never_tried_twice(client: HttpClient) -> None:
    async with listening(answers(then="close")) as upstream:
        with pytest.raises(Unavailable):
            await ask(client, upstream.url)
        assert upstream.connections == 1


# ---- the four timeouts


def silent_after(count: int) -> Script:
    async def script(visit: Visit) -> None:
        for _ in range(count):
            await visit.request()
            await visit.send(OK)
        await visit.gone()

    return script


@pytest.mark.behaviour("HTTP1-02")
async def test_no_first_byte_in_time(client: HttpClient) -> None:
    async with listening(silence) as upstream:
        with pytest.raises(TimedOut, match=rf"127\.0\.0\.1:{upstream.port} sent no first byte within 0.05 s"):
            await ask(client, upstream.url, timeouts=Timeouts(first_byte_s=0.05))
        await upstream.left()
        assert client.open_count == 0


@pytest.mark.behaviour("HTTP1-02")
@pytest.mark.parametrize("start", [CHUNKED + b"3\r\none\r\n", CHUNKED, b"HTTP/1.1 200"])
async def test_silence_in_the_middle(client: HttpClient, start: bytes) -> None:
    async with listening(answers(start)) as upstream:
        with pytest.raises(TimedOut, match=r"fell silent for 0.05 s .*\(idle timeout\)"):
            await ask(client, upstream.url, timeouts=Timeouts(idle_s=0.05))
        assert client.open_count == 0


@pytest.mark.behaviour("HTTP1-02")
async def test_no_end_in_time(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        while True:
            await visit.send(b"1\r\na\r\n")
            await asyncio.sleep(0.01)

    async with listening(script) as upstream:
        with pytest.raises(TimedOut, match=r"did not finish within 0.15 s \(total timeout\)"):
            await ask(client, upstream.url, timeouts=Timeouts(idle_s=0.1, total_s=0.15))
        assert client.open_count == 0


async def test_the_first_byte_may_take_longer_than_a_pause(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await asyncio.sleep(0.15)
        await visit.send(OK)
        await visit.gone()

    async with listening(script) as upstream:
        assert await ask(client, upstream.url, timeouts=Timeouts(idle_s=0.05, first_byte_s=5)) == b"pong"


async def test_chunks_that_keep_coming_are_never_too_late(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        for _ in range(20):
            await visit.send(b"1\r\na\r\n")
            await asyncio.sleep(0.02)
        await visit.send(b"0\r\n\r\n")
        await visit.gone()

    async with listening(script) as upstream:
        assert await ask(client, upstream.url, timeouts=Timeouts(first_byte_s=0.2, idle_s=0.2)) == b"a" * 20


async def test_a_shorter_limit_on_a_kept_connection_counts(client: HttpClient) -> None:
    async with listening(silent_after(1)) as upstream:
        await ask(client, upstream.url)
        with pytest.raises(TimedOut):
            await ask(client, upstream.url, timeouts=Timeouts(first_byte_s=0.05))
        assert (upstream.connections, client.open_count) == (1, 0)


async def test_a_slow_reader_is_not_the_upstreams_silence(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n", bytes(20_000_000))
        await visit.gone()

    async with listening(script) as upstream:
        response = await client.send(post(upstream.url), b"{}", Timeouts(idle_s=0.1))
        await asyncio.sleep(0.3)
        assert len(await response.read()) == 20_000_000


async def test_an_upload_that_nobody_takes_ends(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(PATIENCE_S)

    async with listening(script) as upstream:
        with pytest.raises(TimedOut, match="first byte"):
            await client.send(post(upstream.url), bytes(32 * 1024 * 1024), Timeouts(first_byte_s=0.1))
        assert client.open_count == 0


# ---- cancellation


async def cancelled(doing: asyncio.Task[Any], client: HttpClient) -> None:
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert client.open_count == 0


@pytest.mark.behaviour("HTTP1-03")
async def test_cancelled_while_waiting_for_the_first_byte(client: HttpClient) -> None:
    async with listening(silence) as upstream:
        asking = asyncio.create_task(ask(client, upstream.url))
        async with asyncio.timeout(PATIENCE_S):
            while not upstream.requests:
                await asyncio.sleep(0)
        await cancelled(asking, client)
        await upstream.left()


@pytest.mark.behaviour("HTTP1-03")
@pytest.mark.parametrize("reads", ["whole", "chunks"])
async def test_cancelled_in_the_middle_of_the_body(client: HttpClient, reads: str) -> None:
    async with listening(one_chunk_then_silence) as upstream:
        response = await client.send(post(upstream.url), b"{}")
        assert await response.chunk() == b"one"
        reading = asyncio.create_task(response.read() if reads == "whole" else response.chunk())
        await asyncio.sleep(0.01)
        await cancelled(reading, client)
        await upstream.left()


@pytest.mark.behaviour("HTTP1-03")
async def test_cancelled_while_uploading(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        started.set()
        await go_on.wait()
        await visit.gone()

    started, go_on = asyncio.Event(), asyncio.Event()
    async with listening(script) as upstream:
        asking = asyncio.create_task(client.send(post(upstream.url), bytes(32 * 1024 * 1024)))
        await started.wait()
        await cancelled(asking, client)
        go_on.set()
        await upstream.left()


@pytest.mark.behaviour("HTTP1-03")
async def test_cancelled_in_the_very_turn_the_answer_came(client: HttpClient) -> None:
    async with listening(answers(CHUNKED)) as upstream:
        for turns in range(12):
            asking = asyncio.create_task(client.send(post(upstream.url), b"{}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            try:
                response = await asking
            except asyncio.CancelledError:
                pass
            else:
                response.close()
            assert client.open_count == 0


# ---- the gate


class Resolver:
    """Resolves every name to this machine, as a hosts file might."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked += 1
        return [(socket.AF_INET, ("127.0.0.1", port))]


@pytest.fixture
async def burst() -> AsyncIterator[tuple[EgressGate, HttpClient, Resolver]]:
    resolver = Resolver()
    gate = EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=resolver)
    client = HttpClient(gate)
    yield gate, client, resolver
    await client.aclose()


@pytest.mark.behaviour("EGRESS-01")
@pytest.mark.parametrize("change", ["revoke", "local_only", "airgapped"])
async def test_a_kept_connection_is_no_way_round_the_gate(burst: tuple[EgressGate, HttpClient, Resolver], change: str) -> None:
    gate, client, resolver = burst
    async with listening(answer_all) as upstream:
        url = f"http://api.example.com:{upstream.port}"
        await ask(client, url)
        await ask(client, url)
        assert (resolver.asked, upstream.connections) == (1, 1)
        if change == "revoke":
            gate.revoke("p")
        else:
            gate.set_mode(OperatingMode(change))
        with pytest.raises(EgressDenied):
            await ask(client, url)
        assert (len(upstream.requests), client.open_count) == (2, 0)


@pytest.mark.behaviour("EGRESS-01")
async def test_an_answer_begun_before_the_gate_closed_gives_back_no_connection(
    burst: tuple[EgressGate, HttpClient, Resolver],
) -> None:
    gate, client, _ = burst
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        while await visit.request():
            await visit.send(CHUNKED)
            await go_on.wait()
            await visit.send(b"0\r\n\r\n")

    async with listening(script) as upstream:
        response = await client.send(post(f"http://api.example.com:{upstream.port}"), b"{}")
        gate.revoke("p")
        go_on.set()
        await response.read()
        assert client.open_count == 0


@pytest.mark.behaviour("EGRESS-01")
async def test_a_gate_closed_while_connecting_counts() -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        asyncio.get_running_loop().call_soon(gate.set_mode, OperatingMode.LOCAL_ONLY)
        return [(socket.AF_INET, ("127.0.0.1", port))]

    gate = EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=resolver)
    client = HttpClient(gate)
    async with listening(answer_all) as upstream:
        with pytest.raises(EgressDenied):
            await ask(client, f"http://api.example.com:{upstream.port}")
        assert upstream.requests == []
        assert client.open_count == 0
    await client.aclose()


@pytest.mark.behaviour("EGRESS-01")
async def test_a_redirect_is_an_answer_and_is_not_followed(client: HttpClient) -> None:
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://192.0.2.1/v1\r\ncontent-length: 0\r\n\r\n"
    async with listening(answers(moved)) as upstream:
        response = await client.send(post(upstream.url), b"{}")
        assert (response.status, response.header(b"location")) == (307, b"http://192.0.2.1/v1")
        assert upstream.connections == client.open_count == 1


def trusting(authority: trustme.CA) -> Any:
    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return make


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
