"""Ollama by its own API, against a fake of it: what is sent, what is understood, and its models."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import DeletesModels, Embeds, LoadsModels, ProviderCard, PullProgress, PullsModels, RawCall
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    EgressDenied,
    JackfieldError,
    ModeForbids,
    ModelNotFound,
    NotSupported,
    StreamBroken,
    ToolCallParseError,
    Unavailable,
)
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation, Tool
from jackfield.providers.ollama import Ollama, OllamaCloud
from jackfield.providers.ollama_api import OllamaApi
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from jackfield.testing.faults import self_signed
from jackfield.testing.tools import FakeTools, provider_tools

KEY = "a-key-of-nobody-1234"
PING = ChatRequest((text_message("user", "ping"),))
WEATHER = ChatRequest(
    (text_message("user", "What is the weather in Paris?"),),
    tools=(Tool("get_weather", "The weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}),),
)


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:OLLAMA_API_KEY": KEY}) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as serving:
        yield serving


def made(fake: FakeOllama, tools: FakeTools, **config: Any) -> Ollama:
    return Ollama.create({"base_url": fake.root_url, **config}, tools)


async def reply_of(provider: OllamaApi, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(10), provider.open(request) as events:
        return await fold(events)


def raw(**fields: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


async def pulled(provider: Ollama, model: str) -> list[PullProgress]:
    async with asyncio.timeout(10):
        return [step async for step in provider.pull_model(model)]


@pytest.mark.behaviour("LOCL-12")
async def test_a_request_becomes_a_chat_with_the_slot_s_settings(fake: FakeOllama, tools: FakeTools) -> None:
    provider = made(fake, tools, model="fake-model", temp=0.5, num_ctx=8192, keep_alive="10m")
    reply = await reply_of(provider, msgspec.structs.replace(PING, generation=Generation(max_tokens=7)))
    assert (reply.text, reply.model, reply.finish_reason) == ("pong", "fake-model", "stop")
    assert reply.extra["total_duration"] == 174_560_334
    assert fake.last.path == "/api/chat"
    assert fake.last.json == {
        "model": "fake-model",
        "stream": False,
        "messages": [{"role": "user", "content": "ping"}],
        "options": {"temperature": 0.5, "num_predict": 7, "num_ctx": 8192},
        "keep_alive": "10m",
    }
    assert "authorization" not in fake.last.headers


@pytest.mark.behaviour("LOCL-12")
async def test_a_raw_prompt_is_generated_from(fake: FakeOllama, tools: FakeTools) -> None:
    provider = made(fake, tools, model="fake-model")
    for stream in (False, True):
        reply = await reply_of(provider, msgspec.structs.replace(PING, extra={"raw": True}, stream=stream))
        assert (reply.text, fake.last.path) == ("pong", "/api/generate")
        assert fake.last.json == {"model": "fake-model", "stream": stream, "prompt": "ping", "raw": True}


@pytest.mark.behaviour("LOCL-12")
def test_it_is_on_this_machine_unless_told_otherwise(tools: FakeTools) -> None:
    assert Ollama.create({}, tools).info.hosts == ("localhost:11434",)
    assert Ollama.create({"port": 1234}, tools).info.hosts == ("127.0.0.1:1234",)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/api", "/api/chat", "/v1/chat/completions"])
async def test_what_is_pasted_after_the_address_does_not_matter(fake: FakeOllama, tools: FakeTools, ending: str) -> None:
    provider = Ollama.create({"base_url": f"{fake.root_url}{ending}"}, tools)
    assert await provider.version() == "0.33.0"
    assert fake.last.path == "/api/version"


async def test_without_a_model_the_first_on_its_disk_is_asked(fake: FakeOllama, tools: FakeTools) -> None:
    provider = made(fake, tools)
    assert (await reply_of(provider, PING)).model == "fake-model:latest"
    fake.models = {"other:1b": 5}
    with pytest.raises(ModelNotFound):
        await reply_of(provider, PING)
    assert (await reply_of(provider, PING)).model == "other:1b"
    fake.models = {}
    with pytest.raises(ModelNotFound, match="pull one"):
        await reply_of(made(fake, tools), PING)


@pytest.mark.behaviour("LOCL-13")
async def test_its_models_are_listed_with_sizes(fake: FakeOllama, tools: FakeTools) -> None:
    fake.models = {"llama3.2:latest": 2_019_393_189, "all-minilm:latest": 45_960_996}
    listed = await made(fake, tools).list_models()
    assert [(one.id, one.size_bytes, one.quantization) for one in listed] == [
        ("llama3.2:latest", 2_019_393_189, "Q4_K_M"),
        ("all-minilm:latest", 45_960_996, "Q4_K_M"),
    ]
    assert [one.id for one in await made(fake, tools).list_models(contains="mini")] == ["all-minilm:latest"]


async def test_what_a_model_can_do_is_shown_and_kept_to(fake: FakeOllama, tools: FakeTools) -> None:
    fake.models["all-minilm:latest"] = 5
    provider = made(fake, tools, model="all-minilm")
    shown = await provider.show_model("fake-model")
    told = (shown.context_length, shown.tools, shown.vision, shown.reasoning, shown.embeddings)
    assert told == (131_072, True, True, True, False)
    assert (await provider.show_model("all-minilm")).vision is False
    image = Message("user", (ImagePart(data="iVBORw0KGgo="),))
    with pytest.raises(NotSupported, match="takes no images"):
        await reply_of(provider, ChatRequest((image,)))
    with pytest.raises(NotSupported, match="takes no images"):
        await made(fake, tools, model="fake-model", vision=False).pass_through(
            RawCall("api/generate", raw(prompt="x", images=["iVBORw0KGgo="]), None, stream=False)
        )
    with pytest.raises(ModelNotFound):
        await provider.show_model("nope")


async def test_the_probe_knows_a_model_by_its_short_name(fake: FakeOllama, tools: FakeTools) -> None:
    assert (await made(fake, tools, model="fake-model").probe()).detail == ""
    assert "is not in its list" in (await made(fake, tools, model="nope").probe()).detail


@pytest.mark.behaviour("LOCL-14")
async def test_a_pull_tells_how_far_it_is(fake: FakeOllama, tools: FakeTools) -> None:
    steps = await pulled(made(fake, tools), "llama3.2")
    assert [step.percent for step in steps if step.total_bytes] == pytest.approx([0, 25, 50, 75, 100], abs=0.1)
    assert steps[0] == PullProgress("pulling manifest")
    assert (steps[0].percent, steps[-1].status) == (None, "success")
    assert "llama3.2:latest" in fake.models


@pytest.mark.behaviour("LOCL-14")
async def test_a_pull_that_fails_says_why(fake: FakeOllama, tools: FakeTools) -> None:
    with pytest.raises(JackfieldError, match="pull model manifest: file does not exist") as caught:
        await pulled(made(fake, tools), "nope")
    assert caught.value.provider == "ollama"


async def test_a_pull_that_stops_early_has_not_succeeded(tools: FakeTools) -> None:
    class Stops(FakeOllama):
        async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
            return await self.stream([b'{"status":"pulling manifest"}\n'], Behaviour(), wire)

    async with Stops() as fake:
        with pytest.raises(StreamBroken, match="what was fetched is kept"):
            await pulled(made(fake, tools), "llama3.2")


async def test_a_pull_that_nobody_waits_for_is_cut(fake: FakeOllama, tools: FakeTools) -> None:
    steps = made(fake, tools).pull_model("llama3.2")
    async for _ in steps:
        break
    await steps.aclose()


@pytest.mark.behaviour("LOCL-15")
async def test_a_model_is_deleted_and_copied(fake: FakeOllama, tools: FakeTools) -> None:
    provider = made(fake, tools)
    await provider.copy_model("fake-model", "backup")
    assert set(fake.models) == {"fake-model:latest", "backup:latest"}
    await provider.delete_model("fake-model")
    assert (fake.last.method, fake.last.path, fake.last.json) == ("DELETE", "/api/delete", {"model": "fake-model"})
    assert set(fake.models) == {"backup:latest"}
    for missing in (provider.delete_model("fake-model"), provider.copy_model("fake-model", "x")):
        with pytest.raises(ModelNotFound, match="not found"):
            await missing


async def test_a_model_is_loaded_and_unloaded(fake: FakeOllama, tools: FakeTools) -> None:
    provider = made(fake, tools, keep_alive="1h")
    assert await provider.loaded_models() == ()
    await provider.load_model("fake-model")
    assert fake.loaded == {"fake-model:latest": "1h"}
    (loaded,) = await provider.loaded_models()
    assert (loaded.model, loaded.gpu_bytes, loaded.context_length) == ("fake-model:latest", 1024, 4096)
    await provider.unload_model("fake-model")
    assert fake.loaded == {}
    with pytest.raises(ModelNotFound):
        await provider.load_model("nope")
    assert fake.completions == 0


async def test_a_model_that_only_embeds_is_loaded_too(fake: FakeOllama, tools: FakeTools) -> None:
    fake.script.append(Behaviour(status=400, message='"all-minilm" does not support generate'))
    await made(fake, tools, model="all-minilm").load_model("fake-model")
    assert [request.path for request in fake.requests] == ["/api/generate", "/api/embed"]
    assert fake.last.json["input"] == []


async def test_texts_become_vectors(fake: FakeOllama, tools: FakeTools) -> None:
    reply = await made(fake, tools).embed(EmbedRequest(("one", "two"), "fake-model", 4, {"truncate": True}))
    assert ([len(vector) for vector in reply.vectors], reply.usage.prompt_tokens) == ([4, 4], 4)
    assert fake.last.json == {"model": "fake-model", "input": ["one", "two"], "dimensions": 4, "truncate": True}
    with pytest.raises(BadRequest, match="texts, not tokens"):
        await made(fake, tools, model="fake-model").embed(EmbedRequest(((1, 2),)))


@pytest.mark.behaviour("PARM-12")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("written", [b'{"city": "Paris",}', b'"{\\"city\\": \\"Paris\\",}"'])
async def test_a_tool_call_with_a_slight_fault_is_repaired(
    fake: FakeOllama, tools: FakeTools, written: bytes, stream: bool
) -> None:
    fake.call_arguments.append(written)
    reply = await reply_of(made(fake, tools), msgspec.structs.replace(WEATHER, stream=stream))
    assert [msgspec.json.decode(call.arguments) for call in reply.message.tool_calls] == [{"city": "Paris"}]
    assert (reply.finish_reason, fake.completions) == ("tool_calls", 1)


@pytest.mark.behaviour("PARM-12", "ERR-16")
@pytest.mark.parametrize("stream", [True, False])
async def test_a_hopeless_tool_call_is_asked_for_again(fake: FakeOllama, tools: FakeTools, stream: bool) -> None:
    fake.call_arguments += [b'"oh dear"', b"{oh: dear"]
    reply = await reply_of(made(fake, tools), msgspec.structs.replace(WEATHER, stream=stream))
    assert (reply.finish_reason, fake.completions) == ("tool_calls", 3)
    fake.script.append(Behaviour(status=500, message="error parsing tool call: raw='{', err=unexpected end of JSON input"))
    assert (await reply_of(made(fake, tools), msgspec.structs.replace(WEATHER, stream=stream))).finish_reason == "tool_calls"


@pytest.mark.behaviour("PARM-12", "ERR-16")
@pytest.mark.parametrize(("config", "asked"), [({}, 3), ({"tool_call_retries": 0}, 1), ({"tool_call_retries": 1}, 2)])
@pytest.mark.parametrize("stream", [True, False])
async def test_in_the_end_a_hopeless_tool_call_is_refused(
    fake: FakeOllama, tools: FakeTools, config: dict[str, int], asked: int, stream: bool
) -> None:
    fake.call_arguments += [b'"oh dear"'] * 20
    with pytest.raises(ToolCallParseError, match="get_weather") as caught:
        await reply_of(made(fake, tools, **config), msgspec.structs.replace(WEATHER, stream=stream))
    assert fake.completions == asked
    assert caught.value.may_fall_back
    assert "oh dear" not in str(caught.value)
    assert caught.value.provider == "ollama"


async def test_after_the_first_word_nothing_is_asked_again(fake: FakeOllama, tools: FakeTools) -> None:
    fake.call_arguments += [b'"oh dear"'] * 20
    thinking = msgspec.structs.replace(WEATHER, stream=True, generation=Generation(reasoning_effort="low"))
    with pytest.raises(ToolCallParseError):
        await reply_of(made(fake, tools), thinking)
    assert fake.completions == 1


@pytest.mark.behaviour("LOCL-16")
async def test_a_certificate_that_nobody_signed_needs_a_word(tools: FakeTools, caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeOllama()
    fake.tls = self_signed()
    async with fake:
        with pytest.raises(Unavailable, match="certificate"):
            await reply_of(made(fake, tools), PING)
        assert fake.requests == []
        with caplog.at_level(logging.WARNING, "jackfield"):
            reply = await reply_of(made(fake, tools, verify_ssl=False), PING)
        assert reply.text == "pong"
        assert "not verified" in caplog.text


@pytest.mark.behaviour("MISC-01")
async def test_the_cloud_is_the_same_adapter_with_a_key(tools: FakeTools) -> None:
    async with FakeOllama(require_key=KEY) as fake:
        cloud = OllamaCloud.create({"base_url": fake.root_url, "api_key": "env:OLLAMA_API_KEY", "model": "fake-model"}, tools)
        assert (await reply_of(cloud, PING)).text == "pong"
        assert fake.last.headers["authorization"] == f"Bearer {KEY}"
        assert [one.id for one in await cloud.list_models()] == ["fake-model:latest"]
        assert KEY not in repr(cloud)
    assert not isinstance(cloud, Embeds | PullsModels | DeletesModels | LoadsModels), "it has no disk of ours"
    card: ProviderCard = OllamaCloud.card
    assert (card.is_external, card.needs_key, card.default_url) == (True, True, "https://ollama.com")
    async with provider_tools() as keyless:
        with pytest.raises(AuthFailed, match="OLLAMA_API_KEY"):
            OllamaCloud.create({}, keyless)


@pytest.mark.behaviour("MISC-01")
async def test_the_cloud_is_not_asked_where_nothing_may_leave(tools: FakeTools) -> None:
    cloud = OllamaCloud.create({"model": "gpt-oss:120b"}, tools)
    assert cloud.info.hosts == ("ollama.com:443",)
    with pytest.raises((ModeForbids, EgressDenied), match=r"ollama\.com"):
        await reply_of(cloud, PING)


async def test_bytes_pass_through_with_the_slot_s_settings(fake: FakeOllama, tools: FakeTools) -> None:
    provider = made(fake, tools, model="fake-model", temperature=0.5, keep_alive=60, max_context=100)
    fields = raw(messages=[{"role": "user", "content": "ping"}], options={"seed": 7})
    reply = await provider.pass_through(RawCall("api/chat", fields, None, stream=True))
    assert (await reply.read()).endswith(b"}\n")
    assert fake.last.json["options"] == {"seed": 7, "temperature": 0.5}
    assert (fake.last.json["keep_alive"], fake.last.json["stream"]) == (60.0, True)
    reply = await provider.pass_through(RawCall("api/embed", raw(input="x"), None, stream=False))
    assert b'"embeddings"' in await reply.read()
    assert "options" not in fake.last.json
    with pytest.raises(ContextOverflow):
        await provider.pass_through(RawCall("api/generate", raw(prompt="word " * 500), None, stream=False))


async def test_settings_that_are_none_are_named(tools: FakeTools) -> None:
    for config, param in (({"tool_call_retries": 11}, "tool_call_retries"), ({"pull_timeout": 0}, "pull_timeout")):
        with pytest.raises(BadRequest) as caught:
            Ollama.create(config, tools)
        assert (caught.value.param, caught.value.provider) == (param, "ollama")
    with pytest.raises(BadRequest, match="did you mean 'keep_alive'"):
        Ollama.create({"keepalive": 1}, tools)
    strict = Ollama.create({"model": "m", "strict": True}, tools)
    with pytest.raises(NotSupported, match="logit_bias"):
        await reply_of(strict, msgspec.structs.replace(PING, extra={"logit_bias": {}}))
