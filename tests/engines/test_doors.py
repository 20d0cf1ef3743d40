"""The doors of other dialects in front of a real llama-server: translated, and passed through where it speaks their dialect."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from anthropic import AsyncAnthropic
from google import genai
from google.genai import types

from engine_servers import WEATHER_TOOL, EngineServer
from running_gateway import Gateway, running_gateway

pytestmark = pytest.mark.engine

COUNT = "Count to 5"
COUNTED = "1, 2, 3, 4, 5"
QUESTION = "What is the weather in Paris?"
TOOL: Any = WEATHER_TOOL["function"]
TRANSLATED, PASSED = "slot-0", "slot-1"
"""llama-server by OpenAI's dialect, and by its own `/v1/messages`."""
BOTH = pytest.mark.parametrize("model", [TRANSLATED, PASSED], ids=["translated", "passed through"])


@pytest.fixture
async def gateway(tmp_path: Path, llama: EngineServer) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, {"LOCAL": "none"}) as running:
        await running.plug(0, "llama-server", base_url=llama.base_url)
        await running.plug(1, "anthropic", base_url=llama.base_url, model=llama.model, api_key="env:LOCAL")
        yield running


@pytest.fixture
async def claude(gateway: Gateway) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def google(gateway: Gateway) -> AsyncIterator[Any]:
    options = types.HttpOptions(base_url=gateway.url, timeout=30_000)
    with genai.Client(api_key="none", http_options=options) as client:
        async with client.aio as asynchronous:
            yield asynchronous


@BOTH
async def test_claudes_client_asks_and_streams(claude: AsyncAnthropic, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 60, "extra_body": {"temperature": 0}}
    reply = await claude.messages.create(messages=[{"role": "user", "content": "ping"}], **asked)
    assert [block.text for block in reply.content if block.type == "text"] == ["pong"]
    assert reply.stop_reason == "end_turn"
    async with claude.messages.stream(messages=[{"role": "user", "content": COUNT}], **asked) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(pieces) == COUNTED
    assert len(pieces) > 1
    assert final.usage.output_tokens > 1


@BOTH
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_claudes_client_calls_a_tool(claude: AsyncAnthropic, model: str, streamed: bool) -> None:
    tool: Any = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}
    question: Any = [{"role": "user", "content": QUESTION}]
    asked: Any = {"model": model, "max_tokens": 60, "tools": [tool], "extra_body": {"temperature": 0}}
    if streamed:
        async with claude.messages.stream(messages=question, **asked) as stream:
            reply: Any = await stream.get_final_message()
    else:
        reply = await claude.messages.create(messages=question, **asked)
    (call,) = [block for block in reply.content if block.type == "tool_use"]
    assert (call.name, call.input, reply.stop_reason) == ("get_weather", {"city": "Paris"}, "tool_use")
    turn: Any = {"role": "assistant", "content": [call.model_dump(exclude_none=True)]}
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    answer = await claude.messages.create(messages=[*question, turn, result], **asked)
    assert "sunny" in "".join(block.text for block in answer.content if block.type == "text")


@BOTH
async def test_claudes_client_counts(claude: AsyncAnthropic, model: str) -> None:
    counted = await claude.messages.count_tokens(model=model, messages=[{"role": "user", "content": COUNT}])
    assert 1 <= counted.input_tokens < 60


async def test_googles_client_asks_and_streams(google: Any) -> None:
    config = types.GenerateContentConfig(temperature=0, max_output_tokens=60)
    reply = await google.models.generate_content(model=TRANSLATED, contents="ping", config=config)
    assert reply.text == "pong"
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    stream = await google.models.generate_content_stream(model=TRANSLATED, contents=COUNT, config=config)
    pieces = [chunk.text async for chunk in stream if chunk.text]
    assert "".join(pieces) == COUNTED
    assert len(pieces) > 1


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_googles_client_calls_a_tool(google: Any, streamed: bool) -> None:
    declared = types.FunctionDeclaration(
        name=TOOL["name"], description=TOOL["description"], parameters_json_schema=TOOL["parameters"]
    )
    config = types.GenerateContentConfig(
        temperature=0,
        max_output_tokens=60,
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    question = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    asked: Any = {"model": TRANSLATED, "contents": [question], "config": config}
    if streamed:
        chunks = [chunk async for chunk in await google.models.generate_content_stream(**asked)]
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
    else:
        calls = (await google.models.generate_content(**asked)).function_calls or []
    (call,) = calls
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})
    turn = types.Content(role="model", parts=[types.Part(function_call=call)])
    response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"})
    result = types.Content(role="user", parts=[types.Part(function_response=response)])
    answer = await google.models.generate_content(model=TRANSLATED, contents=[question, turn, result], config=config)
    assert "sunny" in (answer.text or "")


