"""Kobold's and TGI's own APIs: what is sent, what comes back, and that leaving an answer ends its run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from jackfield.core.contracts import Probes, Provider
from jackfield.core.errors import BadRequest, JackfieldError, NotSupported
from jackfield.core.events import ChatReply, Started, TextDelta, fold
from jackfield.core.messages import ImagePart, Message, text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.completion_servers import Kobold, LlamaServerNative, TgiNative
from jackfield.providers.registry import load_registrar
from jackfield.testing.conformance import check_provider
from jackfield.testing.fake_completion import FakeKobold, FakeLlamaServer, FakeTgi
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools

TURNS = (text_message("system", "be brief"), text_message("user", "Count to 5"))
GENERATION = Generation(temperature=0.5, top_p=0.9, max_tokens=64, seed=7, stop=("END",))


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


@pytest.fixture
async def kobold() -> AsyncIterator[FakeKobold]:
    async with FakeKobold() as fake:
        yield fake


@pytest.fixture
async def tgi() -> AsyncIterator[FakeTgi]:
    async with FakeTgi() as fake:
        yield fake


async def answered(provider: Any, *messages: Message, **request: Any) -> ChatReply:
    async with asyncio.timeout(10), provider.open(ChatRequest(messages or TURNS, **request)) as events:
        return await fold(events)


@pytest.mark.behaviour("LOCL-21")
@pytest.mark.parametrize("stream", [False, True])
async def test_kobold(kobold: FakeKobold, tools: FakeTools, stream: bool) -> None:
    provider = Kobold.create({"base_url": kobold.root_url, "max_context": 2048, "context_length": 2048}, tools)
    reply = await answered(provider, stream=stream, generation=GENERATION)
    assert (reply.message.text, reply.finish_reason) == ("1, 2, 3, 4, 5", "stop")
    sent = kobold.last.json
    assert kobold.last.path == ("/api/extra/generate/stream" if stream else "/api/v1/generate")
    assert (sent["max_length"], sent["temperature"], sent["top_p"], sent["sampler_seed"]) == (64, 0.5, 0.9, 7)
    assert sent["stop_sequence"] == ["END", "### Instruction:"]
    assert sent["prompt"] == "be brief\n\n### Instruction:\nCount to 5\n\n### Response:\n"
    assert kobold.aborted == []


async def test_kobold_s_run_ends_with_its_reader(kobold: FakeKobold, tools: FakeTools) -> None:
    kobold.behaviour = Behaviour(piece_delay_s=0.2)
    provider = Kobold.create({"base_url": kobold.root_url}, tools)
    async with provider.open(ChatRequest(TURNS, stream=True)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert kobold.aborted == [next(each.json["genkey"] for each in kobold.requests if each.path.endswith("/stream"))]


async def test_kobold_tells_its_model_its_window_and_counts_tokens(kobold: FakeKobold, tools: FakeTools) -> None:
    provider = Kobold.create({"base_url": kobold.root_url}, tools)
    (profile,) = await provider.list_models()
    assert (profile.id, profile.context_length) == ("koboldcpp/fake-model", 4096)
    assert (await provider.probe()).is_ready
    assert await provider.count_tokens(ChatRequest(TURNS)) > 3


@pytest.mark.behaviour("PROV-37")
@pytest.mark.parametrize("stream", [False, True])
async def test_tgi(tgi: FakeTgi, tools: FakeTools, stream: bool) -> None:
    provider = TgiNative.create({"base_url": tgi.root_url, "template": "chatml"}, tools)
    reply = await answered(provider, stream=stream, generation=GENERATION)
    assert (reply.message.text, reply.finish_reason) == ("1, 2, 3, 4, 5", "stop")
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0
    sent = tgi.last.json
    assert tgi.last.path == ("/generate_stream" if stream else "/generate")
    assert sent["parameters"]["max_new_tokens"] == 64
    assert sent["parameters"]["stop"] == ["END", "<|im_end|>"]
    assert sent["inputs"].endswith("<|im_start|>user\nCount to 5<|im_end|>\n<|im_start|>assistant\n")


async def test_what_the_engine_does_not_know_is_named(tgi: FakeTgi, tools: FakeTools) -> None:
    provider = TgiNative.create({"base_url": tgi.root_url}, tools)
    asked = ChatRequest(TURNS, generation=Generation(presence_penalty=0.5, temperature=0.0))
    async with provider.open(asked) as events:
        first = await anext(events)
    assert isinstance(first, Started)
    assert "presence_penalty is not sent" in first.extra["warnings"][0]
    assert "temperature" not in tgi.last.json["parameters"]


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_refusals_become_errors(tgi: FakeTgi, tools: FakeTools, status: int) -> None:
    tgi.behaviour = Behaviour(status=status)
    with pytest.raises(JackfieldError) as caught:
        await answered(TgiNative.create({"base_url": tgi.root_url}, tools))
    assert caught.value.provider == "tgi-native"


async def test_an_error_in_the_stream_is_one(tgi: FakeTgi, tools: FakeTools) -> None:
    for behaviour in (Behaviour(error_after=1), Behaviour(cut_after=2), Behaviour(garbage_after=1)):
        tgi.behaviour = behaviour
        with pytest.raises(JackfieldError):
            await answered(TgiNative.create({"base_url": tgi.root_url}, tools), stream=True)


async def test_only_text_and_only_known_templates(kobold: FakeKobold, tools: FakeTools) -> None:
    provider = Kobold.create({"base_url": kobold.root_url}, tools)
    with pytest.raises(NotSupported):
        await answered(provider, Message("user", (ImagePart(url="data:image/png;base64,AA=="),)))
    with pytest.raises(BadRequest, match="alpaca, chatml, mistral, plain"):
        Kobold.create({"template": "vicuna"}, tools)


@pytest.fixture
async def llama_fake() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        yield fake


@pytest.mark.behaviour("LOCL-04")
@pytest.mark.parametrize("stream", [False, True])
async def test_llama_cpp_s_server(llama_fake: FakeLlamaServer, tools: FakeTools, stream: bool) -> None:
    provider = LlamaServerNative.create({"base_url": llama_fake.root_url, "template": "chatml"}, tools)
    (profile,) = await provider.list_models()
    assert (profile.id, profile.context_length) == ("fake-model", 4096)
    reply = await answered(provider, stream=stream, generation=GENERATION)
    assert (reply.message.text, reply.finish_reason, reply.model) == ("1, 2, 3, 4, 5", "stop", "fake-model")
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5
    sent = llama_fake.last.json
    assert llama_fake.last.path == "/completion"
    assert (sent["n_predict"], sent["temperature"], sent["top_p"], sent["seed"]) == (64, 0.5, 0.9, 7)
    assert sent["stop"] == ["END", "<|im_end|>"]
    assert await provider.count_tokens(ChatRequest(TURNS)) > 0


async def test_a_server_that_still_loads_is_not_ready(llama_fake: FakeLlamaServer, tools: FakeTools) -> None:
    llama_fake.is_loading = True
    native = LlamaServerNative.create({"base_url": llama_fake.root_url}, tools)
    row = load_registrar(plugins=False).get("llama-server").create({"base_url": f"{llama_fake.root_url}/v1"}, tools)
    for provider in (native, row):
        assert isinstance(provider, Probes)
        found = await provider.probe()
        assert not found.is_ready
        assert "Loading model" in found.detail
    assert llama_fake.completions == 0


@pytest.mark.behaviour("LOCL-04")
async def test_its_openai_side_is_the_row(llama_fake: FakeLlamaServer, tools: FakeTools) -> None:
    kind = load_registrar(plugins=False).get("llama-server")
    config = {"base_url": f"{llama_fake.root_url}/v1", "api_key": "env:CANARY"}
    async with provider_tools({"env:CANARY": "canary-0123456789"}) as keyed:
        await check_provider(
            lambda: cast("Provider", kind.create(config, keyed)), upstream=llama_fake, canary="canary-0123456789"
        )
