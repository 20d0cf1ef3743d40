"""The laws of all providers, for sources of another kind: a tool, a socket, both ways, a person, a library, vectors alone."""

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
from jackfield.providers.litellm import LiteLLM
from jackfield.providers.mcp_tool import McpTool
from jackfield.providers.tei import Tei
from jackfield.providers.websocket import WebSocketSource
from jackfield.testing.conformance import LAWS, Subject, check_law, check_provider
from jackfield.testing.fake_completion import FakeTei
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools
from litellm_stand_in import StandIn
from provider_cases import MCP_SERVER, fake_socket, spoken

WITHOUT_CHAT = (
    "facts_need_no_contact",
    "embeddings_are_as_told",
    "images_are_as_told",
    "models_are_listed",
    "looking_spends_nothing",
)


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


async def test_a_library_keeps_every_law(tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in shows what the adapter does; what the library makes of the calls is its own."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setitem(sys.modules, "litellm", StandIn())
    config = {"base_url": "http://127.0.0.1:9", "model": "openai/gpt-4o"}
    await check_provider(lambda: LiteLLM.create(config, tools), keeps_limits=True)


@pytest.mark.parametrize("law", WITHOUT_CHAT)
async def test_vectors_alone_keep_the_laws_that_are_not_about_chat(law: str, tools: FakeTools) -> None:
    async with FakeTei() as fake:
        subject = Subject(lambda: Tei.create({"base_url": fake.root_url}, tools), upstream=fake)
        await check_law(law, LAWS[law], subject)
