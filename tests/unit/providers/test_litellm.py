"""The LiteLLM adapter with a stand-in for the library (litellm_stand_in.py). Where the real library is installed, one test
asks that one, against a fake upstream."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jackfield.core.errors import AuthFailed, BadRequest, EgressDenied, MissingExtra, ModelNotFound, RateLimited, TimedOut
from jackfield.core.events import ChatReply, TextDelta, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation
from jackfield.providers import litellm
from jackfield.providers.litellm import LiteLLM, prefixes
from jackfield.testing.conformance import LAWS, Subject, check_law
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools
from litellm_stand_in import RateLimitError, StandIn

KEY = "sk-ant-canary-0123456789"
HERE = {"base_url": "http://127.0.0.1:9", "api_key": "env:KEY"}
REAL = pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="the litellm extra is not installed")
LAWS_WITH_THE_REAL = sorted(set(LAWS) - {"splits_do_not_matter", "no_key_is_told", "absence_is_told"})
"""A plain answer to a stream request is not understood by the library; the other two ask for a model without a prefix."""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "litellm", stand_in)
    return stand_in


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    secrets = {f"env:{prefix.env}": f"key-of-{name}" for name, prefix in prefixes().items() if prefix.env}
    async with provider_tools({"env:KEY": KEY, **secrets}) as made:
        yield made


async def told(provider: LiteLLM, request: ChatRequest) -> ChatReply:
    async with provider.open(request) as events:
        return await fold(events)


def ask(text: str, *, stream: bool = False, **more: Any) -> ChatRequest:
    return ChatRequest((text_message("user", text),), stream=stream, **more)


@pytest.mark.behaviour("PROV-10")
@pytest.mark.parametrize("stream", [False, True])
async def test_the_call_carries_model_key_and_what_is_delegated(stream: bool, library: StandIn, tools: FakeTools) -> None:
    provider = LiteLLM.create({**HERE, "model": "anthropic/claude-3-opus", "num_retries": 2, "timeout": 9}, tools)
    reply = await told(provider, ask("ping", stream=stream, generation=Generation(temperature=0.5)))
    assert (reply.text, reply.finish_reason) == ("pong", "stop")
    assert reply.usage is not None
    call = library.calls[0]
    assert (call["model"], call["api_key"], call["api_base"]) == ("anthropic/claude-3-opus", KEY, "http://127.0.0.1:9")
    assert (call["num_retries"], call["timeout"], call["temperature"]) == (2, 9, 0.5)
    assert "retries" in " ".join(provider.card.limits)


@pytest.mark.behaviour("PROV-10")
async def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tools: FakeTools) -> None:
    monkeypatch.setattr(litellm, "is_installed", lambda: False)
    with pytest.raises(MissingExtra, match=r"pip install jackfield\[litellm\]"):
        LiteLLM.create({**HERE, "model": "openai/gpt-4o"}, tools)


@pytest.mark.behaviour("PROV-11")
@pytest.mark.parametrize("name", sorted(prefixes()))
def test_every_prefix_takes_the_key_of_its_own_provider(name: str, library: StandIn, tools: FakeTools) -> None:
    prefix = prefixes()[name]
    assert f"{name}/" in LiteLLM.card.limits[0]
    given = {"model": f"{name}/some-model"}
    if prefix.host is None:
        with pytest.raises(BadRequest, match="give base_url"):
            LiteLLM.create(given, tools)
        return
    provider = LiteLLM.create(given, tools)
    assert provider.info.hosts == (f"{prefix.host}:443",)
    assert tools.secrets.asked == ([f"env:{prefix.env}"] if prefix.env else [])


async def test_one_slot_can_hold_the_keys_of_several(library: StandIn, tools: FakeTools) -> None:
    config = {
        "base_url": HERE["base_url"],
        "model": "openai/gpt-4o",
        "keys": {"openai": "env:OPENAI_API_KEY", "groq": "env:KEY"},
    }
    provider = LiteLLM.create(config, tools)
    await told(provider, ask("ping"))
    await told(provider, ask("ping", model="groq/llama"))
    assert [call["api_key"] for call in library.calls] == ["key-of-openai", KEY]


async def test_a_host_that_nobody_agreed_to_is_never_asked(library: StandIn, tools: FakeTools) -> None:
    with pytest.raises(EgressDenied):
        await told(LiteLLM.create({"model": "openai/gpt-4o"}, tools), ask("ping"))
    assert library.calls == []


async def test_leaving_closes_the_librarys_stream(library: StandIn, tools: FakeTools) -> None:
    provider = LiteLLM.create({**HERE, "model": "openai/gpt-4o"}, tools)
    async with provider.open(ask("Count to 20", stream=True)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert library.closed == 1


async def test_its_errors_are_ours_and_hold_no_key(library: StandIn, tools: FakeTools) -> None:
    provider = LiteLLM.create({**HERE, "model": "openai/gpt-4o"}, tools)
    library.error = RateLimitError(f"slow down {KEY}")
    with pytest.raises(RateLimited) as caught:
        await told(provider, ask("ping"))
    assert (caught.value.provider, caught.value.retry_after_s) == ("litellm", 7)
    assert KEY not in str(caught.value)
    library.error = TimeoutError()
    with pytest.raises(TimedOut):
        await told(provider, ask("ping"))


async def test_embeddings_are_asked_for_too(library: StandIn, tools: FakeTools) -> None:
    provider = LiteLLM.create({**HERE, "model": "openai/text-embedding-3-small"}, tools)
    assert len((await provider.embed(EmbedRequest(("a", "b")))).vectors) == 2


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, BadRequest),
        ({"model": "gpt-4o"}, ModelNotFound),
        ({"model": "antropic/claude"}, ModelNotFound),
        ({"model": "openai/gpt-4o", "modle": 1}, BadRequest),
        ({"model": "openai/gpt-4o", "keys": {"openai": "env:NOT_THERE"}}, AuthFailed),
    ],
)
def test_a_wrong_config_is_refused(config: dict[str, Any], error: type[Exception], library: StandIn, tools: FakeTools) -> None:
    with pytest.raises(error):
        LiteLLM.create(config, tools)


@REAL
@pytest.mark.timeout(180)
@pytest.mark.parametrize("law", LAWS_WITH_THE_REAL)
async def test_with_the_real_library_too_the_laws_hold(law: str, tools: FakeTools) -> None:
    await asyncio.to_thread(litellm.load_litellm)  # which takes longer than a law may
    async with FakeOpenAI(["gpt-4o"]) as fake:
        config = {"base_url": fake.base_url, "api_key": "env:KEY", "model": "openai/gpt-4o"}
        await check_law(law, LAWS[law], Subject(lambda: LiteLLM.create(config, tools), upstream=fake))


@REAL
async def test_the_real_library_answers_the_same(tools: FakeTools) -> None:
    async with FakeOpenAI(["gpt-4o"]) as fake:
        provider = LiteLLM.create({"base_url": fake.base_url, "api_key": "env:KEY", "model": "openai/gpt-4o"}, tools)
        for stream in (False, True):
            assert (await told(provider, ask("Count to 5", stream=stream))).text == "1, 2, 3, 4, 5"
        assert fake.last.headers["authorization"] == f"Bearer {KEY}"
        fake.models = []
        with pytest.raises(ModelNotFound):
            await told(provider, ask("ping"))
