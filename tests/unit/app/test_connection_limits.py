"""Connections of which nothing comes are closed: too slow or too large a head, an answer that nobody reads."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jackfield.app import connection_limits
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

HEALTH = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
CHAT = b'{"model": "slot-0", "messages": [{"role": "user", "content": "ping"}]}'
SMALL = 4096


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(connection_limits, "HEAD_WITHIN_S", 0.1)
    async with running_gateway(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def connection(
    gateway: Gateway, receive_bytes: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def chat(*headers: bytes) -> bytes:
    lines = (b"POST /v1/chat/completions HTTP/1.1", b"host: 127.0.0.1", b"content-length: %d" % len(CHAT), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + CHAT


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nhost: 127", b"\r\n"])
async def test_a_connection_that_asks_nothing_is_closed(gateway: Gateway, sent: bytes) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(sent)
        assert await reader.read() == b""


async def test_a_half_head_after_an_answer_is_closed_too(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(HEALTH)
        await reader.readuntil(b'{"status":"ok"}')
        writer.write(b"GET /health HTTP/1.1\r\n")
        assert await reader.read() == b""


async def test_a_head_without_end_is_refused(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, connection(gateway) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                writer.write(b"x-more: " + b"a" * 1000 + b"\r\n")
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        assert gateway.house.is_ready


async def test_a_request_that_takes_longer_than_a_head_may_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_WITHIN_S", 0.05)
    async with running_gateway(tmp_path) as gateway, FakeOpenAI() as fake, connection(gateway) as (reader, writer):
        fake.behaviour = Behaviour(delay_s=0.3)
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        writer.write(chat())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_leaves_with_more_requests_queued_cancels_the_running_one(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, FakeOpenAI() as fake:
        fake.behaviour = Behaviour(delay_s=30)
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        binding = gateway.house.registry.slot(0).binding
        assert binding is not None
        async with connection(gateway) as (_, writer):
            writer.write(HEALTH + chat() + chat())
            async with asyncio.timeout(5):
                while not binding.live.in_flight:
                    await asyncio.sleep(0.005)
        async with asyncio.timeout(5):
            while binding.live.in_flight:
                await asyncio.sleep(0.005)
        assert [row.outcome for row in gateway.rows()] == ["cancelled"]


async def test_a_refused_upload_that_waits_for_a_go_ahead_ends_its_connection(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, connection(gateway) as (reader, writer):
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\n"
            b"content-length: 99999999999\r\n\r\n"
        )
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer


async def test_a_client_that_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    """The books say so, and nothing waits for it any more."""
    async with running_gateway(tmp_path, timeouts={"total_s": 0.1}) as gateway, connection(gateway, SMALL) as (_, writer):
        await gateway.house.registry.plug(0, "scripted", {"text": "{prompt} " * 2000})
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        body = CHAT.replace(b"{", b'{"stream": true, ', 1).replace(b"ping", b"x" * 4000)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        rows = gateway.rows()
        while not rows:
            await asyncio.sleep(0.05)
            rows = gateway.rows()
        assert rows[0].outcome == "timeout"
        binding = gateway.house.registry.slot(0).binding
        assert binding is not None
        assert binding.live.in_flight == 0
