"""Lemonade's Ollama API, the one real server here that speaks it: its quirks, through the adapter and the official client."""

import asyncio
from collections.abc import AsyncIterator

import ollama
import pytest
from msgspec import Raw

from engine_servers import EngineServer
from jackfield.core.contracts import RawCall
from jackfield.core.errors import JackfieldError, ModelNotFound
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.dialects.ollama import StreamDecoder, StreamRelay
from jackfield.providers.ollama import Ollama
from jackfield.testing.tools import FakeTools, provider_tools

pytestmark = pytest.mark.engine


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


def made(server: EngineServer, tools: FakeTools) -> Ollama:
    return Ollama.create({"base_url": server.root_url, "model": server.model, "temperature": 0}, tools)


async def reply_of(provider: Ollama, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(30), provider.open(request) as events:
        return await fold(events)


@pytest.mark.behaviour("LOCL-12", "LOCL-13")
async def test_its_models_are_listed_and_shown(lemonade: EngineServer, tools: FakeTools) -> None:
    provider = made(lemonade, tools)
    listed = {one.id: one for one in await provider.list_models()}
    assert listed["tiny-llm:latest"].size_bytes
    assert (await provider.probe()).detail == ""
    assert await provider.version()
    shown = await provider.show_model("tiny-llm")
    assert (shown.tools, shown.context_length) == (True, None), "it tells a context of -1"
    with pytest.raises(ModelNotFound):
        await provider.show_model("nope")
    with pytest.raises(ModelNotFound):
        await provider.delete_model("nope")
    with pytest.raises(JackfieldError, match="nope"):
        async for _ in provider.pull_model("nope"):
            pass


@pytest.mark.behaviour("LOCL-12")
async def test_a_model_is_loaded_and_unloaded(lemonade: EngineServer, tools: FakeTools) -> None:
    provider = made(lemonade, tools)
    await provider.load_model("tiny-llm")
    assert [one.model for one in await provider.loaded_models()] == ["tiny-llm:latest"]
    await provider.unload_model("tiny-llm")
    assert await provider.loaded_models() == ()


@pytest.mark.behaviour("LOCL-12")
async def test_its_two_ends_are_one_to_us_and_to_who_relays(lemonade: EngineServer, tools: FakeTools) -> None:
    provider = made(lemonade, tools)
    call = RawCall("api/generate", {"prompt": Raw(b'"ping"'), "options": Raw(b'{"num_predict":5}')}, None, stream=True)
    relay, decoder = StreamRelay(), StreamDecoder("x")
    reply = await provider.pass_through(call)
    out = b""
    while chunk := await reply.chunk():
        decoder.feed(chunk)
        out += relay.feed(chunk)
    out += relay.finish()
    assert (relay.finished, relay.error, out.count(b'"done":true')) == (True, None, 1)
    assert decoder.finish()


@pytest.mark.behaviour("LOCL-12")
async def test_the_official_client_and_the_adapter_hear_the_same(lemonade: EngineServer, tools: FakeTools) -> None:
    client = ollama.AsyncClient(host=lemonade.root_url, timeout=30, trust_env=False)
    theirs = await client.chat("tiny-llm", [{"role": "user", "content": "Count to 5"}], options={"temperature": 0})
    await client.close()  # type: ignore[no-untyped-call]
    for stream in (False, True):
        asked = ChatRequest((text_message("user", "Count to 5"),), stream=stream, generation=Generation(temperature=0.0))
        assert (await reply_of(made(lemonade, tools), asked)).text == theirs.message.content == "1, 2, 3, 4, 5"
