import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import RawCall
from jackfield.core.errors import AuthFailed, BadRequest, ContextOverflow, NotSupported, Upstream
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation
from jackfield.providers.gemini import Gemini
from jackfield.testing.fake_gemini import FakeGemini
from jackfield.testing.tools import FakeTools, provider_tools

KEY = "AIza-a-key-of-nobody-1234"
PING = ChatRequest((text_message("user", "ping"),))


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": KEY, "env:GEMINI_API_KEY": "from-the-usual-variable"}) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeGemini]:
    async with FakeGemini(require_key=KEY) as serving:
        yield serving


def _made(fake: FakeGemini, tools: FakeTools, **config: Any) -> Gemini:
    return Gemini.create({"base_url": fake.root_url, "api_key": "env:KEY", **config}, tools)


async def _reply(provider: Gemini, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(10), provider.open(request) as events:
        return await fold(events)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.behaviour("PROV-28")
async def test_a_request_becomes_generate_content_with_the_key_in_a_header(fake: FakeGemini, tools: FakeTools) -> None:
    provider = _made(fake, tools, temperature=0.5, max_tokens=7)
    reply = await _reply(provider, PING)
    assert (reply.text, reply.model) == ("pong", "gemini-flash-latest")
    assert fake.last.path == "/v1beta/models/gemini-flash-latest:generateContent"
    assert fake.last.headers["x-goog-api-key"] == KEY
    assert fake.last.json == {
        "contents": [{"role": "user", "parts": [{"text": "ping"}]}],
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 7},
    }
    assert KEY not in fake.last.path
    await _reply(provider, msgspec.structs.replace(PING, stream=True, model="models/fake-model"))
    assert fake.last.path == "/v1beta/models/fake-model:streamGenerateContent?alt=sse"
    assert KEY not in repr(provider)


async def test_the_usual_variable_is_read_for_google_only(fake: FakeGemini, tools: FakeTools) -> None:
    Gemini.create({}, tools)
    assert tools.secrets.asked == ["env:GEMINI_API_KEY"]
    provider = Gemini.create({"base_url": "https://gateway.example/v1beta"}, tools)
    assert tools.secrets.asked == ["env:GEMINI_API_KEY"]
    assert provider.info.hosts == ("gateway.example:443",)
    async with provider_tools() as bare:
        with pytest.raises(AuthFailed, match="GEMINI_API_KEY"):
            Gemini.create({}, bare)


@pytest.mark.behaviour("PROV-28")
async def test_safety_and_defaults_go_with_translated_and_with_raw_requests(fake: FakeGemini, tools: FakeTools) -> None:
    provider = _made(fake, tools, safety="BLOCK_ONLY_HIGH", temperature=0.25)
    await _reply(provider, PING)
    settings = fake.last.json["safetySettings"]
    assert {setting["threshold"] for setting in settings} == {"BLOCK_ONLY_HIGH"}
    assert len(settings) == 4
    fields = {"contents": _raw([{"parts": [{"text": "ping"}]}]), "generation_config": _raw({"top_k": 3}), "stream": _raw(False)}
    reply = await provider.pass_through(RawCall("generateContent", fields, None, stream=False))
    await reply.read()
    assert fake.last.json["generation_config"] == {"top_k": 3, "temperature": 0.25}
    assert fake.last.json["safetySettings"] == settings
    assert "stream" not in fake.last.json
    own = {"HARM_CATEGORY_HARASSMENT": "OFF"}
    await _reply(_made(fake, tools, safety=own), PING)
    assert fake.last.json["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    with pytest.raises(BadRequest, match="BLOCK_NONE"):
        _made(fake, tools, safety="SOMETIMES")


async def test_another_method_passes_through_as_it_is(fake: FakeGemini, tools: FakeTools) -> None:
    call = RawCall("countTokens", {"contents": _raw([{"parts": [{"text": "a b c"}]}])}, "fake-model", stream=False)
    reply = await _made(fake, tools, temperature=1.0).pass_through(call)
    assert msgspec.json.decode(await reply.read()) == {"totalTokens": 3}
    assert fake.last.json == {"contents": [{"parts": [{"text": "a b c"}]}]}


async def test_vectors_counts_and_pages(tools: FakeTools) -> None:
    async with FakeGemini(("a", "b", "gemini-embedding-001"), page_size=2) as fake:
        provider = _made(fake, tools, model="a")
        vectors = await provider.embed(EmbedRequest(("one", "two"), dimensions=4, extra={"taskType": "RETRIEVAL_QUERY"}))
        assert [len(vector) for vector in vectors.vectors] == [4, 4]
        assert fake.last.json["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
        with pytest.raises(BadRequest, match="tokens"):
            await provider.embed(EmbedRequest(((1, 2),)))
        assert await provider.count_tokens(ChatRequest((text_message("user", "one two three"),))) == 3
        models = await provider.list_models()
        assert [model.id for model in models] == ["a", "b", "gemini-embedding-001"]
        assert [model.embeddings for model in models] == [False, False, True]
        probe = await _made(fake, tools, model="c").probe()
        assert probe.is_ready
        assert "'c' is not in its list" in probe.detail


async def test_what_cannot_fit_or_be_seen_is_refused_before_it_is_sent(fake: FakeGemini, tools: FakeTools) -> None:
    provider = _made(fake, tools, max_context=20, vision=False)
    long = ChatRequest((text_message("user", "word " * 200),))
    with pytest.raises(ContextOverflow):
        await _reply(provider, long)
    contents = _raw([{"parts": [{"text": "word " * 200}]}])
    with pytest.raises(ContextOverflow):
        await provider.pass_through(RawCall("generateContent", {"contents": contents}, None, stream=False))
    with pytest.raises(NotSupported):
        await _reply(provider, ChatRequest((Message("user", (ImagePart(data="AA", media_type="image/png"),)),)))
    image = _raw([{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AA"}}]}])
    with pytest.raises(NotSupported):
        await provider.pass_through(RawCall("generateContent", {"contents": image}, None, stream=False))
    assert fake.asked == 0


async def test_warnings_are_told_and_fatal_only_if_strict(fake: FakeGemini, tools: FakeTools) -> None:
    request = ChatRequest(PING.messages, generation=Generation(context_length=100), user="u")
    assert len((await _reply(_made(fake, tools), request)).extra["warnings"]) == 2
    with pytest.raises(NotSupported, match="context_length"):
        await _reply(_made(fake, tools, strict=True), request)


async def test_a_tuned_model_keeps_its_own_resource(fake: FakeGemini, tools: FakeTools) -> None:
    with pytest.raises(Upstream, match="status 404"):
        await _reply(_made(fake, tools, model="tunedModels/my model"), PING)
    assert fake.last.path == "/v1beta/tunedModels/my%20model:generateContent"
