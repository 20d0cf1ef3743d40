"""The short way from uvicorn's parser to a handler and back, on real sockets, beside uvicorn's own way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from jackfield.app import http_protocol
from jackfield.app.ports import listen
from jackfield.app.server import uvicorn_config
from jackfield.app.settings import ServerSettings
from jackfield.core.errors import BodyTooLarge, TimedOut
from jackfield.gateway.client import Client

Handler = Callable[[Client], Awaitable[None]]
MAX_BODY_BYTES = 100_000


async def echo(client: Client) -> None:
    body = await client.body()
    await client.reply(200, [(b"x-path", client.path.encode())], client.method.encode() + b" " + body)


@dataclass
class Root:
    """What the protocol needs of the gateway's root; `asgi_paths` are what came the long way."""

    handler: Handler = echo
    max_body_bytes: int = MAX_BODY_BYTES
    patience_s: float = 5.0
    asgi_paths: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def serve(self, client: Client) -> None:
        try:
            await self.handler(client)
        except BodyTooLarge:
            await client.reply(413, [], b"too large")
        except asyncio.CancelledError:
            self.ended.append("gone" if client.is_gone else "late" if client.is_late else "stopped")
            error = client.why_cancelled()
            if error is not None:
                await client.reply(error.status, [], b"late")
        finally:
            client.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asgi_paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"asgi"})


class QuietServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def serving(root: Root) -> AsyncIterator[int]:
    sock = listen("127.0.0.1", 0)
    config = uvicorn_config(ServerSettings())
    config.app = root
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    async with asyncio.timeout(5):
        while not server.started:
            await asyncio.sleep(0.002)
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        sock.close()


