"""Claude as a provider: what is sent and to whom, what comes back, the list, counts and batches; the official SDK beside it."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import msgspec
import pytest

from golden.messages_judge import accumulated, judge_request
from jackfield.core.contracts import BatchTask, RawCall
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    Conflict,
    ContextOverflow,
    ModelNotFound,
    NotFound,
    NotSupported,
    Overloaded,
    RequestRejected,
)
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, ReasoningPart, TextPart, text_message
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool
from jackfield.providers.anthropic import Anthropic
from jackfield.providers.openai_compatible import preset_type
from jackfield.providers.presets import load_presets
from jackfield.testing.fake_anthropic import SIGNATURE, FakeAnthropic
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import DictSecrets, FakeTools, provider_tools

MODEL = "claude-fake-1"
PING = ChatRequest((text_message("user", "ping"),))


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": "the-key-itself"}) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic((MODEL, "claude-opus-4-8", "claude-3-haiku-20240307", "claude-sonnet-4-5")) as served:
        yield served


def made(fake: FakeAnthropic, tools: FakeTools, **config: Any) -> Anthropic:
    return Anthropic.create({"base_url": fake.root_url, "api_key": "env:KEY", "model": MODEL, **config}, tools)


async def ask(provider: Anthropic, request: ChatRequest = PING) -> ChatReply:
    async with provider.open(request) as events:
        return await fold(events)


def raw(**fields: Any) -> dict[str, msgspec.Raw]:
    given = {"max_tokens": 9, "messages": [{"role": "user", "content": "ping"}], **fields}
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}


@pytest.mark.behaviour("PROV-22")
async def test_a_request_has_the_headers_and_fields_that_the_api_wants(fake: FakeAnthropic, tools: FakeTools) -> None:
    reply = await ask(made(fake, tools, headers={"X-Team": "blue"}, betas=["one-2026", "two-2026"]))
    assert (reply.text, reply.model, reply.finish_reason) == ("pong", MODEL, "stop")
    sent = fake.last
    assert sent.path == "/v1/messages"
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert sent.headers["anthropic-beta"] == "one-2026,two-2026"
    assert sent.headers["x-api-key"] == "the-key-itself"
    assert sent.headers["x-team"] == "blue"
    assert "authorization" not in sent.headers
    assert sent.json["max_tokens"] == 4096
    judge_request(sent.json)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/messages"])
async def test_any_spelling_of_the_address_is_understood(ending: str, fake: FakeAnthropic, tools: FakeTools) -> None:
    assert (await ask(made(fake, tools, base_url=fake.root_url + ending))).text == "pong"
    assert fake.last.path == "/v1/messages"


def test_a_service_below_a_path_keeps_it(tools: FakeTools) -> None:
    provider = Anthropic.create({"base_url": "http://127.0.0.1:9/anthropic"}, tools)
    assert provider._source.endpoint.base_path == "/anthropic/v1"


def test_the_key_is_its_own_and_goes_to_its_own_host(tools: FakeTools) -> None:
    tools.secrets = DictSecrets({"env:ANTHROPIC_API_KEY": "hush-hush"})
    assert "hush" not in repr(Anthropic.create({}, tools))
    Anthropic.create({"base_url": "http://127.0.0.1:9"}, tools)
    assert tools.secrets.asked == ["env:ANTHROPIC_API_KEY"]
    tools.secrets = DictSecrets({})
    with pytest.raises(AuthFailed, match="set ANTHROPIC_API_KEY") as caught:
        Anthropic.create({}, tools)
    assert caught.value.provider == "anthropic"


def test_settings_are_strict(tools: FakeTools) -> None:
    with pytest.raises(BadRequest, match="did you mean 'version'"):
        Anthropic.create({"base_url": "http://127.0.0.1:9", "versoin": "x"}, tools)
    made_so = Anthropic.create({"base_url": "http://127.0.0.1:9", "anthropic_version": "2024-01-01"}, tools)
    assert made_so._config.version == "2024-01-01"


@pytest.mark.behaviour("PROV-24")
@pytest.mark.parametrize("stream", [False, True])
async def test_vision_system_prompts_and_tools(stream: bool, fake: FakeAnthropic, tools: FakeTools) -> None:
    provider = made(fake, tools)
    picture = Message("user", (TextPart("what?"), ImagePart(data="iVBORw0KGgo=")))
    reply = await ask(provider, ChatRequest((text_message("system", "brief"), picture), stream=stream))
    assert reply.text == "I see an image."
    assert fake.last.json["system"] == "brief"
    judge_request(fake.last.json)
    weather = ChatRequest((text_message("user", "weather?"),), stream=stream, tools=(Tool("get_weather"),))
    called = await ask(provider, weather)
    assert called.finish_reason == "tool_calls"
    assert msgspec.json.decode(called.message.tool_calls[0].arguments) == {"city": "Paris"}


@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_comes_with_its_signature_and_goes_back_with_it(
    stream: bool, fake: FakeAnthropic, tools: FakeTools
) -> None:
    provider = made(fake, tools)
    request = ChatRequest(
        PING.messages, stream=stream, generation=Generation(reasoning_effort="low"), model="claude-sonnet-4-5"
    )
    reply = await ask(provider, request)
    assert reply.message.parts[0] == ReasoningPart("Let me think.", SIGNATURE)
    assert fake.last.json["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    again = msgspec.structs.replace(request, messages=(*request.messages, reply.message, text_message("user", "and?")))
    await ask(provider, again)
    block = fake.last.json["messages"][1]["content"][0]
    assert block == {"type": "thinking", "thinking": "Let me think.", "signature": SIGNATURE}


async def test_what_a_model_takes_is_known_by_its_name(fake: FakeAnthropic, tools: FakeTools) -> None:
    provider = made(fake, tools)
    wish = Generation(temperature=0.3, reasoning_effort="high")
    newer = await ask(provider, ChatRequest(PING.messages, "claude-opus-4-8", wish))
    assert "temperature" not in fake.last.json
    assert fake.last.json["thinking"] == {"type": "adaptive"}
    assert fake.last.json["output_config"] == {"effort": "high"}
    assert [warning.partition(":")[0] for warning in newer.extra["warnings"]] == ["temperature"]
    schema = ResponseFormat("json_schema", {"type": "object"})
    older = await ask(provider, ChatRequest(PING.messages, "claude-3-haiku-20240307", wish, response_format=schema))
    assert fake.last.json["temperature"] == 0.3
    assert not {"thinking", "output_config"} & set(fake.last.json)
    assert [warning.partition(":")[0] for warning in older.extra["warnings"]] == ["response_format", "reasoning_effort"]
    await ask(provider, ChatRequest(PING.messages, response_format=schema, model="claude-sonnet-4-5"))
    assert fake.last.json["output_config"]["format"]["type"] == "json_schema"


async def test_the_newest_version_of_the_api_has_no_sampling(fake: FakeAnthropic, tools: FakeTools) -> None:
    provider = made(fake, tools, version="2026-10-21", model="claude-sonnet-4-5")
    await ask(provider, ChatRequest(PING.messages, generation=Generation(temperature=0.3)))
    assert fake.last.headers["anthropic-version"] == "2026-10-21"
    assert "temperature" not in fake.last.json


async def test_what_would_be_lost_is_an_error_where_that_is_wanted(fake: FakeAnthropic, tools: FakeTools) -> None:
    with pytest.raises(NotSupported, match="seed"):
        await ask(made(fake, tools, strict=True), ChatRequest(PING.messages, generation=Generation(seed=1)))
    assert fake.completions == 0


async def test_settings_of_the_slot_fill_what_a_request_leaves_open(fake: FakeAnthropic, tools: FakeTools) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    provider = made(fake, tools, max_tokens=3000, thinking=thinking)
    await ask(provider)
    assert (fake.last.json["max_tokens"], fake.last.json["thinking"]) == (3000, thinking)
    await (await provider.pass_through(RawCall("messages", raw(max_tokens=7), None, stream=False))).read()
    assert (fake.last.json["max_tokens"], fake.last.json["thinking"]) == (7, thinking)


async def test_usage_counts_cached_tokens_once(tools: FakeTools) -> None:
    question = ChatRequest((text_message("user", "one two three four"),))
    async with FakeAnthropic(cached_tokens=3) as fake:
        for stream in (False, True):
            reply = await ask(made(fake, tools), msgspec.structs.replace(question, stream=stream))
            assert reply.usage is not None
            assert (reply.usage.prompt_tokens, reply.usage.cached_tokens) == (4, 3)


@pytest.mark.behaviour("PROV-23")
async def test_a_prompt_that_cannot_fit_is_refused_before_it_is_sent(fake: FakeAnthropic, tools: FakeTools) -> None:
    provider = made(fake, tools, model="claude-3-haiku-20240307")
    assert provider.capabilities.max_context == 200_000
    fits = ChatRequest((text_message("user", "word " * 190_000),), generation=Generation(max_tokens=10))
    assert (await ask(provider, fits)).finish_reason
    asked = fake.completions
    for text in ("word " * 210_000, "word " * 199_999):
        with pytest.raises(ContextOverflow):
            await ask(provider, ChatRequest((text_message("user", text),), generation=Generation(max_tokens=10)))
    fields = raw(messages=[{"role": "user", "content": "word " * 210_000}])
    with pytest.raises(ContextOverflow):
        await provider.pass_through(RawCall("messages", fields, None, stream=False))
    assert fake.completions == asked


async def test_an_image_is_refused_where_somebody_said_that_the_model_is_blind(fake: FakeAnthropic, tools: FakeTools) -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}}
    fields = raw(messages=[{"role": "user", "content": [image]}])
    with pytest.raises(NotSupported):
        await made(fake, tools, vision=False).pass_through(RawCall("messages", fields, None, stream=False))
    await (await made(fake, tools).pass_through(RawCall("messages", fields, None, stream=False))).read()
    odd = raw(messages=[{"role": "user", "content": [{"type": "odd", "of": '"image"'}]}])
    await (await made(fake, tools, vision=False).pass_through(RawCall("messages", odd, None, stream=False))).read()


async def test_the_headers_of_a_client_pass_through_byte_for_byte(fake: FakeAnthropic, tools: FakeTools) -> None:
    provider = made(fake, tools, betas=["mine-2026"])
    headers = {"anthropic-beta": "a-2026,b-2026", "anthropic-version": "2026-10-21", "authorization": "Bearer theirs"}
    call = RawCall("messages", raw(x_odd=1, stream=True), "claude-opus-4-8", stream=True, headers=headers)
    stream = await (await provider.pass_through(call)).read()
    assert [block.type for block in accumulated(stream).content] == ["text"]
    assert fake.last.headers["anthropic-beta"] == "a-2026,b-2026"
    assert fake.last.headers["anthropic-version"] == "2026-10-21"
    assert "authorization" not in fake.last.headers
    assert fake.last.json["model"] == "claude-opus-4-8"
    assert fake.last.json["x_odd"] == 1
    await (await provider.pass_through(RawCall("messages", raw(), None, stream=False))).read()
    assert fake.last.headers["anthropic-beta"] == "mine-2026"
    count = await provider.pass_through(RawCall("messages/count_tokens", raw(), None, stream=False))
    assert msgspec.json.decode(await count.read()) == {"input_tokens": 1}


async def test_the_list_comes_in_pages_with_what_it_tells(tools: FakeTools) -> None:
    names = [f"claude-fake-{number}" for number in range(7)]
    async with FakeAnthropic([*names, "claude-3-haiku-20240307"], page_size=3) as fake:
        provider = made(fake, tools)
        profiles = await provider.list_models()
        assert [profile.id for profile in profiles] == [*names, "claude-3-haiku-20240307"]
        assert [request.path.partition("after_id=")[2] for request in fake.requests] == ["", names[2], names[5]]
        assert profiles[0].name == "Claude Fake 0"
        assert profiles[-1].context_length == 200_000
        assert [profile.id for profile in await provider.list_models(contains="haiku")] == ["claude-3-haiku-20240307"]


async def test_a_probe_spends_nothing_and_tells_a_missing_model(fake: FakeAnthropic, tools: FakeTools) -> None:
    assert (await made(fake, tools).probe()).is_ready
    told = await made(fake, tools, model="claude-9").probe()
    assert "claude-9" in told.detail
    assert fake.completions == 0
    fake.require_key = "another"
    refused = await made(fake, tools).probe()
    assert (refused.is_ready, refused.authorized) == (False, False)


async def test_tokens_are_counted_by_the_source(fake: FakeAnthropic, tools: FakeTools) -> None:
    request = ChatRequest((text_message("system", "be brief"), text_message("user", "one two three")), tools=(Tool("f"),))
    assert await made(fake, tools).count_tokens(request) == 5
    assert fake.completions == 0
    assert "max_tokens" not in fake.last.json
    fake.behaviour = Behaviour(everywhere=True, body=b"{}")
    with pytest.raises(Exception, match="token count") as caught:
        await made(fake, tools).count_tokens(request)
    assert str(caught.value).startswith("anthropic")


async def test_a_batch_is_started_watched_and_read(tools: FakeTools) -> None:
    async with FakeAnthropic(batch_looks=2) as fake:
        provider = made(fake, tools)
        tasks = [BatchTask("a", PING), BatchTask("b", ChatRequest(PING.messages, "claude-9"))]
        started = await provider.start_batch(tasks)
        assert started.state == "running"
        assert started.created < started.expires
        for item in fake.last.json["requests"]:
            judge_request(item["params"])
        with pytest.raises(Conflict, match="running"):
            await anext(aiter(provider.batch_outcomes(started.id)))
        assert (await provider.batch_state(started.id)).state == "ended"
        outcomes = {outcome.id: outcome async for outcome in provider.batch_outcomes(started.id)}
        assert outcomes["a"].reply is not None
        assert outcomes["a"].reply.text == "pong"
        assert isinstance(outcomes["b"].error, ModelNotFound)
        assert (await provider.batch_state(started.id)).counts["errored"] == 1
        assert fake.completions == 0


async def test_a_batch_can_be_cancelled_and_a_missing_one_is_told(tools: FakeTools) -> None:
    async with FakeAnthropic(batch_looks=9) as fake:
        provider = made(fake, tools)
        started = await provider.start_batch([BatchTask("a", PING)])
        assert (await provider.cancel_batch(started.id)).state == "cancelling"
        for call in (provider.batch_state("msgbatch_9/../x"), provider.cancel_batch("msgbatch_9")):
            with pytest.raises(NotFound, match="batch"):
                await call
        assert fake.requests[-2].path == "/v1/messages/batches/msgbatch_9%2F..%2Fx"
        for tasks in ([], [BatchTask("a", PING), BatchTask("a", PING)]):
            with pytest.raises(BadRequest):
                await provider.start_batch(tasks)


async def test_errors_of_the_source_keep_their_meaning(fake: FakeAnthropic, tools: FakeTools) -> None:
    provider = made(fake, tools)
    with pytest.raises(ModelNotFound, match="models list"):
        await ask(provider, ChatRequest(PING.messages, "claude-9"))
    fake.script.append(Behaviour(status=529, message="Overloaded", retry_after="3"))
    with pytest.raises(Overloaded) as caught:
        await ask(provider)
    assert caught.value.retry_after_s == 3
    fake.script.append(Behaviour(status=400, message="messages.0: Extra inputs are not permitted"))
    with pytest.raises(RequestRejected):
        await ask(provider)


@pytest.mark.behaviour("PROV-26")
def test_the_card_describes_and_claims_nothing() -> None:
    note = next(limit for limit in Anthropic.card.limits if "Constitutional AI" in limit)
    assert "a description" in note


@pytest.mark.behaviour("PROV-03")
async def test_the_native_way_and_the_way_through_a_proxy_give_the_same_text(fake: FakeAnthropic, tools: FakeTools) -> None:
    proxied = f"anthropic/{MODEL}"
    question = ChatRequest((text_message("system", "be brief"), text_message("user", "Count to 5")), stream=True)
    async with FakeOpenAI([proxied]) as proxy:
        config = {"base_url": proxy.base_url, "api_key": "env:KEY", "model": proxied}
        other = preset_type(load_presets()["litellm-proxy"]).create(config, tools)
        async with other.open(question) as events:
            through_a_proxy = await fold(events)
    assert through_a_proxy.text == (await ask(made(fake, tools), question)).text == "1, 2, 3, 4, 5"


async def test_the_official_client_takes_our_fake_for_the_real_thing(fake: FakeAnthropic) -> None:
    """What the provider is tested against is what Anthropic's own client expects."""
    async with anthropic.AsyncAnthropic(base_url=fake.root_url, api_key="k", max_retries=0, timeout=10) as client:
        messages: Any = [{"role": "user", "content": "Count to 5"}]
        plain = await client.messages.create(model=MODEL, max_tokens=50, messages=messages)
        async with client.messages.stream(model=MODEL, max_tokens=50, messages=messages) as stream:
            final = await stream.get_final_message()
        assert [block.to_dict() for block in plain.content] == [{"type": "text", "text": "1, 2, 3, 4, 5"}]
        assert final.content[0].type == "text"
        assert final.content[0].text == "1, 2, 3, 4, 5"
        assert plain.usage.output_tokens == final.usage.output_tokens
        counted = await client.messages.count_tokens(model=MODEL, messages=messages)
        assert counted.input_tokens == plain.usage.input_tokens
        assert [model.id async for model in client.models.list(limit=2)] == fake.models
        batch = await client.messages.batches.create(
            requests=[{"custom_id": "a", "params": {"model": MODEL, "max_tokens": 5, "messages": messages}}]
        )
        assert (await client.messages.batches.retrieve(batch.id)).processing_status == "ended"
        results = [item async for item in await client.messages.batches.results(batch.id)]
        assert [item.result.type for item in results] == ["succeeded"]
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="claude-9", max_tokens=5, messages=messages)
        fake.behaviour = Behaviour(error_after=4)
        with pytest.raises(anthropic.APIStatusError):
            async with client.messages.stream(model=MODEL, max_tokens=50, messages=messages) as stream:
                await stream.get_final_message()
