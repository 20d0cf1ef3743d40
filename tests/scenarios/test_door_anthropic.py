"""The Anthropic door, seen by the official SDK: in front of a source of its own dialect, and of one of OpenAI's."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from jackfield.testing.fake_anthropic import SIGNATURE, FakeAnthropic
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

PING: Any = [{"role": "user", "content": "ping"}]
COUNT: Any = [{"role": "user", "content": "Count to 5"}]
WEATHER_QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER: Any = [
    {
        "name": "get_weather",
        "description": "The weather in a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
OWN, OTHER = "slot-1", "slot-0"
"""Slots whose source speaks this dialect, and OpenAI's."""
BOTH = pytest.mark.parametrize("model", [OWN, OTHER], ids=["passed through", "translated"])


@pytest.fixture
async def claude() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, fake: FakeOpenAI, claude: FakeAnthropic) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, {"CLAUDE": "the slot's own"}) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await running.plug(1, "anthropic", base_url=claude.base_url, model="claude-fake-1", api_key="env:CLAUDE")
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncAnthropic]:
    async with sdk(gateway) as client:
        yield client


def sdk(gateway: Gateway, path: str = "") -> AsyncAnthropic:
    return AsyncAnthropic(base_url=gateway.url + path, api_key="none", max_retries=0, timeout=20)


@pytest.mark.behaviour("DOOR-01")
@BOTH
async def test_a_plain_answer(client: AsyncAnthropic, model: str) -> None:
    reply = await client.messages.create(model=model, messages=PING, max_tokens=100, system="Be brief.")
    assert [block.text for block in reply.content if block.type == "text"] == ["pong"]
    assert (reply.role, reply.stop_reason) == ("assistant", "end_turn")
    assert reply.id.startswith("msg_")
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0


@pytest.mark.behaviour("DOOR-01")
@BOTH
async def test_a_stream_accumulates_in_the_sdk(client: AsyncAnthropic, model: str) -> None:
    async with client.messages.stream(model=model, messages=COUNT, max_tokens=100) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(pieces) == "1, 2, 3, 4, 5"
    assert len(pieces) > 1
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens > 0
    assert final.usage.output_tokens > 0


@BOTH
async def test_a_stream_has_the_events_of_its_protocol_in_their_order(gateway: Gateway, model: str) -> None:
    body = {"model": model, "messages": COUNT, "max_tokens": 100, "stream": True}
    kinds = [json.loads(line[6:])["type"] for line in await lines(gateway, body) if line.startswith("data: ")]
    kinds = [kind for kind in kinds if kind != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


async def lines(gateway: Gateway, body: dict[str, Any], path: str = "/v1/messages") -> list[str]:
    reply = await gateway.http.post(path, json=body, headers={"anthropic-version": "2023-06-01"})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    return reply.text.splitlines()


@pytest.mark.behaviour("DOOR-01")
@BOTH
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_a_tool_is_called_and_its_result_answered(client: AsyncAnthropic, model: str, streamed: bool) -> None:
    asked: Any = {"model": model, "tools": WEATHER, "max_tokens": 100}
    if streamed:
        async with client.messages.stream(messages=WEATHER_QUESTION, **asked) as stream:
            reply: Any = await stream.get_final_message()
    else:
        reply = await client.messages.create(messages=WEATHER_QUESTION, **asked)
    (call,) = [block for block in reply.content if block.type == "tool_use"]
    assert (call.name, call.input, reply.stop_reason) == ("get_weather", {"city": "Paris"}, "tool_use")
    turn: Any = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]}
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    answer = await client.messages.create(messages=[*WEATHER_QUESTION, turn, result], **asked)
    assert "sunny" in "".join(block.text for block in answer.content if block.type == "text")


