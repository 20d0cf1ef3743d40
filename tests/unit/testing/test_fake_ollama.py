"""The fake against Ollama's own client: what it answers is what the client expects, and what the client sends we can read."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import ollama
import pytest
from pydantic import BaseModel

from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool
from jackfield.dialects.ollama import decode_request, encode_request
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fake_server import Behaviour

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "description": "A city"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": PARAMETERS}}


@pytest.fixture
async def fake() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as serving:
        yield serving


@pytest.fixture
async def client(fake: FakeOllama) -> AsyncIterator[ollama.AsyncClient]:
    made = ollama.AsyncClient(host=fake.root_url, timeout=10, trust_env=False)
    yield made
    await made.close()  # type: ignore[no-untyped-call]


@pytest.mark.behaviour("LOCL-12")
@pytest.mark.parametrize("ends_twice", [False, True])
async def test_the_official_client_chats_and_generates(fake: FakeOllama, client: ollama.AsyncClient, ends_twice: bool) -> None:
    fake.ends_twice = ends_twice
    asked: list[Any] = [{"role": "user", "content": "Count to 5"}]
    whole = await client.chat("fake-model", asked, think=True)
    assert (whole.message.content, whole.message.thinking, whole.done_reason) == ("1, 2, 3, 4, 5", "Let me think.", "stop")
    pieces = [part async for part in await client.chat("fake-model", asked, stream=True)]
    assert "".join(part.message.content or "" for part in pieces) == "1, 2, 3, 4, 5"
    assert (pieces[-1].done, pieces[-1].eval_count) == (True, 5)
    assert (await client.generate("fake-model", "ping")).response == "pong"
    streamed = [part.response async for part in await client.generate("fake-model", "ping", stream=True)]
    assert "".join(filter(None, streamed)) == "pong"
    seen: Any = [{"role": "user", "content": "what is this", "images": [b"\x89PNG"]}]
    assert (await client.chat("fake-model", seen)).message.content == "I see an image."


@pytest.mark.behaviour("LOCL-12")
async def test_the_official_client_calls_tools_and_asks_for_a_form(fake: FakeOllama, client: ollama.AsyncClient) -> None:
    weather: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    called = await client.chat("fake-model", weather, tools=[TOOL])
    assert called.message.tool_calls is not None
    (call,) = called.message.tool_calls
    assert (call.function.name, call.function.arguments, called.done_reason) == ("get_weather", {"city": "Paris"}, "stop")
    weather += [called.message, {"role": "tool", "content": "sunny", "tool_name": "get_weather"}]
    assert (await client.chat("fake-model", weather, tools=[TOOL])).message.content == "The weather in Paris is sunny."
    read = decode_request({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fake.last.json.items()})
    assert [message.role for message in read.messages] == ["user", "assistant", "tool"]
    assert read.tools == (Tool("get_weather", "Weather", PARAMETERS),)

    class Found(BaseModel):
        ok: bool

    answer = await client.chat("fake-model", weather[:1], format=Found.model_json_schema())
    assert Found.model_validate_json(answer.message.content or "").ok


@pytest.mark.behaviour("LOCL-12")
async def test_we_send_what_the_official_client_sends(fake: FakeOllama, client: ollama.AsyncClient) -> None:
    options = {"temperature": 0.5, "num_predict": 7, "num_ctx": 8192, "stop": ["END"]}
    await client.chat(
        "fake-model", [{"role": "user", "content": "hi"}], tools=[TOOL], options=options, format="json", think=False
    )
    ours, warnings = encode_request(
        ChatRequest(
            (text_message("user", "hi"),),
            tools=(Tool("get_weather", "Weather", PARAMETERS),),
            generation=Generation(temperature=0.5, max_tokens=7, context_length=8192, stop=("END",), reasoning_effort="none"),
            response_format=ResponseFormat("json"),
        ),
        model="fake-model",
    )
    assert warnings == []
    assert msgspec.json.decode(ours) == fake.last.json


@pytest.mark.behaviour("LOCL-12", "LOCL-13", "LOCL-14", "LOCL-15")
async def test_the_official_client_keeps_models(fake: FakeOllama, client: ollama.AsyncClient) -> None:
    steps = [step async for step in await client.pull("llama3.2", stream=True)]
    assert (steps[-1].status, max(step.completed or 0 for step in steps)) == ("success", 2_019_393_189)
    assert {model.model: model.size for model in (await client.list()).models} == {
        "fake-model:latest": 2_019_393_189,
        "llama3.2:latest": 2_019_393_189,
    }
    shown = await client.show("llama3.2")
    assert (shown.modelinfo or {})["llama.context_length"] == 131_072
    assert "tools" in (shown.capabilities or [])
    await client.copy("llama3.2", "mine")
    await client.delete("llama3.2")
    with pytest.raises(ollama.ResponseError, match="not found"):
        await client.delete("llama3.2")
    await client.generate("mine", keep_alive="5m")
    assert [model.name for model in (await client.ps()).models] == ["mine:latest"]
    await client.generate("mine", keep_alive=0)
    assert (await client.ps()).models == []
    vectors = await client.embed("mine", ["a", "b"])
    assert [len(vector) for vector in vectors.embeddings] == [8, 8]
    assert len((await client.embeddings("mine", "a")).embedding) == 8


async def test_the_official_client_sees_the_faults(fake: FakeOllama, client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as missing:
        await client.chat("nope", [{"role": "user", "content": "hi"}])
    assert missing.value.status_code == 404
    fake.behaviour = Behaviour(error_after=1, message="engine died")
    with pytest.raises(ollama.ResponseError, match="engine died"):
        async for _ in await client.chat("fake-model", [{"role": "user", "content": "Count to 5"}], stream=True):
            pass
    fake.behaviour = Behaviour(status=503, message="server busy, please try again")
    with pytest.raises(ollama.ResponseError, match="server busy"):
        await client.chat("fake-model", [{"role": "user", "content": "hi"}])
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        await client.pull("nope")
