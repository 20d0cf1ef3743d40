"""The Gemini door, seen by the official SDK: in front of a source of its own dialect, and of one of OpenAI's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types
from google.genai._api_client import HttpResponse

from jackfield.doors.gemini.dialect import GeminiEvents
from jackfield.testing.fake_gemini import SIGNATURE, FakeGemini
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

OWN, OTHER = "slot-1", "slot-0"
"""Slots whose source speaks this dialect, and OpenAI's."""
BOTH = pytest.mark.parametrize("model", [OWN, OTHER], ids=["passed through", "translated"])
PING: Any = {"contents": [{"role": "user", "parts": [{"text": "ping"}]}]}
COUNT: Any = {"contents": [{"role": "user", "parts": [{"text": "Count to 5"}]}]}
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather in a city",
            parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        )
    ]
)


@pytest.fixture
async def google() -> AsyncIterator[FakeGemini]:
    async with FakeGemini() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, fake: FakeOpenAI, google: FakeGemini) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, {"GEMINI_API_KEY": "k"}) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await running.plug(1, "gemini", base_url=google.base_url, model="gemini-2.5-flash")
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Any]:
    async with sdk(gateway) as client:
        yield client


@asynccontextmanager
async def sdk(gateway: Gateway, version: str = "v1beta") -> AsyncIterator[Any]:
    options = types.HttpOptions(base_url=gateway.url, api_version=version, timeout=20_000)
    with genai.Client(api_key="none", http_options=options) as client:
        async with client.aio as asynchronous:
            yield asynchronous


def at(model: str, verb: str, version: str = "/v1beta") -> str:
    return f"{version}/models/{model}:{verb}"


@pytest.mark.behaviour("DOOR-04")
@BOTH
async def test_a_plain_answer(client: Any, model: str) -> None:
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100)
    reply = await client.models.generate_content(model=model, contents="ping", config=config)
    assert reply.text == "pong"
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    assert reply.usage_metadata.prompt_token_count > 0
    assert reply.usage_metadata.candidates_token_count > 0


@pytest.mark.behaviour("DOOR-04")
@BOTH
async def test_a_stream_is_the_plain_answer_in_pieces(client: Any, model: str) -> None:
    stream = await client.models.generate_content_stream(model=model, contents="Count to 5")
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.text for chunk in chunks if chunk.text]
    assert "".join(pieces) == "1, 2, 3, 4, 5"
    assert len(pieces) > 1
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count > 0


@BOTH
async def test_a_chat_keeps_its_history(client: Any, model: str) -> None:
    chat = client.chats.create(model=model)
    await chat.send_message("hello")
    async for _ in await chat.send_message_stream("ping"):
        pass
    turns = chat.get_history(curated=True)
    assert [turn.role for turn in turns][:3] == ["user", "model", "user"]
    assert "pong" in "".join(part.text or "" for turn in turns[3:] for part in turn.parts)


@pytest.mark.behaviour("DOOR-04")
@BOTH
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_a_tool_is_called_and_its_result_answered(client: Any, model: str, streamed: bool) -> None:
    config = types.GenerateContentConfig(
        tools=[WEATHER], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    question = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])
    asked: Any = {"model": model, "contents": [question], "config": config}
    if streamed:
        chunks = [chunk async for chunk in await client.models.generate_content_stream(**asked)]
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
    else:
        calls = (await client.models.generate_content(**asked)).function_calls or []
    (call,) = calls
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})
    turn = types.Content(role="model", parts=[types.Part(function_call=call)])
    response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"})
    result = types.Content(role="user", parts=[types.Part(function_response=response)])
    answer = await client.models.generate_content(model=model, contents=[question, turn, result], config=config)
    assert "sunny" in (answer.text or "")


@pytest.mark.behaviour("DOOR-04")
@BOTH
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_thoughts_are_told_as_thoughts(client: Any, model: str, streamed: bool) -> None:
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024))
    asked: Any = {"model": model, "contents": "ping", "config": config}
    if streamed:
        replies = [chunk async for chunk in await client.models.generate_content_stream(**asked)]
    else:
        replies = [await client.models.generate_content(**asked)]
    parts = [part for reply in replies for part in reply.candidates[0].content.parts or ()]
    assert "".join(part.text for part in parts if part.thought).strip() == "Let me think."
    assert "".join(part.text or "" for part in parts if not part.thought) == "pong"


async def test_signatures_and_fields_that_nobody_names_reach_the_source_as_they_came(
    gateway: Gateway, google: FakeGemini
) -> None:
    turn = {"role": "model", "parts": [{"text": "Hi", "thoughtSignature": SIGNATURE}]}
    body = {
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}, turn, *PING["contents"]],
        "safetySettings": [],
        "newField": {"kept": [1, 2.50]},
    }
    reply = await gateway.http.post(at(OWN, "generateContent"), json=body)
    assert reply.status_code == 200, reply.text
    assert google.requests[-1].json == body
    assert google.requests[-1].path.endswith("/models/gemini-2.5-flash:generateContent")


