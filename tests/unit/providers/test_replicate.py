"""Predictions made, followed, awaited and called off, against a fake of Replicate's API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jackfield.core.errors import AuthFailed, ModelNotFound, NotSupported, StreamBroken, TimedOut, Unavailable
from jackfield.core.events import ChatReply, TextDelta, fold
from jackfield.core.messages import ImagePart, Message, Role, text_message
from jackfield.core.requests import ChatRequest, Generation, Tool
from jackfield.providers.replicate import Replicate
from jackfield.testing.conformance import LAWS, Subject, check_law
from jackfield.testing.fake_replicate import FakeReplicate
from jackfield.testing.fake_server import Behaviour, Recorded
from jackfield.testing.tools import FakeTools, provider_tools

KEY = "r8_canary0123456789abcdef"


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate(require_key=KEY) as running:
        yield running


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:REPLICATE_API_TOKEN": KEY}) as made:
        yield made


def made(fake: FakeReplicate, tools: FakeTools, **config: Any) -> Replicate:
    given = {"base_url": fake.base_url, "api_key": "env:REPLICATE_API_TOKEN", "model": "acme/fake-model", "look_every": 0.01}
    return Replicate.create({**given, **config}, tools)


async def told(provider: Replicate, request: ChatRequest) -> ChatReply:
    async with provider.open(request) as events:
        return await fold(events)


def sent_to(fake: FakeReplicate) -> Recorded:
    """The request that made the last prediction."""
    return [request for request in fake.requests if request.method == "POST"][-1]


def ask(text: str, *, stream: bool = False, **more: Any) -> ChatRequest:
    return ChatRequest((text_message("user", text),), stream=stream, **more)


@pytest.mark.parametrize("law", sorted(LAWS))
async def test_it_keeps_every_law(law: str, fake: FakeReplicate, tools: FakeTools) -> None:
    await check_law(law, LAWS[law], Subject(lambda: made(fake, tools), upstream=fake, canary=KEY, keeps_limits=False))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_with_what_it_used(stream: bool, fake: FakeReplicate, tools: FakeTools) -> None:
    reply = await told(
        made(fake, tools), ask("Count to 3", stream=stream, generation=Generation(temperature=0.5, stop=("x", "y")))
    )
    assert (reply.text, reply.finish_reason) == ("1, 2, 3", "stop")
    assert reply.usage is not None
    assert (reply.usage.completion_tokens, reply.usage.extra) == (3, {"predict_time_s": 0.5})
    sent = sent_to(fake)
    assert sent.path == "/v1/models/acme/fake-model/predictions"
    assert sent.json["input"] == {"prompt": "Count to 3", "temperature": 0.5, "stop_sequences": "x,y"}
    assert sent.json["stream"]
    assert fake.cancelled == []


async def test_a_conversation_is_written_out(fake: FakeReplicate, tools: FakeTools) -> None:
    turns: tuple[tuple[Role, str], ...] = (("system", "Be brief."), ("user", "hi"), ("assistant", "Hello."), ("user", "ping"))
    messages = tuple(text_message(role, text) for role, text in turns)
    reply = await told(made(fake, tools), ChatRequest(messages, tools=(Tool("f"),), extra={"top_p_min": 1}))
    assert reply.text == "pong"
    assert sent_to(fake).json["input"] == {
        "system_prompt": "Be brief.",
        "prompt": "User: hi\n\nAssistant: Hello.\n\nUser: ping\n\nAssistant:",
        "top_p_min": 1,
    }
    assert reply.extra["warnings"] == ["tools: left out, predictions have no such input"]


async def test_a_certain_version_is_named(fake: FakeReplicate, tools: FakeTools) -> None:
    assert (await told(made(fake, tools, model="acme/fake-model:abc123"), ask("ping"))).text == "pong"
    assert (sent_to(fake).path, sent_to(fake).json["version"]) == ("/v1/predictions", "abc123")


async def test_a_slow_prediction_is_looked_at_until_it_is_over(fake: FakeReplicate, tools: FakeTools) -> None:
    fake.streams = False
    fake.looks_needed = 3
    assert (await told(made(fake, tools), ask("ping"))).text == "pong"
    assert sum(request.method == "GET" for request in fake.requests) == 3
    fake.looks_needed = 1_000_000
    with pytest.raises(TimedOut):
        await told(made(fake, tools, timeout=0.2), ask("ping"))
    assert fake.cancelled == ["p2"]


async def test_a_model_that_cannot_stream_is_awaited(fake: FakeReplicate, tools: FakeTools) -> None:
    fake.streams = False
    fake.looks_needed = 1
    assert (await told(made(fake, tools), ask("ping", stream=True))).text == "pong"


async def test_leaving_calls_the_prediction_off(fake: FakeReplicate, tools: FakeTools) -> None:
    fake.behaviour = Behaviour(hang="inside", pieces_before=2)
    async with made(fake, tools).open(ask("Count to 20", stream=True)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert fake.cancelled == ["p1"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prediction_that_failed_says_why(stream: bool, fake: FakeReplicate, tools: FakeTools) -> None:
    fake.fails = "CUDA out of memory"
    with pytest.raises(Unavailable, match="CUDA out of memory"):
        await told(made(fake, tools), ask("ping", stream=stream))
    assert fake.cancelled == []


async def test_a_stream_that_was_cut_is_broken_and_called_off(fake: FakeReplicate, tools: FakeTools) -> None:
    fake.behaviour = Behaviour(cut_after=1)
    with pytest.raises(StreamBroken):
        await told(made(fake, tools), ask("Count to 9", stream=True))
    assert fake.cancelled == ["p1"]


async def test_what_it_cannot_do_is_told_before_anything_is_sent(fake: FakeReplicate, tools: FakeTools) -> None:
    picture = Message("user", (ImagePart(url="https://example.org/x.png"),))
    with pytest.raises(NotSupported):
        await told(made(fake, tools), ChatRequest((picture,)))
    with pytest.raises(NotSupported):
        await told(made(fake, tools, strict=True), ask("hi", tools=(Tool("f"),)))
    with pytest.raises(ModelNotFound, match="owner/name"):
        await told(made(fake, tools, model=None), ask("hi"))
    assert fake.requests == []


async def test_a_model_that_is_not_there_is_named(fake: FakeReplicate, tools: FakeTools) -> None:
    with pytest.raises(ModelNotFound, match="no such model"):
        await told(made(fake, tools, model="acme/gone"), ask("hi"))


async def test_the_key_goes_to_no_other_host(fake: FakeReplicate, tools: FakeTools) -> None:
    real = Replicate.create({"api_key": "env:REPLICATE_API_TOKEN"}, tools)
    sent = {
        url: b"authorization" in real.source_at(url)._kept_head("x").data.lower()
        for url in ("https://stream.replicate.com/a", "https://stream.replicate.com.evil.example/a", "https://evil.example/a")
    }
    assert list(sent.values()) == [True, False, False]
    elsewhere = made(fake, tools).source_at("http://127.0.0.2:1/a")
    assert b"authorization" not in elsewhere._kept_head("x").data.lower()


async def test_a_refused_key_is_told(fake: FakeReplicate, tools: FakeTools) -> None:
    fake.require_key = "another"
    with pytest.raises(AuthFailed):
        await told(made(fake, tools), ask("hi"))
    probe = await made(fake, tools).probe()
    assert (probe.is_ready, probe.authorized) == (False, False)
