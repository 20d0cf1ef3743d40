import asyncio
from collections.abc import AsyncIterator
from typing import Any

import cohere
import msgspec
import pytest

from golden.cohere_judge import judge_request
from jackfield.core.errors import AuthFailed, BadRequest, ContextOverflow, Malformed, ModelNotFound, NotSupported, Upstream
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, ReasoningPart, ToolCallPart, text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation, RerankRequest, Tool
from jackfield.providers import cohere_calls
from jackfield.providers.cohere import Cohere
from jackfield.testing.fake_cohere import PLAN, FakeCohere
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools

KEY = "co-a-key-of-nobody-1234"
PING = ChatRequest((text_message("user", "ping"),))


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": KEY, "env:CO_API_KEY": "from-their-own-variable"}) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeCohere]:
    async with FakeCohere(require_key=KEY) as serving:
        yield serving


def _made(fake: FakeCohere, tools: FakeTools, **config: Any) -> Cohere:
    return Cohere.create({"base_url": fake.root_url, "api_key": "env:KEY", **config}, tools)


async def _reply(provider: Cohere, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(10), provider.open(request) as events:
        return await fold(events)


@pytest.mark.behaviour("PROV-29")
async def test_a_request_becomes_a_v2_chat_with_the_key_in_a_header(fake: FakeCohere, tools: FakeTools) -> None:
    provider = _made(fake, tools, temperature=0.5, max_tokens=7, safety_mode="STRICT")
    reply = await _reply(provider, PING)
    assert (reply.text, reply.model, reply.finish_reason) == ("pong", "command-a-plus-05-2026", "stop")
    assert fake.last.path == "/v2/chat"
    assert fake.last.headers["authorization"] == f"Bearer {KEY}"
    assert fake.last.json == {
        "model": "command-a-plus-05-2026",
        "messages": [{"role": "user", "content": "ping"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "safety_mode": "STRICT",
    }
    judge_request(fake.last.json)
    own = msgspec.structs.replace(PING, stream=True, model="fake-model", extra={"safety_mode": "CONTEXTUAL"})
    assert (await _reply(provider, own)).usage == reply.usage
    assert (fake.last.json["safety_mode"], fake.last.json["stream"], fake.last.json["model"]) == (
        "CONTEXTUAL",
        True,
        "fake-model",
    )
    assert KEY not in repr(provider)


@pytest.mark.behaviour("PROV-29", "COH-01")
@pytest.mark.parametrize("stream", [False, True])
async def test_cohere_s_client_sends_what_we_send_and_gets_what_we_get(
    fake: FakeCohere, tools: FakeTools, stream: bool
) -> None:
    weather = Tool("get_weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
    request = ChatRequest(
        (text_message("system", "Be brief."), text_message("user", "What is the weather in Paris?")),
        model="fake-model",
        generation=Generation(temperature=0.5, top_k=3, stop=("X",), reasoning_effort="low"),
        tools=(weather,),
        stream=stream,
    )
    reply = await _reply(_made(fake, tools), request)
    ours = fake.last.json
    call = ToolCallPart("get_weather_0", "get_weather", '{"city": "Paris"}')
    assert reply.message.parts == (ReasoningPart("Let me think."), ReasoningPart(PLAN), call)
    async with cohere.AsyncClientV2(KEY, base_url=fake.root_url) as client:
        given = {name: value for name, value in ours.items() if name != "stream"}
        if stream:
            assert [event.type async for event in client.chat_stream(**given)][-1] == "message-end"
        else:
            answer = await client.chat(**given)
            assert answer.message.tool_calls is not None
            assert answer.message.tool_calls[0].id == call.id
    assert fake.last.json == {**ours, "stream": stream}


async def test_the_usual_variables_are_read_for_cohere_only(tools: FakeTools) -> None:
    Cohere.create({}, tools)
    assert tools.secrets.asked == ["env:COHERE_API_KEY", "env:CO_API_KEY"]
    provider = Cohere.create({"base_url": "https://gateway.example/cohere/v2"}, tools)
    assert len(tools.secrets.asked) == 2
    assert provider.info.hosts == ("gateway.example:443",)
    async with provider_tools() as bare:
        with pytest.raises(AuthFailed, match="COHERE_API_KEY"):
            Cohere.create({}, bare)
    with pytest.raises(BadRequest, match="input_type") as raised:
        Cohere.create({"input_type": "search"}, tools)
    assert raised.value.provider == "cohere"


@pytest.mark.parametrize("pasted", ["", "/", "/v2", "/v1/", "/v2/chat", "/compatibility/v1"])
async def test_a_pasted_address_leads_to_the_same_calls(fake: FakeCohere, tools: FakeTools, pasted: str) -> None:
    await _reply(_made(fake, tools, base_url=fake.root_url + pasted), PING)
    assert fake.last.path == "/v2/chat"


@pytest.mark.behaviour("PROV-29")
async def test_vectors_come_in_as_many_calls_as_it_takes(fake: FakeCohere, tools: FakeTools) -> None:
    provider = _made(fake, tools, input_type="search_query")
    texts = tuple(f"text {number}" for number in range(cohere_calls.MAX_TEXTS + 1))
    reply = await provider.embed(EmbedRequest(texts, dimensions=4))
    assert (len(reply.vectors), {len(vector) for vector in reply.vectors}) == (len(texts), {4})
    assert reply.usage.prompt_tokens == 2 * len(texts)
    assert fake.last.path == "/v2/embed"
    assert fake.last.json == {
        "model": "embed-v5.0-fast",
        "input_type": "search_query",
        "truncate": "NONE",
        "embedding_types": ["float"],
        "output_dimension": 4,
        "texts": ["text 96"],
    }
    judge_request(fake.last.json, "embed")
    await provider.embed(EmbedRequest(("x",), extra={"input_type": "clustering", "user": "u"}))
    assert fake.last.json["input_type"] == "clustering"
    assert "user" not in fake.last.json
    with pytest.raises(NotSupported, match="user"):
        await _made(fake, tools, strict=True).embed(EmbedRequest(("x",), extra={"user": "u"}))
    with pytest.raises(BadRequest, match="tokens"):
        await provider.embed(EmbedRequest(((1, 2),)))


@pytest.mark.behaviour("PROV-29")
async def test_rankings_have_the_best_first(fake: FakeCohere, tools: FakeTools) -> None:
    provider = _made(fake, tools)
    reply = await provider.rerank(RerankRequest("blue sky", ("red", "the blue sky", "a sky"), top_n=2))
    assert [result.index for result in reply.results] == [1, 2]
    assert reply.results[0].score > reply.results[1].score
    assert (reply.model, reply.usage.extra["billed_units"]) == ("rerank-v5.0-pro", {"search_units": 1.0})
    judge_request(fake.last.json, "rerank")
    fake.models.append("rerank-mine")
    await _made(fake, tools, model="rerank-mine").rerank(RerankRequest("x", ("y",), extra={"priority": 1}))
    assert (fake.last.json["model"], fake.last.json["priority"]) == ("rerank-mine", 1)


async def test_the_list_tells_what_is_known_page_by_page(tools: FakeTools) -> None:
    async with FakeCohere(("a", "b"), page_size=2) as fake:
        provider = _made(fake, tools, model="a")
        models = {model.id: model for model in await provider.list_models()}
        assert list(models) == ["a", "b", "embed-v5.0-fast", "rerank-v5.0-pro"]
        assert (models["a"].context_length, models["a"].tools, models["a"].vision, models["a"].embeddings) == (
            256_000, True, True, False,
        )  # fmt: skip
        assert (models["embed-v5.0-fast"].embeddings, models["embed-v5.0-fast"].tools) == (True, None)
        assert [model.id for model in await provider.list_models(contains="RERANK")] == ["rerank-v5.0-pro"]
        with pytest.raises(ContextOverflow):
            await _reply(provider, ChatRequest((text_message("user", "x"),), generation=Generation(max_tokens=300_000)))
        blind = _made(fake, tools, model="a", vision=False, max_context=10)
        assert {(model.vision, model.context_length) for model in await blind.list_models()} == {(False, 10)}
        with pytest.raises(NotSupported):
            await _reply(blind, ChatRequest((Message("user", (ImagePart(data="AA"),)),)))
        probe = await _made(fake, tools, model="c").probe()
        assert probe.is_ready
        assert "'c' is not in its list" in probe.detail
        assert fake.completions == 0


async def test_refusals_and_broken_answers_become_errors(fake: FakeCohere, tools: FakeTools) -> None:
    provider = _made(fake, tools)
    with pytest.raises(ModelNotFound):
        await _reply(provider, msgspec.structs.replace(PING, model="another"))
    fake.behaviour = Behaviour(error_after=0, message="engine died")
    with pytest.raises(Upstream, match="engine died"):
        await _reply(provider, PING)
    fake.behaviour = Behaviour(body=b'{"embeddings": {}}')
    with pytest.raises(Malformed, match="embeddings"):
        await provider.embed(EmbedRequest(("x",)))
    fake.behaviour = Behaviour(body=b'{"results": [{"index": 1, "relevance_score": 0.5}]}')
    with pytest.raises(Malformed, match="another one"):
        await provider.rerank(RerankRequest("x", ("y",)))


async def test_strict_refuses_what_cannot_be_sent(fake: FakeCohere, tools: FakeTools) -> None:
    request = msgspec.structs.replace(PING, user="u")
    with pytest.raises(NotSupported, match="user"):
        await _reply(_made(fake, tools, strict=True), request)
    assert fake.requests == []
    async with _made(fake, tools).open(request) as events:
        started = await anext(events)
    assert getattr(started, "extra", {})["warnings"] == ["user: left out, the source does not take it"]