@pytest.mark.parametrize("version", ["/v1beta", "/v1", "/v1alpha", "", "/v1beta/v1beta"])
@pytest.mark.parametrize("model", ["slot-0", "openai-compat/fake-model", "models/slot-0"])
async def test_base_urls_and_names_that_people_write_all_work(gateway: Gateway, version: str, model: str) -> None:
    reply = await gateway.http.post(at(model, "generateContent", version), json=PING)
    assert reply.status_code == 200, reply.text
    assert reply.json()["candidates"][0]["content"]["parts"] == [{"text": "pong"}]


async def test_the_sdk_may_ask_for_another_version(gateway: Gateway) -> None:
    async with sdk(gateway, "v1") as client:
        assert (await client.models.generate_content(model=OTHER, contents="ping")).text == "pong"
        assert f"models/{OTHER}" in [model.name async for model in await client.models.list()]


@BOTH
async def test_without_alt_a_stream_is_one_array(gateway: Gateway, model: str) -> None:
    reply = await gateway.http.post(at(model, "streamGenerateContent"), json=COUNT)
    assert reply.headers["content-type"] == "application/json"
    answers = reply.json()
    parts = [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts) == "1, 2, 3, 4, 5"
    assert len(answers) > 1
    assert answers[-1]["candidates"][0]["finishReason"] == "STOP"


@BOTH
@pytest.mark.parametrize("alt", ["", "?alt=sse"])
async def test_a_stream_that_breaks_ends_in_an_error(
    gateway: Gateway, fake: FakeOpenAI, google: FakeGemini, model: str, alt: str
) -> None:
    fake.behaviour = google.behaviour = Behaviour(cut_after=4)
    reply = await gateway.http.post(at(model, "streamGenerateContent") + alt, json=COUNT)
    if alt:
        lines = [line for line in reply.text.splitlines() if line]
        told = [json.loads(line.removeprefix("data: ")) for line in lines]
    else:
        told = reply.json()
    assert told[0]["candidates"]
    assert "STOP" not in reply.text
    error = told[-1]["error"]
    assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
    assert error["details"][0]["reason"] == "STREAM_BROKEN"


@pytest.mark.parametrize("alt", ["", "?alt=sse"])
async def test_a_source_that_does_not_stream_is_streamed_all_the_same(gateway: Gateway, google: FakeGemini, alt: str) -> None:
    google.behaviour = Behaviour(ignores_stream=True)
    reply = await gateway.http.post(at(OWN, "streamGenerateContent") + alt, json=PING)
    assert reply.status_code == 200
    assert "pong" in reply.text
    assert reply.text.startswith("data: " if alt else "[")


@pytest.mark.behaviour("DOOR-02")
@BOTH
async def test_tokens_are_counted_without_an_answer(client: Any, fake: FakeOpenAI, google: FakeGemini, model: str) -> None:
    counted = await client.models.count_tokens(model=model, contents="Count to 5")
    assert 1 <= counted.total_tokens < 20
    assert (google.completions, fake.completions) == (0, 0)
    if model == OWN:
        assert google.requests[-1].path.endswith(":countTokens")


async def test_a_count_may_hold_the_whole_request(gateway: Gateway) -> None:
    whole = {"model": f"models/{OTHER}", **COUNT, "systemInstruction": {"parts": [{"text": "word " * 400}]}}
    reply = await gateway.http.post(at(OTHER, "countTokens"), json={"generateContentRequest": whole})
    assert reply.json()["totalTokens"] > 400
    assert reply.headers["x-jackfield-counted-by"] == "estimate"


@pytest.mark.behaviour("DOOR-04")
@BOTH
async def test_vectors_in_the_order_of_their_texts(gateway: Gateway, client: Any, model: str) -> None:
    reply = await client.models.embed_content(
        model=model, contents=["one", "fourteen", "seven"], config=types.EmbedContentConfig(output_dimensionality=4)
    )
    vectors = [embedding.values for embedding in reply.embeddings]
    assert [len(vector) for vector in vectors] == [4, 4, 4]
    assert len({tuple(vector) for vector in vectors}) == 3
    body = {"content": {"parts": [{"text": "fourteen"}]}, "outputDimensionality": 4}
    one = await gateway.http.post(at(model, "embedContent"), json=body)
    assert one.json()["embedding"]["values"] == vectors[1]
    assert gateway.rows()[0].outcome == "ok"


async def test_models_have_this_dialects_shape(gateway: Gateway, client: Any) -> None:
    listed = [model async for model in await client.models.list(config={"page_size": 2})]
    names = [model.name for model in listed]
    assert {f"models/{name}" for name in (OWN, OTHER, "gemini-2.5-flash", "fake-model")} <= set(names)
    assert len(names) == len(set(names))
    one = await client.models.get(model="fake-model")
    assert (one.name, "generateContent" in one.supported_actions) == ("models/fake-model", True)
    assert (await gateway.http.get("/v1/models")).json()["object"] == "list"


