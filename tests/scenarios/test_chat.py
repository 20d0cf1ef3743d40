"""The main job, seen by the official SDK: plain, streamed and with tools, passed through and translated."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

PING: Any = [{"role": "user", "content": "ping"}]
WEATHER: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@pytest.fixture(params=["passed through", "translated"])
async def client(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    """An SDK client whose `slot-0` is an OpenAI-compatible upstream, or the engine inside the gateway's own process."""
    if request.param == "translated":
        await gateway.plug(0, "local", path=str(demo_model()), context_length=4096, threads=1)
    async with gateway.openai() as client:
        yield client


def demo_model() -> Path:
    import jackfield.app

    return Path(jackfield.app.__file__).parent / "demo" / "tiny-llm.gguf"


@pytest.mark.behaviour("SLOT-20", "HTTP-02")
async def test_a_plain_answer(client: AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(model="slot-0", messages=PING, temperature=0)
    assert reply.choices[0].message.content == "pong"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


@pytest.mark.behaviour("HTTP-02")
async def test_a_stream_is_the_plain_answer_in_pieces(client: AsyncOpenAI) -> None:
    question: Any = [{"role": "user", "content": "Count to 5"}]
    pieces, reasons = [], []
    async for chunk in await client.chat.completions.create(model="slot-0", messages=question, temperature=0, stream=True):
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            reasons.append(choice.finish_reason)
        assert chunk.usage is None
    assert "".join(pieces) == "1, 2, 3, 4, 5"
    assert [reason for reason in reasons if reason] == ["stop"]
    assert len([piece for piece in pieces if piece]) > 1


async def test_usage_comes_as_a_last_chunk_when_asked_for(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="slot-0", messages=PING, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def test_a_tool_is_called_and_its_result_answered(client: AsyncOpenAI) -> None:
    question: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    reply = await client.chat.completions.create(model="slot-0", messages=question, tools=WEATHER, temperature=0)
    calls = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "get_weather"
    assert "Paris" in calls[0].function.arguments
    followed: Any = [
        *question,
        reply.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "sunny"},
    ]
    answer = await client.chat.completions.create(model="slot-0", messages=followed, tools=WEATHER, temperature=0)
    assert "sunny" in (answer.choices[0].message.content or "")


async def test_a_streamed_tool_call_accumulates_in_the_sdk(client: AsyncOpenAI) -> None:
    question: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    async with client.chat.completions.stream(model="slot-0", messages=question, tools=WEATHER, temperature=0) as stream:
        final: ChatCompletion = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls
    assert "Paris" in calls[0].function.arguments  # type: ignore[union-attr]


@pytest.mark.parametrize("base", ["/v1", "", "/v1/v1", "/v1/"])
async def test_base_urls_that_people_write_all_work(gateway: Gateway, base: str) -> None:
    async with gateway.openai(base) as client:
        reply = await client.chat.completions.create(model="slot-0", messages=PING)
        assert reply.choices[0].message.content == "pong"
        assert (await client.models.list()).data


@pytest.mark.parametrize("name", ["slot-0", "SLOT-0", "coder", "openai-compat/fake-model", "fake-model"])
async def test_a_slot_answers_to_all_its_names(gateway: Gateway, fake: FakeOpenAI, name: str) -> None:
    await gateway.house.registry.rename_slot(0, "coder")
    await gateway.http.get("/v1/models")
    reply = await gateway.http.post("/v1/chat/completions", json={"model": name, "messages": PING})
    assert reply.status_code == 200, reply.text
    assert fake.requests[-1].json["model"] == "fake-model"


async def test_only_the_model_is_changed_on_the_way_through(gateway: Gateway, fake: FakeOpenAI) -> None:
    body = {"model": "slot-0", "messages": PING, "vendor_field": {"kept": [1, 2.50]}, "seed": 7}
    await gateway.http.post("/v1/chat/completions", json=body)
    assert fake.requests[-1].json == {**body, "model": "fake-model"}


async def test_headers_tell_who_answered(gateway: Gateway) -> None:
    reply = await gateway.http.post("/v1/chat/completions", json={"model": "slot-0", "messages": PING})
    assert reply.headers["x-jackfield-slot"] == "0"
    assert reply.headers["x-jackfield-provider"] == "openai-compat"
    assert reply.headers["x-request-id"].startswith("req-")
    assert 0 < int(reply.headers["x-jackfield-overhead-us"]) < 1_000_000


async def test_a_source_that_does_not_stream_is_streamed_all_the_same(gateway: Gateway, fake: FakeOpenAI) -> None:
    from jackfield.testing.fakes import Behaviour

    fake.behaviour = Behaviour(ignores_stream=True)
    async with gateway.openai() as client:
        stream = await client.chat.completions.create(model="slot-0", messages=PING, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "pong"


async def test_two_gateways_chain(tmp_path: Path, gateway: Gateway) -> None:
    async with running_gateway(tmp_path / "second") as second:
        await second.plug(0, "openai-compat", base_url=gateway.url, model="slot-0")
        async with second.openai() as client:
            reply = await client.chat.completions.create(model="slot-0", messages=PING)
    assert reply.choices[0].message.content == "pong"