@pytest.mark.behaviour("DOOR-01")
@BOTH
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_thoughts_come_before_the_answer(client: AsyncAnthropic, model: str, streamed: bool) -> None:
    asked: Any = {"model": model, "max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    if streamed:
        async with client.messages.stream(messages=PING, **asked) as stream:
            reply: Any = await stream.get_final_message()
    else:
        reply = await client.messages.create(messages=PING, **asked)
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.content[0].thinking == "Let me think."
    assert reply.content[0].signature == (SIGNATURE if model == OWN else "")


async def test_signed_thoughts_and_marks_of_the_cache_reach_the_source_as_they_came(
    client: AsyncAnthropic, claude: FakeAnthropic
) -> None:
    mark: Any = {"type": "ephemeral"}
    thought: Any = {"type": "thinking", "thinking": "Let me think.", "signature": SIGNATURE}
    question: Any = [
        {"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": mark}]},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Hi"}]},
        *PING,
    ]
    await client.messages.create(model=OWN, messages=question, max_tokens=10, extra_body={"context_management": {"edits": []}})
    sent = claude.requests[-1].json
    assert sent["messages"] == question
    assert sent["context_management"] == {"edits": []}


async def test_headers_of_the_protocol_are_forwarded_byte_for_byte(gateway: Gateway, claude: FakeAnthropic) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "one-2025-01-01,two-2026-02-02", "x-api-key": "mine"}
    body = {"model": OWN, "messages": PING, "max_tokens": 10}
    reply = await gateway.http.post("/v1/messages?beta=true", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    sent = claude.requests[-1].headers
    assert sent["anthropic-beta"] == headers["anthropic-beta"]
    assert sent["x-api-key"] == "the slot's own"


@pytest.mark.parametrize("base", ["", "/v1", "/v1/v1"])
async def test_base_urls_that_people_write_all_work(gateway: Gateway, base: str) -> None:
    for path in ("/messages", "/v1/messages", "/messages?beta=true", "/messages/"):
        if (base + path).count("/v1") > 2:
            continue
        reply = await gateway.http.post(base + path, json={"model": OTHER, "messages": PING, "max_tokens": 9})
        assert reply.status_code == 200, (base + path, reply.text)
        assert reply.json()["content"] == [{"type": "text", "text": "pong"}]


async def test_somebody_is_there(gateway: Gateway) -> None:
    assert (await gateway.http.head("/")).status_code == 200
    assert (await gateway.http.get("/", headers={"anthropic-version": "2023-06-01"})).status_code == 200


@pytest.mark.behaviour("DOOR-02")
@pytest.mark.behaviour("PROV-25")
async def test_tokens_are_counted_by_the_source_where_it_can(client: AsyncAnthropic, claude: FakeAnthropic) -> None:
    raw = await client.messages.with_raw_response.count_tokens(model=OWN, messages=COUNT)
    assert raw.headers["x-jackfield-counted-by"] == "anthropic"
    assert (await raw.parse()).input_tokens == 3
    assert claude.completions == 0
    assert claude.requests[-1].path.endswith("/messages/count_tokens")


@pytest.mark.behaviour("DOOR-02")
@pytest.mark.parametrize("model", [OTHER, "claude-nobody-has-this"])
async def test_tokens_are_estimated_where_nobody_can(client: AsyncAnthropic, fake: FakeOpenAI, model: str) -> None:
    before = len(fake.requests)
    short = await client.messages.count_tokens(model=model, messages=PING)
    long = await client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "word " * 400}], tools=WEATHER)
    assert 1 <= short.input_tokens < 20
    assert 400 <= long.input_tokens < 700
    assert len(fake.requests) == before


@pytest.mark.behaviour("DOOR-02")
async def test_a_source_that_cannot_count_now_costs_only_exactness(client: AsyncAnthropic, claude: FakeAnthropic) -> None:
    claude.behaviour = Behaviour(status=500, everywhere=True)
    counted = await client.messages.count_tokens(model=OWN, messages=PING)
    assert counted.input_tokens >= 1


@pytest.mark.behaviour("DOOR-03")
async def test_models_have_this_dialects_shape_for_those_who_say_so(gateway: Gateway, client: AsyncAnthropic) -> None:
    listed = [model async for model in client.models.list(limit=1)]
    names = [model.id for model in listed]
    assert {OWN, OTHER, "claude-fake-1", "fake-model"} <= set(names)
    assert len(names) == len(set(names))
    one = await client.models.retrieve("claude-fake-1")
    assert (one.type, one.id, one.lifecycle) == ("model", "claude-fake-1", "active")
    plain = (await gateway.http.get("/v1/models")).json()
    assert plain["object"] == "list"


async def test_pages_of_models_go_both_ways(client: AsyncAnthropic) -> None:
    names = [model.id async for model in client.models.list(limit=1000)]
    page = await client.models.list(limit=2, before_id=names[3])
    assert ([model.id for model in page.data], page.has_more) == (names[1:3], True)
    with pytest.raises(anthropic.BadRequestError):
        await client.models.list(limit=0)
    with pytest.raises(anthropic.BadRequestError):
        await client.models.list(after_id="nobody")


async def test_what_is_wrong_is_told_in_this_dialects_shape(client: AsyncAnthropic, gateway: Gateway) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        await client.messages.create(model="nobody", messages=PING, max_tokens=9)
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("nobody")
    unreadable: Any = [{"role": "user", "content": 5}]
    with pytest.raises(anthropic.BadRequestError) as wrong:
        await client.messages.create(model=OTHER, messages=unreadable, max_tokens=9)
    error = wrong.value.body["error"]  # type: ignore[index]
    assert (error["type"], error["param"]) == ("invalid_request_error", "messages[0].content")
    reply = await gateway.http.post("/v1/messages/batches", json={})
    assert (reply.status_code, reply.json()["type"]) == (404, "error")
    reply = await gateway.http.get("/v1/messages")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@BOTH
async def test_a_sources_error_keeps_its_meaning(
    client: AsyncAnthropic, fake: FakeOpenAI, claude: FakeAnthropic, model: str
) -> None:
    fake.behaviour = claude.behaviour = Behaviour(status=400, message="that is not possible")
    with pytest.raises(anthropic.BadRequestError, match="that is not possible"):
        await client.messages.create(model=model, messages=PING, max_tokens=9)


@BOTH
async def test_a_stream_that_breaks_ends_in_an_error_event(
    gateway: Gateway, client: AsyncAnthropic, fake: FakeOpenAI, claude: FakeAnthropic, model: str
) -> None:
    fake.behaviour = claude.behaviour = Behaviour(cut_after=5)
    told = await lines(gateway, {"model": model, "messages": COUNT, "max_tokens": 100, "stream": True})
    at = told.index("event: error")
    error = json.loads(told[at + 1].removeprefix("data: "))
    assert (error["type"], error["error"]["code"]) == ("error", "stream_broken")
    assert not any("message_stop" in line for line in told)
    with pytest.raises(anthropic.APIStatusError):
        async with client.messages.stream(model=model, messages=COUNT, max_tokens=100) as stream:
            await stream.get_final_message()


async def test_a_source_that_does_not_stream_is_streamed_all_the_same(client: AsyncAnthropic, claude: FakeAnthropic) -> None:
    claude.behaviour = Behaviour(ignores_stream=True)
    async with client.messages.stream(model=OWN, messages=PING, max_tokens=9) as stream:
        assert await stream.get_final_text() == "pong"


@BOTH
async def test_the_settings_of_a_slot_count_where_the_client_says_nothing(
    gateway: Gateway, client: AsyncAnthropic, fake: FakeOpenAI, claude: FakeAnthropic, model: str
) -> None:
    number = int(model[-1])
    await gateway.house.registry.mutate_slot(number, settings={"temperature": 0.25, "seed": 7, "stop": ["END"]})
    await client.messages.create(model=model, messages=PING, max_tokens=9)
    sent = (claude if model == OWN else fake).requests[-1].json
    assert sent["temperature"] == 0.25
    if model == OWN:
        assert sent["stop_sequences"] == ["END"]
        assert not {"seed", "jackfield"} & set(sent)
    else:
        assert (sent["stop"], sent["seed"]) == (["END"], 7)
        assert "jackfield" not in sent


