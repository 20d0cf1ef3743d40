"""The laws of all providers, for sources that are neither an HTTP API nor an engine: a tool, a socket, both ways, a person."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("mcp")
pytest.importorskip("websockets")

from jackfield.providers.human import Human
from jackfield.providers.hybrid import Hybrid
from jackfield.providers.mcp_tool import McpTool
from jackfield.providers.websocket import WebSocketSource
from jackfield.testing.conformance import check_provider
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools
from provider_cases import MCP_SERVER, fake_socket, spoken


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        made.environ = {"PATH": "/usr/bin:/bin"}
        yield made


@pytest.fixture
async def socket_url() -> AsyncIterator[str]:
    async with fake_socket() as socket:
        yield socket.url


async def test_a_tool_keeps_every_law(tools: FakeTools, tmp_path: Path) -> None:
    path = tmp_path / "server.py"
    path.write_text(MCP_SERVER, encoding="utf-8")
    await check_provider(lambda: McpTool.create({"command": [sys.executable, str(path)], "hosts": []}, tools))


async def test_a_socket_keeps_every_law(tools: FakeTools, socket_url: str) -> None:
    await check_provider(lambda: WebSocketSource.create({"url": socket_url}, tools))


async def test_both_ways_keep_every_law(tools: FakeTools, socket_url: str) -> None:
    async with FakeOpenAI() as fake:
        config = {"http": {"base_url": fake.base_url, "model": fake.models[0]}, "websocket": {"url": socket_url}}
        await check_provider(lambda: Hybrid.create(config, tools))


async def test_a_person_keeps_every_law(tools: FakeTools) -> None:
    people: list[Human] = []

    def make() -> Human:
        people.append(Human.create({}, tools))
        return people[-1]

    async def answer() -> None:
        while True:
            for person in people:
                for question in person.questions():
                    person.answer(question.id, "".join(spoken(question.prompt)))
            await asyncio.sleep(0.002)

    answering = asyncio.create_task(answer())
    try:
        await check_provider(make)
    finally:
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering
