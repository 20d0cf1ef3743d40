"""What a connection makes of bytes: framing, limits, garbage, back-pressure."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import Conflict, JackfieldError, Malformed, StreamBroken, Unavailable, Upstream
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import Endpoint, HttpClient, Limits, Response, Timeouts
from jackfield.transport.http1_connection import Connection
from unit.transport.upstream import OK, PATIENCE_S, Visit, answer_all, answers, listening

H = b"HTTP/1.1 200 OK\r\n"
CHUNKED = H + b"transfer-encoding: chunked\r\n\r\n"


async def ask(
    client: HttpClient, url: str, *, method: str = "POST", body: bytes = b"{}", timeouts: Timeouts | None = None
) -> Response:
    return await client.send(Endpoint.parse(url).head(method, "x", {}), body, timeouts or Timeouts())


async def pieces(response: Response) -> list[bytes]:
    found = []
    while data := await response.chunk():
        found.append(data)
    return found


# ---- answers that are right


@pytest.mark.parametrize(
    ("answer", "method", "status", "body", "is_kept"),
    [
        (OK, "POST", 200, b"pong", True),
        (H + b"content-length: 0\r\n\r\n", "POST", 200, b"", True),
        (CHUNKED + b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n", "POST", 200, b"abcdefg", True),
        (CHUNKED + b"3\r\nabc\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n", "POST", 200, b"abc", True),
        (CHUNKED + b"0\r\n\r\n", "POST", 200, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n", "GET", 304, b"", True),
        (H + b"content-length: 5000\r\n\r\n", "HEAD", 200, b"", True),
        (CHUNKED, "HEAD", 200, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "POST", 200, b"pong", True),
        (
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\ncontent-length: 7\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK,
            "POST",
            200,
            b"pong",
            True,
        ),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nab", "GET", 200, b"ab", False),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nab", "GET", 200, b"ab", True),
        (H + b"connection: close\r\ncontent-length: 2\r\n\r\nab", "GET", 200, b"ab", False),
        (H + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\nab", "GET", 200, b"ab", True),
        (b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n", "GET", 302, b"", True),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno", "POST", 500, b"no", True),
        (H + b"content-encoding: identity\r\ncontent-length: 2\r\n\r\nab", "GET", 200, b"ab", True),
    ],
)
async def test_good_answers_are_understood(
    client: HttpClient, answer: bytes, method: str, status: int, body: bytes, is_kept: bool
) -> None:
    async with listening(answers(answer)) as upstream:
        response = await ask(client, upstream.url, method=method)
        assert (response.status, await response.read(), await response.chunk()) == (status, body, b"")
        assert (client.idle_count, client.open_count) == ((1, 1) if is_kept else (0, 0))


@pytest.mark.parametrize("ends_head", [b"", b"connection: close\r\n"])
async def test_a_body_without_a_length_ends_with_the_connection(client: HttpClient, ends_head: bytes) -> None:
    async with listening(answers(H + ends_head + b"\r\n", b"abc", b"def", then="close")) as upstream:
        response = await ask(client, upstream.url)
        assert await response.read() == b"abcdef"
        assert client.open_count == 0


async def test_headers_are_lower_case_and_trailers_are_not_headers(client: HttpClient) -> None:
    answer = H + b"X-Request-ID: r1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: 1\r\n\r\n"
    async with listening(answers(answer)) as upstream:
        response = await ask(client, upstream.url)
        await response.read()
        assert response.headers == [(b"x-request-id", b"r1"), (b"transfer-encoding", b"chunked")]
        assert (response.header(b"x-request-id"), response.header(b"x-late")) == (b"r1", None)


async def test_a_dribbled_answer_is_the_same_answer(client: HttpClient) -> None:
    whole = b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + b"4\r\npong\r\n2\r\n!!\r\n0\r\n\r\n"
    async with listening(answers(*(whole[at : at + 1] for at in range(len(whole))))) as upstream:
        response = await ask(client, upstream.url)
        assert b"".join(await pieces(response)) == b"pong!!"
        assert client.idle_count == 1


async def test_a_chunk_is_given_as_soon_as_it_is_there(client: HttpClient) -> None:
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED + b"3\r\none\r\n")
        await go_on.wait()
        await visit.send(b"3\r\ntwo\r\n0\r\n\r\n")
        await visit.gone()

    async with listening(script) as upstream:
        response = await ask(client, upstream.url)
        assert await response.chunk() == b"one"
        go_on.set()
        assert await response.chunk() == b"two"
        assert await response.chunk() == b""


async def test_what_came_before_a_cut_is_given_first(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED + b"3\r\none\r\n")
        await head_seen.wait()

    head_seen = asyncio.Event()
    async with listening(script) as upstream:
        response = await ask(client, upstream.url)
        head_seen.set()
        async with asyncio.timeout(PATIENCE_S):
            while client.open_count:
                await asyncio.sleep(0)
        assert await response.chunk() == b"one"
        with pytest.raises(StreamBroken, match="in the middle of its answer"):
            await response.chunk()
        with pytest.raises(StreamBroken):
            await response.read()


async def test_two_readers_of_one_answer_are_told(client: HttpClient) -> None:
    async with listening(answers(CHUNKED)) as upstream:
        response = await ask(client, upstream.url)
        first = asyncio.create_task(response.chunk())
        await asyncio.sleep(0)
        with pytest.raises(Conflict, match="already being read"):
            await response.chunk()
        response.close()
        with pytest.raises(Conflict):
            await first


# ---- answers that are wrong


@pytest.mark.behaviour("HTTP1-05")
@pytest.mark.parametrize(
    "answer",
    [
        H + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n4\r\npong\r\n0\r\n\r\n",
        H + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n",
        H + b"content-length: 4\r\ncontent-length: 5\r\n\r\npong!",
        H + b"content-length: 4, 4\r\n\r\npong",
        H + b"content-length: -4\r\n\r\npong",
        H + b"content-length: 99999999999999999999999\r\n\r\npong",
        H + b"transfer-encoding: gzip, chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n",
        H + b"transfer-encoding: xchunked\r\n\r\n4\r\npong\r\n0\r\n\r\n",
        H + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n",
        H + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\npong",
        H + b"x: a\r\n folded\r\ncontent-length: 4\r\n\r\npong",
        H + b"x: a\rset-cookie: b\r\ncontent-length: 4\r\n\r\npong",
        H + b"x: a\0b\r\ncontent-length: 4\r\n\r\npong",
        H + b"x : a\r\ncontent-length: 4\r\n\r\npong",
        H + b"no colon\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 4\n\npong",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x00",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTPS please\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"ffffffffffffffff1\r\nabc",
        CHUNKED + b"3\r\nabcX\r\n0\r\n\r\n",
        CHUNKED + b"-3\r\nabc\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"GET / HTTP/1.1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"\0" * 2000,
    ],
)
async def test_broken_answers_are_malformed_and_the_connection_is_not_kept(client: HttpClient, answer: bytes) -> None:
    async with listening(answers(answer)) as upstream:
        with pytest.raises(Malformed, match=r"127\.0\.0\.1"):
            await (await ask(client, upstream.url)).read()
        assert client.open_count == 0
        await upstream.left()


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "answer",
    [
        b"H",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        H + b"content-length: 10\r\n\r\nabc",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\nab\r\n",
    ],
)
async def test_a_cut_answer_is_a_broken_stream(client: HttpClient, answer: bytes, then: str) -> None:
    async with listening(answers(answer, then=then)) as upstream:
        with pytest.raises((StreamBroken, Unavailable)) as caught:
            await (await ask(client, upstream.url)).read()
        assert isinstance(caught.value, StreamBroken) or then == "reset"  # a reset may overtake the bytes before it
        assert client.open_count == 0


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_no_answer_at_all_is_unavailable(client: HttpClient, then: str) -> None:
    async with listening(answers(then=then)) as upstream:
        with pytest.raises(Unavailable, match="without an answer"):
            await ask(client, upstream.url)
        assert (upstream.connections, client.open_count) == (1, 0)


@pytest.mark.behaviour("HTTP1-05")
@pytest.mark.parametrize("surplus", [b"x", b"H", OK, b"HTTP/1.1 200 OK\r\nset-cookie: evil\r\n\r\n", b"\0"])
@pytest.mark.parametrize("answer", [OK, CHUNKED + b"4\r\npong\r\n0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"])
async def test_bytes_after_the_answer_cost_the_connection_and_are_nobodys_answer(
    client: HttpClient, answer: bytes, surplus: bytes
) -> None:
    async with listening(answers(answer + surplus)) as upstream:
        response = await ask(client, upstream.url)
        assert await response.read() in (b"pong", b"")
        assert b"set-cookie" not in dict(response.headers)
        assert client.open_count == 0


async def test_bytes_that_nobody_asked_for_close_an_idle_connection(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await read.wait()
        await visit.send(OK)
        await visit.gone()

    read = asyncio.Event()
    async with listening(script) as upstream:
        await (await ask(client, upstream.url)).read()
        assert client.idle_count == 1
        read.set()
        await upstream.left()
        assert (client.idle_count, client.open_count) == (0, 0)


async def test_a_body_after_a_headless_answer_is_surplus(client: HttpClient) -> None:
    async with listening(answers(OK)) as upstream:
        response = await ask(client, upstream.url, method="HEAD")
        assert await response.read() == b""
        assert client.open_count == 0


# ---- limits


@contextlib.asynccontextmanager
async def limited(limits: Limits) -> AsyncIterator[HttpClient]:
    client = HttpClient(EgressGate(), limits)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    "flood",
    [
        [b"x: " + b"a" * 900 + b"\r\n"] * 3,
        [b"x: "] + [b"a" * 500] * 6,
        [b"HTTP/1.1 100 Continue\r\nx: " + b"a" * 300 + b"\r\n\r\n"] * 8,
    ],
)
async def test_endless_headers_are_malformed(flood: list[bytes]) -> None:
    start = [] if flood[0].startswith(b"HTTP") else [H]
    async with limited(Limits(header_bytes=1000)) as client, listening(answers(*start, *flood)) as upstream:
        with pytest.raises(Malformed, match="headers are larger than 1000 bytes"):
            await ask(client, upstream.url)
        assert client.open_count == 0


async def test_headers_too_large_are_malformed_even_in_one_read() -> None:
    answer = H + b"x: " + b"a" * 2000 + b"\r\ncontent-length: 4\r\n\r\npong"
    async with limited(Limits(header_bytes=1000)) as client, listening(answers(answer)) as upstream:
        with pytest.raises(Malformed, match="headers are larger"):
            await ask(client, upstream.url)


async def test_a_large_body_in_the_same_read_does_not_count_as_headers() -> None:
    answer = H + b"content-length: 5000\r\n\r\n" + b"a" * 5000
    async with limited(Limits(header_bytes=1000)) as client, listening(answers(answer)) as upstream:
        assert len(await (await ask(client, upstream.url)).read()) == 5000


async def test_endless_trailers_are_malformed() -> None:
    async with (
        limited(Limits(header_bytes=1000)) as client,
        listening(answers(CHUNKED + b"1\r\na\r\n0\r\nx: ", *[b"a" * 400] * 6)) as upstream,
    ):
        with pytest.raises(Malformed, match="headers are larger"):
            await (await ask(client, upstream.url)).read()


@pytest.mark.parametrize(
    "answer",
    [
        [H + b"content-length: 3000\r\n\r\n", b"a" * 3000],
        [H + b"content-length: 3000\r\n\r\n" + b"a" * 3000],
        [CHUNKED] + [b"3e8\r\n" + b"a" * 1000 + b"\r\n"] * 4,
        [H + b"\r\n"] + [b"a" * 500] * 6,
    ],
)
async def test_read_stops_at_the_limit(answer: list[bytes]) -> None:
    async with limited(Limits(body_bytes=2000)) as client, listening(answers(*answer)) as upstream:
        with pytest.raises(Malformed, match="larger than 2000 bytes"):
            await (await ask(client, upstream.url)).read()
        assert client.open_count == client.idle_count  # kept only where the answer had already come to its end


async def test_chunks_have_no_limit_together() -> None:
    many = [b"3e8\r\n" + b"a" * 1000 + b"\r\n"] * 20
    async with (
        limited(Limits(body_bytes=2000, buffer_bytes=1500)) as client,
        listening(answers(CHUNKED, *many, b"0\r\n\r\n")) as upstream,
    ):
        assert sum(map(len, await pieces(await ask(client, upstream.url)))) == 20_000
        assert client.idle_count == 1


# ---- back-pressure


@dataclass
class Sent:
    size_bytes: int = 0


@pytest.mark.behaviour("HTTP1-06")
async def test_a_slow_reader_stops_the_upstream(client: HttpClient) -> None:
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    total, sent = 1000, Sent()

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        for _ in range(total):
            await visit.send(piece)
            sent.size_bytes += len(piece)
        await visit.send(b"0\r\n\r\n")
        await visit.gone()

    async with listening(script) as upstream:
        response = await ask(client, upstream.url)
        seen = -1
        while seen != sent.size_bytes:  # until it stands still
            seen = sent.size_bytes
            await asyncio.sleep(0.2)
        assert sent.size_bytes < 16 * 1024 * 1024
        assert response._size < 1024 * 1024
        assert sum(map(len, await pieces(response))) == total * 65536
        assert client.idle_count == 1


@pytest.mark.behaviour("HTTP1-06")
async def test_a_slow_upstream_stops_the_writer(client: HttpClient) -> None:
    body = bytes(32 * 1024 * 1024)
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        await go_on.wait()
        await visit.request()
        await visit.send(OK)
        await visit.gone()

    async with listening(script) as upstream:
        asking = asyncio.create_task(ask(client, upstream.url, body=body))
        await asyncio.sleep(0.2)
        (connection,) = client._open
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 512 * 1024
        go_on.set()
        assert await (await asking).read() == b"pong"
        assert upstream.requests[0].endswith(body)
        assert client.idle_count == 1


async def test_an_early_answer_ends_the_upload_and_the_connection(client: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        await visit.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await visit.gone()

    async with listening(script) as upstream:
        response = await ask(client, upstream.url, body=bytes(64 * 1024 * 1024))
        assert (response.status, await response.read()) == (413, b"no")
        assert client.open_count == 0
        await upstream.left()


# ---- any bytes, cut anywhere


class Wire(asyncio.Transport):
    """A transport without a network: notes what is written and whether it was cut."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.is_cut = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_cut = True
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.is_cut

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Arena:
    """One loop for many examples."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.endpoint = Endpoint.parse("http://127.0.0.1:1")
        self.limits = Limits(header_bytes=4096, body_bytes=10_000, buffer_bytes=4096)

    def outcome(self, parts: list[bytes], *, ends: bool, whole: bool) -> tuple[int, bytes] | type[JackfieldError]:
        return self.runner.run(self._outcome(parts, ends=ends, whole=whole))

    async def _outcome(self, parts: list[bytes], *, ends: bool, whole: bool) -> tuple[int, bytes] | type[JackfieldError]:
        client = HttpClient(EgressGate(), self.limits)
        connection = Connection(self.endpoint, client, self.limits, 0)
        wire = Wire(connection)
        connection.connection_made(wire)
        client._open.add(connection)
        client.keep(connection)
        connection.idle_since = asyncio.get_running_loop().time()
        asking = asyncio.create_task(self._ask(client, whole=whole))
        for part in parts:
            await asyncio.sleep(0)
            if not wire.is_cut and connection._response is not None:
                connection.data_received(part)
        await asyncio.sleep(0)
        if not wire.is_cut and (ends or connection._response is not None):
            connection.eof_received()
        async with asyncio.timeout(PATIENCE_S):
            result = await asking
        assert wire.is_cut or client.idle_count == 1
        await client.aclose()
        return result

    async def _ask(self, client: HttpClient, *, whole: bool) -> tuple[int, bytes] | type[JackfieldError]:
        try:
            response = await client.send(self.endpoint.head("POST", "x", {}), b"{}")
            return response.status, await response.read() if whole else b"".join(await pieces(response))
        except JackfieldError as error:
            return type(error)


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with asyncio.Runner() as runner:
        yield Arena(runner)


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)
Frame = Callable[[list[bytes]], bytes]
BODIES = st.lists(st.binary(min_size=1, max_size=300), max_size=6)


def as_chunks(body: list[bytes]) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"


def as_length(body: list[bytes]) -> bytes:
    return H + b"content-length: %d\r\n\r\n" % sum(map(len, body)) + b"".join(body)


def as_rest(body: list[bytes]) -> bytes:
    return H + b"\r\n" + b"".join(body)


@pytest.mark.behaviour("HTTP1-05")
@settings(max_examples=150, deadline=None)
@given(
    body=BODIES, frame=st.sampled_from([as_chunks, as_length, as_rest]), places=PLACES, whole=st.booleans(), early=st.booleans()
)
def test_any_split_gives_the_same_answer(
    arena: Arena, body: list[bytes], frame: Frame, places: list[int], whole: bool, early: bool
) -> None:
    data = (b"HTTP/1.1 100 Continue\r\n\r\n" if early else b"") + frame(body)
    assert arena.outcome(cut_at(data, places), ends=frame is as_rest, whole=whole) == (200, b"".join(body))


@pytest.mark.behaviour("HTTP1-05")
@settings(max_examples=150, deadline=None)
@given(
    body=BODIES.filter(bool),
    frame=st.sampled_from([as_chunks, as_length]),
    places=PLACES,
    at=st.integers(0, 10_000),
    whole=st.booleans(),
)
def test_an_answer_cut_anywhere_is_never_taken_for_a_whole_one(
    arena: Arena, body: list[bytes], frame: Frame, places: list[int], at: int, whole: bool
) -> None:
    data = frame(body)
    data = data[: at % len(data)]
    outcome = arena.outcome(cut_at(data, places), ends=True, whole=whole)
    assert outcome is (StreamBroken if data else Unavailable)


LINES = st.sampled_from(
    [
        H, b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.0 204 x\r\n", b"HTTP/1.1 304\r\n", b"HTTP/1.1 101 S\r\n", b"HTTP/", b"\r\n",
        b"content-length: 5\r\n", b"Content-Length: 0\r\n", b"transfer-encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
        b"connection: close\r\n", b"upgrade: x\r\n", b"connection: upgrade\r\n", b"x: " + b"y" * 5000, b": ",
        b"0\r\n\r\n", b"5\r\nhello\r\n", b"hello", b"ffffffff\r\n", b"\n", b"\r", b"\0",
    ]
)  # fmt: skip


@pytest.mark.behaviour("HTTP1-05")
@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.one_of(LINES, st.binary(max_size=40)), max_size=12),
    places=PLACES,
    ends=st.booleans(),
    whole=st.booleans(),
)
def test_garbage_gives_an_answer_or_an_upstream_error_and_never_hangs(
    arena: Arena, parts: list[bytes], places: list[int], ends: bool, whole: bool
) -> None:
    outcome = arena.outcome(cut_at(b"".join(parts), places), ends=ends, whole=whole)
    assert isinstance(outcome, tuple) or issubclass(outcome, Upstream)


@pytest.mark.behaviour("HTTP1-05")
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.one_of(LINES, st.binary(max_size=40)), max_size=8), then=st.sampled_from(["close", "reset", "wait"]))
def test_garbage_over_a_real_socket_leaves_nothing_open(arena: Arena, parts: list[bytes], then: str) -> None:
    async def once() -> None:
        client = HttpClient(EgressGate(), arena.limits)
        async with listening(answers(*parts, then=then)) as upstream, asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(Upstream):
                await (await ask(client, upstream.url, timeouts=Timeouts(first_byte_s=0.05, idle_s=0.05))).read()
            assert client.open_count == client.idle_count
            await client.aclose()
            assert client.open_count == 0

    arena.runner.run(once())


async def test_a_good_server_stays_connected(client: HttpClient) -> None:
    async with listening(answer_all) as upstream:
        for _ in range(5):
            assert await (await ask(client, upstream.url)).read() == b"pong"
        assert (upstream.connections, len(upstream.requests)) == (1, 5)