async def exchange(port: int, data: bytes, *, until: bytes = b"", close: bool = True) -> bytes:
    """Sends bytes and reads to the end of the connection, or until `until` has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    got = b""
    async with asyncio.timeout(5):
        while piece := await reader.read(65536):
            got += piece
            if until and until in got:
                break
    if close:
        writer.close()
    return got


def post(body: bytes, path: str = "/x", *lines: str) -> bytes:
    extra = "".join(f"{line}\r\n" for line in lines)
    return f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


CLOSE = "connection: close"


async def test_a_small_answer_is_one_packet_with_its_headers() -> None:
    async with serving(Root()) as port:
        got = await exchange(port, post(b"hello", "/a%20b?q=1", CLOSE))
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x-path: /a b" in head
    assert b"connection: close" in head
    assert body == b"POST hello"


async def test_requests_in_a_row_share_a_connection_and_keep_their_order() -> None:
    async with serving(Root()) as port:
        got = await exchange(port, post(b"1") + post(b"2") + post(b"3", "/x", CLOSE))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"POST 1", b"POST 2", b"POST 3"]


async def test_a_pipelined_request_waits_for_the_one_before() -> None:
    running: list[int] = []
    peak: list[int] = []

    async def slow(client: Client) -> None:
        running.append(1)
        peak.append(len(running))
        await client.body()
        await asyncio.sleep(0.01)
        running.pop()
        await client.reply(200, [], b"ok")

    async with serving(Root(slow)) as port:
        await exchange(port, post(b"") * 3 + post(b"", "/x", CLOSE))
    assert peak == [1, 1, 1, 1]


@pytest.mark.parametrize("size", [0, 1, 70_000])
async def test_bodies_of_any_framing_arrive_whole(size: int) -> None:
    async with serving(Root()) as port:
        body = b"x" * size
        lengths = await exchange(port, post(body, "/x", CLOSE))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:]) if part)
        head = b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        chunked = await exchange(port, head + chunks + b"0\r\n\r\n")
    assert lengths.endswith(b"POST " + body)
    assert chunked.endswith(b"POST " + body)


async def test_a_body_over_the_limit_is_413_declared_or_not() -> None:
    async with serving(Root()) as port:
        declared = await exchange(port, post(b"x" * (MAX_BODY_BYTES + 1), "/x", CLOSE))
        head = b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        big = b"%x\r\n%b\r\n" % (MAX_BODY_BYTES + 1, b"x" * (MAX_BODY_BYTES + 1))
        chunked = await exchange(port, head + big + b"0\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413 ")
    assert chunked.startswith(b"HTTP/1.1 413 ")


async def test_continue_is_said_to_who_waits_for_it() -> None:
    async with serving(Root()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")
            writer.write(b"hi")
            assert b"POST hi" in await reader.read()
        writer.close()


async def test_head_has_no_body_and_http10_no_chunks() -> None:
    async def stream(client: Client) -> None:
        await client.start(200, [])
        await client.write(b"ab")
        await client.end(b"cd")

    async with serving(Root()) as port:
        head = await exchange(port, b"HEAD /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    async with serving(Root(stream)) as port:
        old = await exchange(port, b"GET /x HTTP/1.0\r\nhost: h\r\n\r\n")
        new = await exchange(port, b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"content-length: 5" in head
    assert old.endswith(b"\r\n\r\nabcd")
    assert b"chunked" not in old
    assert new.endswith(b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")


async def test_a_client_that_leaves_cancels_its_handler_at_once() -> None:
    root = Root()
    started = asyncio.Event()

    async def hang(client: Client) -> None:
        await client.body()
        started.set()
        await asyncio.sleep(30)

    root.handler = hang
    async with serving(root) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"x"))
        async with asyncio.timeout(5):
            await started.wait()
            writer.transport.abort()
            while not root.ended:
                await asyncio.sleep(0.002)
    assert root.ended == ["gone"]


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "BODY_WITHIN_S", 0.02)
    root = Root()
    async with serving(root) as port:
        got = await exchange(port, b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nab", until=b"late")
    assert got.startswith(b"HTTP/1.1 408 ")
    assert root.ended == ["late"]


async def test_a_handler_that_fails_in_the_middle_ends_the_connection_without_an_end() -> None:
    async def fail(client: Client) -> None:
        await client.start(200, [])
        await client.write(b"half")

    async with serving(Root(fail)) as port:
        got = await exchange(port, b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n")
    assert got.endswith(b"4\r\nhalf\r\n")


async def test_a_client_that_does_not_read_is_waited_for_and_then_given_up() -> None:
    done: list[str] = []

    async def pour(client: Client) -> None:
        await client.start(200, [])
        try:
            for _ in range(2_000):
                await client.write(b"x" * 65536)
        except TimedOut:
            done.append("gave up")

    async with serving(Root(pour, patience_s=0.05)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            while not done:
                await asyncio.sleep(0.005)
        writer.transport.abort()
    assert done == ["gave up"]


@pytest.mark.parametrize("broken", [b"\r\nx: y", b"\n", b"a\rb"])
async def test_a_line_break_cannot_leave_in_a_header(broken: bytes) -> None:
    caught: list[str] = []

    async def inject(client: Client) -> None:
        try:
            await client.reply(200, [(b"x-name", b"forged" + broken)], b"")
        except ValueError as error:
            caught.append(str(error))

    async with serving(Root(inject)) as port:
        got = await exchange(port, b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n")
    assert caught == ["a header of the answer holds a line break"]
    assert b"forged" not in got


@pytest.mark.parametrize(
    ("request_line", "extra"),
    [("GET /control/v1/slots HTTP/1.1", ""), ("GET http://h/x HTTP/1.1", ""), ("GET /ws HTTP/1.1", "upgrade: h2c\r\n")],
)
async def test_everything_else_goes_the_long_way(request_line: str, extra: str) -> None:
    root = Root()
    async with serving(root) as port:
        connection = "Upgrade" if extra else "close"
        data = f"{request_line}\r\nhost: h\r\nconnection: {connection}\r\n{extra}\r\n".encode()
        got = await exchange(port, data, until=b"asgi")
    assert got.endswith(b"asgi")
    assert len(root.asgi_paths) == 1


async def test_both_ways_take_turns_on_one_connection() -> None:
    root = Root()
    control = b"GET /control/v1 HTTP/1.1\r\nhost: h\r\n\r\n"
    async with serving(root) as port:
        got = await exchange(port, post(b"1") + control + post(b"2") + control + post(b"3", "/x", CLOSE))
    assert [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"POST 1",
        b"asgi",
        b"POST 2",
        b"asgi",
        b"POST 3",
    ]


async def test_a_streamed_answer_to_head_leaves_nothing_that_reads_as_the_next_answer() -> None:
    async def stream(client: Client) -> None:
        if client.path == "/next":
            await client.reply(200, [], b"the next")
            return
        await client.start(200, [])
        await client.write(b"HTTP/1.1 200 OK\r\n\r\nforged")
        await client.end(b"more")

    async with serving(Root(stream)) as port:
        both = b"HEAD /x HTTP/1.1\r\nhost: x\r\n\r\nGET /next HTTP/1.1\r\nhost: x\r\n\r\n"
        answer = await exchange(port, both, until=b"the next")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"forged" not in answer
    assert b"more" not in answer


async def test_a_length_of_more_digits_than_a_number_may_have_is_no_fault() -> None:
    async with serving(Root()) as port:
        zeros = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"0" * 6000 + b"2\r\n\r\n{}"
        assert await exchange(port, zeros, until=b"POST {}")