async def test_a_prompt_that_does_not_fit_is_told_in_the_clients_words(gateway: Gateway) -> None:
    long = "a " * 20_000
    claude = await gateway.http.post(
        "/v1/messages", json={"model": TRANSLATED, "max_tokens": 9, "messages": [{"role": "user", "content": long}]}
    )
    assert (claude.status_code, claude.json()["error"]["type"]) == (400, "invalid_request_error")
    google = await gateway.http.post(
        f"/v1beta/models/{TRANSLATED}:generateContent", json={"contents": [{"role": "user", "parts": [{"text": long}]}]}
    )
    assert (google.status_code, google.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.fixture
async def llamas(gateway: Gateway) -> AsyncIterator[ollama.AsyncClient]:
    made = ollama.AsyncClient(host=gateway.url, timeout=30, trust_env=False)
    yield made
    await made.close()  # type: ignore[no-untyped-call]


async def test_ollamas_client_asks_and_streams(llamas: ollama.AsyncClient) -> None:
    options = {"temperature": 0, "num_predict": 60}
    reply = await llamas.chat(TRANSLATED, [{"role": "user", "content": "ping"}], options=options)
    assert (reply.message.content, reply.done, reply.done_reason) == ("pong", True, "stop")
    chunks = [
        chunk
        async for chunk in await llamas.chat(TRANSLATED, [{"role": "user", "content": COUNT}], options=options, stream=True)
    ]
    assert "".join(chunk.message.content or "" for chunk in chunks) == COUNTED
    assert len(chunks) > 2
    assert (chunks[-1].prompt_eval_count or 0) > 0
    assert (chunks[-1].eval_count or 0) > 1
    written = await llamas.generate(TRANSLATED, COUNT, options=options)
    assert written.response == COUNTED
    assert (await llamas.show(TRANSLATED)).modelinfo
    assert "tiny" in {model.model for model in (await llamas.list()).models}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_ollamas_client_calls_a_tool(llamas: ollama.AsyncClient, streamed: bool) -> None:
    question = {"role": "user", "content": QUESTION}
    asked: Any = {"model": TRANSLATED, "tools": [WEATHER_TOOL], "options": {"temperature": 0, "num_predict": 60}}
    if streamed:
        chunks = [chunk async for chunk in await llamas.chat(messages=[question], stream=True, **asked)]
    else:
        chunks = [await llamas.chat(messages=[question], **asked)]
    (call,) = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
    turn = {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_name": "get_weather", "content": "sunny"}
    answer = await llamas.chat(messages=[question, turn, result], **asked)
    assert "sunny" in (answer.message.content or "")


async def test_ollamas_client_gets_the_form_it_asks_for(llamas: ollama.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    reply = await llamas.chat(
        TRANSLATED, [{"role": "user", "content": COUNT}], format=schema, options={"temperature": 0, "num_predict": 60}
    )
    assert isinstance(json.loads(reply.message.content or "")["n"], int)


@pytest.mark.behaviour("HTTP-05", "HTTP-06", "DOOR-06")
async def test_a_server_of_ollamas_api_is_passed_through_and_its_models_come_and_go(
    gateway: Gateway, llamas: ollama.AsyncClient, lemonade: EngineServer
) -> None:
    await gateway.plug(2, "ollama", base_url=lemonade.root_url, model=lemonade.model)
    options = {"temperature": 0}
    chunks = [
        chunk async for chunk in await llamas.chat("slot-2", [{"role": "user", "content": COUNT}], options=options, stream=True)
    ]
    assert "".join(chunk.message.content or "" for chunk in chunks) == COUNTED
    assert [chunk.done for chunk in chunks].count(True) == 1
    held = await gateway.http.post("/models/unload", json={"model": "slot-2"})
    assert (held.status_code, (await gateway.http.get("/models/loaded")).json()["data"]) == (200, [])
    assert (await llamas.ps()).models == []
    assert (await gateway.http.post("/models/load", json={"model": "tiny-llm"})).json()["slot"] == 2
    (entry,) = (await gateway.http.get("/models/loaded")).json()["data"]
    assert (entry["slot"], entry["provider"], entry["model"]) == (2, "ollama", "tiny-llm:latest")
    assert [model.model for model in (await llamas.ps()).models] == ["tiny-llm:latest"]
    assert (await llamas.show("slot-2")).capabilities
    refused = await gateway.http.post("/models/load", json={"model": "slot-2", "hardware": "cpu"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "hardware")
    assert (await gateway.http.post("/models/load", json={"model": "ollama/nope"})).status_code == 404
    assert (await gateway.http.post("/models/unload", json={"model": "tiny-llm"})).status_code == 200
    assert (await gateway.http.get("/models/loaded")).json()["data"] == []