async def test_a_client_of_claude_code_is_served(gateway: Gateway, fake: FakeOpenAI) -> None:
    """What it sends: beta query and headers, tools without a type, marks of the cache, thinking, and fields of its own."""
    headers = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        "authorization": "Bearer anything",
    }
    mark = {"type": "ephemeral"}
    body = {
        "model": OTHER,
        "max_tokens": 32000,
        "stream": True,
        "system": [{"type": "text", "text": "You are Claude Code.", "cache_control": mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "ping", "cache_control": mark}]}],
        "tools": [{"name": f"Tool{number}", "input_schema": {"type": "object"}} for number in range(12)],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": []},
        "output_config": {"effort": "medium"},
        "metadata": {"user_id": "user_1"},
    }
    async with gateway.http.stream("POST", "/v1/messages?beta=true", json=body, headers=headers) as reply:
        assert reply.status_code == 200
        text = "".join([chunk async for chunk in reply.aiter_text()])
    assert '"text":"pong"' in text
    assert text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert len(fake.requests[-1].json["tools"]) == 12


@pytest.mark.parametrize("hang", ["before", "inside"])
async def test_a_client_that_leaves_cancels_upstream(
    gateway: Gateway, fake: FakeOpenAI, claude: FakeAnthropic, hang: str
) -> None:
    for source, model in ((claude, OWN), (fake, OTHER)):
        source.behaviour = Behaviour(hang=hang)  # type: ignore[arg-type]
        body = json.dumps({"model": model, "messages": COUNT, "max_tokens": 100, "stream": True}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        async with asyncio.timeout(5):
            await source.arrived.wait()
        writer.transport.abort()
        async with asyncio.timeout(1):
            await source.disconnected.wait()
    async with asyncio.timeout(2):
        while len(gateway.rows()) < 2:
            await asyncio.sleep(0.01)
    assert {(row.outcome, row.status) for row in gateway.rows()} == {("cancelled", 499)}


@BOTH
async def test_a_long_wait_is_filled_with_pings(tmp_path: Path, fake: FakeOpenAI, claude: FakeAnthropic, model: str) -> None:
    fake.behaviour = claude.behaviour = Behaviour(first_event_delay_s=0.3)
    async with running_gateway(tmp_path / "other", {"CLAUDE": "k"}, server={"heartbeat_s": 0.06}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await gateway.plug(1, "anthropic", base_url=claude.base_url, model="claude-fake-1", api_key="env:CLAUDE")
        told = await lines(gateway, {"model": model, "messages": COUNT, "max_tokens": 100, "stream": True})
        assert told[:3] == ["event: ping", 'data: {"type":"ping"}', ""]
        async with sdk(gateway) as client, client.messages.stream(model=model, messages=COUNT, max_tokens=100) as stream:
            assert await stream.get_final_text() == "1, 2, 3, 4, 5"


async def test_a_stream_that_another_source_took_up_is_whole_for_the_sdk(
    gateway: Gateway, fake: FakeOpenAI, claude: FakeAnthropic
) -> None:
    """The second one cannot go on after a given beginning, so it answers anew, and its text is joined to what is there."""
    fake.behaviour = Behaviour(cut_after=4)
    await gateway.plug(1, "anthropic", base_url=claude.base_url, model="fake-model", api_key="env:CLAUDE")
    wishes = {"provider": {"order": ["slot-0", "slot-1"]}}
    async with (
        sdk(gateway) as client,
        client.messages.stream(
            model="fake-model",
            messages=COUNT,
            max_tokens=100,
            extra_headers={"x-jackfield-continue": "1"},
            extra_body=wishes,
        ) as stream,
    ):
        final = await stream.get_final_message()
    assert [block.text for block in final.content if block.type == "text"] == ["1, 2, 3, 4, 5"]
    assert final.stop_reason == "end_turn"
    assert (fake.completions, claude.completions) == (1, 1)