async def test_what_is_wrong_is_told_in_this_dialects_shape(client: Any, gateway: Gateway) -> None:
    with pytest.raises(errors.ClientError) as missing:
        await client.models.generate_content(model="nobody", contents="ping")
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError):
        await client.models.get(model="nobody")
    wrong = {"contents": [{"role": "user", "parts": [{"text": 5}]}]}
    reply = await gateway.http.post(at(OTHER, "generateContent"), json=wrong)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["details"][0]["metadata"]["param"] == "contents[0].parts[0].text"
    for path, status in ((at(OTHER, "fineTune"), 405), ("/v1beta/files", 404), ("/v1beta/cachedContents", 404)):
        reply = await gateway.http.post(path, json={})
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, status)
    for query in ("pageSize=x", "pageToken=x"):
        assert (await gateway.http.get(f"/v1beta/models?{query}")).json()["error"]["status"] == "INVALID_ARGUMENT"


@BOTH
async def test_a_sources_error_keeps_its_meaning(client: Any, fake: FakeOpenAI, google: FakeGemini, model: str) -> None:
    fake.behaviour = google.behaviour = Behaviour(status=400, message="that is not possible")
    with pytest.raises(errors.ClientError, match="that is not possible"):
        await client.models.generate_content(model=model, contents="ping")


@BOTH
async def test_the_settings_of_a_slot_count_where_the_client_says_nothing(
    gateway: Gateway, client: Any, fake: FakeOpenAI, google: FakeGemini, model: str
) -> None:
    settings = {"temperature": 0.25, "stop": ["END"], "parallel_tool_calls": False}
    await gateway.house.registry.mutate_slot(int(model[-1]), settings=settings)
    await client.models.generate_content(model=model, contents="ping")
    if model == OWN:
        sent = google.requests[-1].json
        assert sent["generationConfig"] == {"temperature": 0.25, "stopSequences": ["END"]}
        assert not {"parallel_tool_calls", "jackfield"} & set(sent)
    else:
        sent = fake.requests[-1].json
        assert (sent["temperature"], sent["stop"], sent["parallel_tool_calls"]) == (0.25, ["END"], False)
        assert "jackfield" not in sent


def test_a_sign_of_life_is_skipped_by_the_official_client() -> None:
    """It would take a comment for an answer; an empty line it does not."""
    said = b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}\n\n'
    stream = httpx.Response(200, content=said + GeminiEvents.keep_alive + said)
    assert len(list(HttpResponse({}, stream).segments())) == 2


@pytest.mark.parametrize("hang", ["before", "inside"])
async def test_a_client_that_leaves_cancels_upstream(gateway: Gateway, fake: FakeOpenAI, google: FakeGemini, hang: str) -> None:
    for source, model in ((google, OWN), (fake, OTHER)):
        source.behaviour = Behaviour(hang=hang)  # type: ignore[arg-type]
        body, path = json.dumps(COUNT).encode(), at(model, "streamGenerateContent") + "?alt=sse"
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
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
async def test_a_long_wait_is_filled_with_nothing_that_breaks_the_client(
    tmp_path: Path, fake: FakeOpenAI, google: FakeGemini, model: str
) -> None:
    fake.behaviour = google.behaviour = Behaviour(first_event_delay_s=0.3)
    async with running_gateway(tmp_path / "other", {"GEMINI_API_KEY": "k"}, server={"heartbeat_s": 0.06}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await gateway.plug(1, "gemini", base_url=google.base_url, model="gemini-2.5-flash")
        raw = await gateway.http.post(at(model, "streamGenerateContent") + "?alt=sse", json=COUNT)
        assert raw.text.startswith("\n\n")
        assert (await gateway.http.post(at(model, "streamGenerateContent"), json=COUNT)).json()
        async with sdk(gateway) as client:
            stream = await client.models.generate_content_stream(model=model, contents="Count to 5")
            assert "".join([chunk.text async for chunk in stream if chunk.text]) == "1, 2, 3, 4, 5"


async def test_a_stream_that_another_source_took_up_is_whole_for_the_sdk(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as other:
        fake.behaviour = Behaviour(cut_after=4)
        await gateway.plug(2, "openai-compat", base_url=other.base_url, model="fake-model")
        body = {**COUNT, "provider": {"order": ["slot-0", "slot-2"]}}
        path = at("fake-model", "streamGenerateContent") + "?alt=sse"
        reply = await gateway.http.post(path, json=body, headers={"x-jackfield-continue": "1"})
        told = [json.loads(line.removeprefix("data: ")) for line in reply.text.splitlines() if line]
        parts = [part for answer in told for part in answer["candidates"][0]["content"]["parts"]]
        assert "".join(part["text"] for part in parts) == "1, 2, 3, 4, 5"
        assert (fake.completions, other.completions) == (1, 1)
