"""Sources that break HTTP or the event stream itself, byte by byte: what the caller gets, and what the source gets.

Slot 0 is a bare socket that answers as each case says; slot 1 is well. Every answer is bounded in time and on the books once,
and afterwards nothing is in use.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from two_sources import LIMIT_S, MODEL, RETRIES, STREAMS, WHOLE, House, assert_from_b, assert_told, two_sources

Fault = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
USAGE: Any = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}


class Source:
    """A bare socket: model lists are answered, chats get `fault`. `asked` are the heads of the chats that came."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.asked: list[bytes] = []
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    listed = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()
                    writer.write(sized(listed))
                    continue
                self.asked.append(head)
                await self.fault(reader, writer)
                await writer.drain()
                if writer.is_closing():
                    return


@contextlib.asynccontextmanager
async def serving(fault: Fault) -> AsyncIterator[Source]:
    source = Source(fault)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await source.serve(reader, writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    source.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield source
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def sized(body: bytes, head: bytes = JSON) -> bytes:
    return head + b"content-length: %d\r\n\r\n%s" % (len(body), body)


def whole(text: str = WHOLE) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps(
        {"id": "c1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": USAGE}
    ).encode()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    made = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice], **more}
    return b"data: " + json.dumps(made).encode() + b"\n\n"


def events(text: str = WHOLE) -> bytes:
    half = len(text) // 2
    return b"".join(
        (
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": text[:half]}),
            chunk({"content": text[half:]}),
            chunk({}, "stop", usage=USAGE),
            b"data: [DONE]\n\n",
        )
    )


