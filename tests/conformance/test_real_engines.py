"""The rows against the real servers that they are for: a fake shows what we believe, these show what is so."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import Raw

from engine_servers import EngineServer
from jackfield.core.contracts import RawCall
from jackfield.core.errors import ContextOverflow, NotSupported
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest
from jackfield.dialects.anthropic_messages import STOP_EVENT
from jackfield.providers.anthropic import Anthropic
from jackfield.providers.completion_servers import LlamaServerNative
from jackfield.providers.ollama import Ollama
from jackfield.providers.openai_compatible import OpenAICompatible, preset_type
from jackfield.providers.presets import load_presets
from jackfield.testing.conformance import LAWS, Subject, check_law
from jackfield.testing.tools import FakeTools, provider_tools

PRESETS = load_presets()
# Real servers answer images and embeddings by the model they hold, not by what the row says.
LAWS_OF_ANY_MODEL = sorted(set(LAWS) - {"images_are_as_told", "embeddings_are_as_told"})


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


def _made(row: str, server: EngineServer, tools: FakeTools, **config: object) -> OpenAICompatible:
    return preset_type(PRESETS[row]).create({"base_url": server.root_url, "model": server.model, **config}, tools)


@pytest.mark.engine
@pytest.mark.parametrize("law", LAWS_OF_ANY_MODEL)
async def test_llama_server_keeps_the_laws(law: str, llama: EngineServer, tools: FakeTools) -> None:
    await check_law(law, LAWS[law], Subject(lambda: _made("llama-server", llama, tools), keeps_limits=True))


@pytest.mark.engine
@pytest.mark.behaviour("LOCL-04")
@pytest.mark.parametrize("law", LAWS_OF_ANY_MODEL)
async def test_llama_server_keeps_the_laws_by_its_own_api(law: str, llama: EngineServer, tools: FakeTools) -> None:
    config = {"base_url": llama.root_url, "template": "chatml"}
    await check_law(law, LAWS[law], Subject(lambda: LlamaServerNative.create(config, tools), keeps_limits=True))


@pytest.mark.engine
@pytest.mark.behaviour("LOCL-22")
@pytest.mark.parametrize("law", LAWS_OF_ANY_MODEL)
async def test_lemonade_keeps_the_laws(law: str, lemonade: EngineServer, tools: FakeTools) -> None:
    await check_law(law, LAWS[law], Subject(lambda: _made("lemonade", lemonade, tools), keeps_limits=True))


@pytest.mark.engine
@pytest.mark.behaviour("LOCL-12")
@pytest.mark.parametrize("law", LAWS_OF_ANY_MODEL)
async def test_lemonade_keeps_the_laws_in_ollama_s_dialect(law: str, lemonade: EngineServer, tools: FakeTools) -> None:
    config = {"base_url": lemonade.root_url, "model": lemonade.model}
    await check_law(law, LAWS[law], Subject(lambda: Ollama.create(config, tools), keeps_limits=True))


@pytest.mark.engine
@pytest.mark.behaviour("PROV-24")
@pytest.mark.parametrize("law", LAWS_OF_ANY_MODEL)
async def test_llama_server_keeps_the_laws_in_the_messages_dialect(law: str, llama: EngineServer, tools: FakeTools) -> None:
    config = {"base_url": llama.root_url, "model": llama.model}
    await check_law(law, LAWS[law], Subject(lambda: Anthropic.create(config, tools), keeps_limits=True))


@pytest.mark.engine
async def test_llama_server_counts_tokens_and_refuses_in_the_messages_dialect(llama: EngineServer, tools: FakeTools) -> None:
    provider = Anthropic.create({"base_url": llama.root_url, "model": llama.model}, tools)
    question = ChatRequest((text_message("user", "ping"),))
    counted = await provider.count_tokens(question)
    async with provider.open(question) as events:
        reply = await fold(events)
    assert reply.usage is not None
    assert counted == reply.usage.prompt_tokens
    with pytest.raises(ContextOverflow):
        async with provider.open(ChatRequest((text_message("user", "a b " * 3000),), stream=True)) as events:
            await fold(events)
    call = RawCall(
        "messages", {"messages": Raw(b'[{"role":"user","content":"ping"}]'), "max_tokens": Raw(b"9")}, None, stream=True
    )
    stream = await (await provider.pass_through(call)).read()
    assert stream.endswith(STOP_EVENT)


@pytest.mark.engine
async def test_real_refusals_become_the_right_errors(llama: EngineServer, tools: FakeTools) -> None:
    provider = _made("llama-server", llama, tools)
    with pytest.raises(NotSupported) as embedding:
        await provider.embed(EmbedRequest(("x",)))
    assert str(embedding.value).startswith("llama-server: ")
    with pytest.raises(ContextOverflow):
        async with provider.open(ChatRequest((text_message("user", "a b " * 3000),), stream=True)) as events:
            await fold(events)


@pytest.mark.engine
@pytest.mark.behaviour("LOCL-23")
async def test_a_real_server_with_another_model_is_told(llama: EngineServer, tools: FakeTools) -> None:
    probe = await _made("llama-server", llama, tools, model="another").probe()
    assert not probe.is_ready
    assert "is not loaded there" in probe.detail


@pytest.mark.engine
async def test_a_cancelled_answer_frees_the_real_engine(llama: EngineServer, tools: FakeTools) -> None:
    provider = _made("llama-server", llama, tools)
    ask = ChatRequest((text_message("user", "Count to 20"),), stream=True)
    for _ in range(5):
        async with provider.open(ask) as events:
            async for _event in events:
                break
    async with asyncio.timeout(10), provider.open(ask) as events:
        assert (await fold(events)).text.startswith("1, 2, 3")
