"""`jackfield discover` on a machine that has one of everything, and on one that has nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jackfield.core.errors import EgressDenied
from jackfield.providers.registry import load_registrar
from jackfield.slots.discovery import Discovery, discover
from jackfield.slots.neighbours import find_peers, find_sockets
from jackfield.testing.fakes import FakeOpenAI
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient
from running_gateway import running_gateway


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(EgressGate())
    yield client
    await client.aclose()


@pytest.fixture
async def socket_url() -> AsyncIterator[str]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n" if b"upgrade: websocket" in head else b"HTTP/1.1 404 No\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"


def gpu(root: Path) -> None:
    path = root / "proc/driver/nvidia/gpus/0/information"
    path.parent.mkdir(parents=True)
    path.write_text("Model: NVIDIA H200\n", encoding="utf-8")


@pytest.mark.behaviour("MGR-11")
async def test_each_of_the_five_classes_is_found(http: HttpClient, socket_url: str, tmp_path: Path) -> None:
    gpu(tmp_path / "machine")
    async with FakeOpenAI() as server, running_gateway(tmp_path) as peer:
        await peer.plug(0, "scripted")
        found = await discover(
            http,
            load_registrar(plugins=False),
            {"GROQ_API_KEY": "x"},
            ports=[server.port],
            only_ports=True,
            path_lookup={"claude": "/usr/bin/claude"}.get,
            root=tmp_path / "machine",
            peers=(peer.url, server.root_url, "http://127.0.0.1:9"),
            websockets=(socket_url, "ws://127.0.0.1:9/ws", server.root_url.replace("http", "ws")),
        )
    assert [each.port for each in found.servers] == [server.port]
    assert [each.provider for each in found.keys] == ["groq"]
    assert [each.provider for each in found.clis] == ["claude-cli"]
    assert [each.kind for each in found.devices] == ["cuda", "cpu"]
    assert [each.url for each in found.peers] == [peer.url]
    assert "slot-0" in found.peers[0].models
    assert [each.url for each in found.websockets] == [socket_url]


async def test_nothing_is_found_where_nothing_is(http: HttpClient, tmp_path: Path) -> None:
    found = await discover(
        http, load_registrar(plugins=False), only_ports=True, path_lookup=lambda name: None, root=tmp_path / "nothing"
    )
    assert (found.servers, found.keys, found.clis, found.gpus, found.peers, found.websockets) == ((), (), (), (), (), ())
    assert isinstance(found, Discovery)


async def test_what_may_not_be_reached_is_not_asked(http: HttpClient) -> None:
    with pytest.raises(EgressDenied):
        http.gate.check("peer.example")
    assert await find_peers(http, ("http://peer.example:7311",)) == ()
    assert await find_sockets(http.gate, ("wss://endpoint.example/ws", "nonsense")) == ()