def piece(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def read_body(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The JSON of the request: our own client tells its length, so what is there ends with it."""
    body = b""
    while True:
        body += await reader.read(65536)
        with contextlib.suppress(ValueError):
            found: dict[str, Any] = json.loads(body)
            return found


def says(plain: bytes, stream: bytes | None = None) -> Fault:
    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted = await read_body(reader)
        writer.write(stream if stream is not None and wanted.get("stream") else plain)

    return fault


def then_reset(data: bytes) -> Fault:
    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(reader)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.05)  # else the reset overtakes what was written
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return fault


async def continues_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_body(reader)
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def headers_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_body(reader)
    writer.write(JSON)
    while not writer.is_closing():
        writer.write(b"x-more: yes\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def comments_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wanted = await read_body(reader)
    writer.write((EVENTS if wanted.get("stream") else JSON) + b"transfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"9\r\n: alive\r\n\r\n" if wanted.get("stream") else b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


COMMENTS = b"\xef\xbb\xbf" + b": nothing\r\n\r\n" * 3
BEFORE: dict[str, Fault] = {
    "reset after the head": then_reset(JSON + b"content-length: 100\r\n\r\n"),
    "reset before the body's end": then_reset(EVENTS + b"transfer-encoding: chunked\r\n\r\n5\r\n: hi"),
    "gzip that was not asked for": says(sized(gzip.compress(whole()), JSON + b"content-encoding: gzip\r\n")),
    "a byte order mark and comments only": says(sized(COMMENTS), sized(COMMENTS, EVENTS)),
    "two lengths": says(JSON + b"content-length: 5\r\n" + b"content-length: 500\r\n\r\n" + whole()),
    "a length and chunks": says(JSON + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    "a negative length": says(JSON + b"content-length: -5\r\n\r\n" + whole()),
    "a chunk size that is none": says(EVENTS + b"transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n"),
    "100 Continue for ever": continues_for_ever,
    "headers for ever": headers_for_ever,
    "101 Switching Protocols": says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
    "null bytes": says(sized(b"\x00" * 100), sized(b"\x00" * 100, EVENTS)),
    "a deep nest": says(sized(b"[" * 100_000), sized(b"data: " + b"[" * 100_000 + b"\n\n", EVENTS)),
    "no choices": says(sized(b'{"choices": null}'), sized(b'data: {"choices": null}\n\ndata: [DONE]\n\n', EVENTS)),
    "an event without an end": says(sized(b'{"a": "' + b"x" * 20_000_000), sized(b"data: " + b"x" * 20_000_000, EVENTS)),
    "an end and nothing else": says(sized(b""), sized(b"data: [DONE]\n\n", EVENTS)),
    "a refusal without a body's end": says(b"HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\n{"),
    "status 999": says(b"HTTP/1.1 999 What\r\ncontent-length: 2\r\n\r\n{}"),
}


@contextlib.asynccontextmanager
async def facing(folder: Path, fault: Fault, **settings: Any) -> AsyncIterator[tuple[House, Source]]:
    async with two_sources(folder, **settings) as house, serving(fault) as source:
        await house.plug_a(source.base_url)
        await house.gateway.http.get("/v1/models")
        house.before |= asyncio.all_tasks()
        yield house, source


@pytest.mark.parametrize("name", BEFORE)
async def test_a_break_of_the_protocol_is_never_seen(tmp_path: Path, name: str) -> None:
    stream = list(BEFORE).index(name) % 2 == 0  # and the other way alone: each is seen in both
    async with facing(tmp_path, BEFORE[name], routing={"first_token_s": LIMIT_S}) as (house, source):
        heard = await house.ask(stream=stream)
        assert_from_b(house, heard, stream=stream, tried=False)
        assert heard.seconds < 3
        assert len(source.asked) == 1
        await house.settled()


EMPTY = {"no choices", "an end and nothing else"}
"""A stream that ends in order and says nothing is an empty answer; where nobody else could have more to say it is passed on."""


@pytest.mark.parametrize("name", BEFORE)
async def test_alone_it_is_told(tmp_path: Path, name: str) -> None:
    stream = list(BEFORE).index(name) % 2 == 1
    async with facing(tmp_path, BEFORE[name], alone=True) as (house, source):
        heard = await house.ask(stream=stream)
        if stream and name in EMPTY:
            assert (heard.status, heard.text, heard.finish_reasons) == (200, "", [])
            return
        assert_told(house, heard, heard.status, None)
        assert heard.status in (200, 502, 503, 504)
        assert 1 <= len(source.asked) <= 1 + RETRIES
        await house.settled()


# ---- what is odd and right all the same


async def quiet_then_whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wanted = await read_body(reader)
    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + b"HTTP/1.1 100 Continue\r\n\r\n" * 5)
    await writer.drain()
    writer.write(sized(events(), EVENTS) if wanted.get("stream") else sized(whole()))


def byte_by_byte(plain: bytes, stream: bytes) -> Fault:
    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in stream if (await read_body(reader)).get("stream") else plain:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    return fault


def odd_usage(usage: Any) -> Fault:
    plain = json.loads(whole()) | {"usage": usage}
    pieces = events().replace(json.dumps(USAGE).encode(), json.dumps(usage).encode())
    return says(sized(json.dumps(plain).encode()), sized(pieces, EVENTS))


CRLF = events().replace(b"\n", b"\r\n")
ODD: dict[str, Fault] = {
    "a byte order mark, comments, CRLF": says(
        sized(whole()), sized(COMMENTS + CRLF.replace(b"data: ", b": no\r\nid: 7\r\nretry: 9\r\ndata: "), EVENTS)
    ),
    "CR alone": says(sized(whole()), sized(events().replace(b"\n", b"\r"), EVENTS)),
    "no space after the colon": says(sized(whole()), sized(events().replace(b"data: ", b"data:"), EVENTS)),
    "more after the end mark": says(sized(whole()), sized(events() + chunk({"content": "more"}) + b"data: [DONE]\n\n", EVENTS)),
    "early hints": quiet_then_whole,
    "byte by byte": byte_by_byte(sized(whole()), sized(events(), EVENTS)),
    "a second answer that nobody asked for": says(
        sized(whole()) + sized(whole("no")), sized(events(), EVENTS) + sized(whole("no"))
    ),
    "a reset after the last event": then_reset(EVENTS + b"transfer-encoding: chunked\r\n\r\n" + piece(events())),
    "a reset after the finish reason": then_reset(
        EVENTS + b"content-length: 9999\r\n\r\n" + events().removesuffix(b"data: [DONE]\n\n")
    ),
    "usage below zero": odd_usage({"prompt_tokens": -5, "completion_tokens": -1}),
    "usage past all bounds": odd_usage({"prompt_tokens": 10**30, "completion_tokens": 1e308}),
    "usage that only this machine's numbers can hold": odd_usage({"prompt_tokens": 2**62, "completion_tokens": 2**63 - 1}),
    "usage that is none": odd_usage("plenty"),
}
ONLY_STREAMED = {"a reset after the last event", "a reset after the finish reason"}


@STREAMS
@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_and_whole_is_an_answer(tmp_path: Path, name: str, stream: bool) -> None:
    if name in ONLY_STREAMED and not stream:
        return
    async with facing(tmp_path, ODD[name], alone=True) as (house, source):
        for number in range(2):  # nothing of the first answer is left for the second
            heard = await house.ask(stream=stream)
            text = heard.text.removesuffix("more")
            assert (heard.status, heard.error, text) == (200, None, WHOLE)
            assert "".join(heard.finish_reasons).startswith("stop")
            assert len(source.asked) == number + 1
            (row,) = house.rows(heard)
            assert row.outcome == "ok"
            counted = (row.prompt_tokens, row.completion_tokens)
            assert counted == ((0, 0) if name.startswith("usage") else (3, 9))
        await house.settled()


@STREAMS
async def test_ten_megabytes_in_one_line_pass(tmp_path: Path, stream: bool) -> None:
    text = "x" * (10 * 1024 * 1024)
    async with facing(tmp_path, says(sized(whole(text)), sized(events(text + text), EVENTS)), alone=True) as (house, _):
        heard = await house.ask(stream=stream)
        assert len(heard.text) == len(text) * (1 + stream)
        assert heard.error is None
        await house.settled()


# ---- refusals


@pytest.mark.parametrize(
    "retry_after",
    ["Fri, 01 Jan 1999 00:00:00 GMT", "-5", "1e9", "nan", "soon", "9" * 400],
)
async def test_whatever_retry_after_says_the_answer_is_in_time(tmp_path: Path, retry_after: str) -> None:
    head = b"HTTP/1.1 429 No\r\nretry-after: %s\r\n" % retry_after.encode("latin-1")
    body = b'{"error": {"message": "slowly", "code": "rate_limit_exceeded"}}'
    async with facing(tmp_path, says(sized(body, head)), alone=True) as (house, source):
        heard = await house.ask(stream=False)
        assert_told(house, heard, 429, "rate_limit_exceeded")
        assert heard.seconds < 6
        assert 1 <= len(source.asked) <= 1 + RETRIES
        assert 1 <= int(heard.headers.get("retry-after", "1")) <= 86_400
        await house.settled()


@STREAMS
@pytest.mark.parametrize("status", [302, 307])
async def test_no_key_follows_a_redirect(tmp_path: Path, status: int, stream: bool) -> None:
    async with serving(says(sized(whole()), sized(events(), EVENTS))) as thief:
        head = b"HTTP/1.1 %d Moved\r\nlocation: %s/chat/completions?key=x\r\n" % (status, thief.base_url.encode())
        async with facing(tmp_path, says(sized(b"", head)), alone=True, environ={"KEY_A": "fake-key-a"}) as (house, source):
            await house.plug_a(source.base_url, api_key="env:KEY_A")
            house.before |= asyncio.all_tasks()
            heard = await house.ask(stream=stream)
            assert_told(house, heard, 502, "malformed_answer")
            assert heard.error is not None
            assert "base_url" in heard.error["message"]
            assert "key" not in heard.error["message"].lower().replace("base_url", "")
            assert (len(source.asked), thief.asked) == (1, [])
            await house.settled()


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    transport: Any = writer.transport
    transport.pause_reading()
    await asyncio.sleep(30)


@pytest.mark.parametrize("alone", [False, True])
async def test_one_that_never_reads_the_request_gives_way(tmp_path: Path, alone: bool) -> None:
    async with facing(tmp_path, never_reads, alone=alone) as (house, source):
        heard = await house.ask(stream=alone, messages=[{"role": "user", "content": "Count to 9" + " " * 12_000_000}])
        assert heard.seconds < 5
        if alone:
            assert_told(house, heard, 504, "timeout")
        else:
            assert (heard.slot, heard.error) == ("1", None)
        assert len(source.asked) == 1 + alone
        await house.settled()


# ---- after content


def after_a_while(first: bytes, then: bytes) -> Fault:
    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(reader)
        writer.write(first)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(then)

    return fault


FIRST = chunk({"content": "1, "})
CHUNKED = EVENTS + b"transfer-encoding: chunked\r\n\r\n" + piece(FIRST)
AFTER: dict[str, Fault] = {
    "reset": then_reset(CHUNKED),
    "a chunk size that is none": after_a_while(CHUNKED, b"zz\r\n"),
    "another head": after_a_while(CHUNKED, sized(whole("no"))),
    "null bytes": after_a_while(CHUNKED, piece(b"data: \x00\x00\n\n")),
    "less than the length": then_reset(EVENTS + b"content-length: 9999\r\n\r\n" + FIRST),
}


@pytest.mark.parametrize("name", AFTER)
async def test_after_content_it_is_told_in_the_stream(tmp_path: Path, name: str) -> None:
    async with facing(tmp_path, AFTER[name]) as (house, source):
        heard = await house.ask(stream=True)
        assert (heard.status, heard.text) == (200, "1, ")
        assert heard.code in ("stream_broken", "malformed_answer")
        assert not heard.is_done
        assert heard.finish_reasons == []
        assert (len(source.asked), house.b.asked) == (1, 0)
        assert [row.outcome for row in house.rows(heard)] == [heard.code]
        await house.settled()
