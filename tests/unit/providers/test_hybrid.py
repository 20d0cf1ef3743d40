"""A source with two ways in: which one a request takes, and that each stands in for the other."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("websockets")

from websockets.asyncio.server import ServerConnection, serve

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.providers.hybrid import Hybrid
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest.fixture
async def socket_url() -> AsyncIterator[str]:
    async def answer(connection: ServerConnection) -> None:
        json.loads(await connection.recv())
        for piece in ("by ", "socket"):
            await connection.send(json.dumps({"type": "chunk", "content": piece}))
        await connection.send(json.dumps({"type": "complete"}))
        await connection.wait_closed()

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


def made(tools: FakeTools, http_url: str, socket_url: str) -> Hybrid:
    config: dict[str, Any] = {"http": {"base_url": http_url, "model": "fake-model"}, "websocket": {"url": socket_url}}
    return Hybrid.create(config, tools)


async def asked(provider: Hybrid, *, stream: bool) -> str:
    async with asyncio.timeout(10), provider.open(ChatRequest((text_message("user", "ping"),), stream=stream)) as events:
        return (await fold(events)).message.text


@pytest.mark.behaviour("PROV-43")
async def test_streams_take_the_socket_and_whole_answers_http(tools: FakeTools, http: FakeOpenAI, socket_url: str) -> None:
    provider = made(tools, http.base_url, socket_url)
    assert await asked(provider, stream=True) == "by socket"
    assert http.completions == 0
    assert await asked(provider, stream=False) == "pong"
    assert http.completions == 1
    assert len(provider.info.hosts) == 2


async def test_each_stands_in_for_the_other(tools: FakeTools, http: FakeOpenAI, socket_url: str) -> None:
    assert await asked(made(tools, http.base_url, "ws://127.0.0.1:9/"), stream=True) == "pong"
    assert await asked(made(tools, "http://127.0.0.1:9/v1", socket_url), stream=False) == "by socket"
    nobody = made(tools, "http://127.0.0.1:9/v1", "ws://127.0.0.1:9/")
    with pytest.raises(JackfieldError):
        await asked(nobody, stream=True)
    half = await made(tools, http.base_url, "ws://127.0.0.1:9/").probe()
    assert half.is_ready
    assert half.detail.startswith("websocket: ")
    assert not (await nobody.probe()).is_ready


@pytest.mark.parametrize("missing", ["http", "websocket"])
async def test_both_ways_must_be_given(tools: FakeTools, missing: str) -> None:
    config = {"http": {"base_url": "http://x"}, "websocket": {"url": "ws://x"}}
    with pytest.raises(BadRequest) as caught:
        Hybrid.create({name: way for name, way in config.items() if name != missing}, tools)
    assert caught.value.param == missing
