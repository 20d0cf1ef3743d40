"""OpenAI's calls beyond chat in front of a real llama-server: passed through, translated, and reckoned with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from engine_servers import EMBED_MODEL, WEATHER_TOOL, EngineServer, llama_server
from running_gateway import Gateway, running_gateway

pytestmark = pytest.mark.engine

COUNT, COUNTED = "Count to 5", "1, 2, 3, 4, 5"
COMPLETES, CHATS, RANKS, EMBEDS = "slot-0", "slot-1", "slot-2", "slot-3"
"""llama-server with its prompts as they are, and as chats; one that reranks, and one that embeds."""
TOOL: Any = {"type": "function", **WEATHER_TOOL["function"], "strict": False}


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    folder = tmp_path_factory.mktemp("ranker")
    with llama_server(folder, "--reranking", model=EMBED_MODEL, alias="tiny-rank") as server:
        yield server


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    folder = tmp_path_factory.mktemp("embedder")
    with llama_server(folder, "--embeddings", model=EMBED_MODEL, alias="tiny-embed") as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, llama: EngineServer, ranker: EngineServer, embedder: EngineServer) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path) as running:
        await running.plug(0, "llama-server", base_url=llama.base_url)
        await running.plug(1, "openai-compat", base_url=llama.base_url, model=llama.model)
        await running.plug(2, "llama-server", base_url=ranker.base_url)
        await running.plug(3, "llama-server", base_url=embedder.base_url)
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with gateway.openai() as made:
        yield made


async def test_a_prompt_is_completed_as_it_is(gateway: Gateway, llama: EngineServer, client: AsyncOpenAI) -> None:
    """With the bare prompt the engine goes on where a chat would answer: the two differ, and each is the engine's own."""
    asked: Any = {"prompt": COUNT, "max_tokens": 5, "temperature": 0}
    told = await client.completions.create(model=COMPLETES, logprobs=1, **asked)
    async with AsyncOpenAI(base_url=llama.base_url, api_key="none") as direct:
        assert told.choices[0].text == (await direct.completions.create(model=llama.model, **asked)).choices[0].text
    assert told.choices[0].text != COUNTED[: len(told.choices[0].text)]
    assert told.choices[0].logprobs is not None
    assert told.usage is not None
    (row,) = gateway.rows()
    assert (row.prompt_tokens, row.completion_tokens) == (told.usage.prompt_tokens, told.usage.completion_tokens)


@pytest.mark.parametrize("prompt", [["ping", "ping"], [[1, 2, 3], [4, 5]]], ids=["texts", "tokens"])
async def test_several_prompts_are_answered_each(client: AsyncOpenAI, prompt: Any) -> None:
    told = await client.completions.create(model=COMPLETES, prompt=prompt, max_tokens=4, temperature=0)
    assert [choice.index for choice in told.choices] == [0, 1]


async def test_a_prompt_is_a_chat_where_nothing_else_is_known_of_the_source(client: AsyncOpenAI) -> None:
    told = await client.completions.create(model=CHATS, prompt=COUNT, max_tokens=60, temperature=0)
    assert (told.choices[0].text, told.choices[0].finish_reason) == (COUNTED, "stop")


@pytest.mark.parametrize("model", [COMPLETES, CHATS])
async def test_a_completion_streams_with_its_true_count(gateway: Gateway, client: AsyncOpenAI, model: str) -> None:
    stream = await client.completions.create(
        model=model, prompt=COUNT, max_tokens=4, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].text for chunk in chunks if chunk.choices and chunk.choices[0].text]
    assert len(texts) > 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    used = chunks[-1].usage
    assert used is not None
    assert (gateway.rows()[0].completion_tokens, used.completion_tokens) == (4, 4)


@pytest.mark.behaviour("HTTP-03")
@pytest.mark.parametrize("form", ["float", "base64"])
async def test_vectors_are_the_engines_own(embedder: EngineServer, client: AsyncOpenAI, form: Any) -> None:
    texts = ["the cat sat", "a dog"]
    told = await client.embeddings.create(model=EMBEDS, input=texts, encoding_format=form)
    async with AsyncOpenAI(base_url=embedder.base_url, api_key="none") as direct:
        own = await direct.embeddings.create(model=embedder.model, input=texts, encoding_format="float")
    if form == "float":
        for mine, theirs in zip(told.data, own.data, strict=True):
            assert mine.embedding == pytest.approx(theirs.embedding, abs=1e-4)
    assert [item.index for item in told.data] == [0, 1]
    assert told.usage.prompt_tokens > 0


async def test_documents_are_ranked_by_the_engine(gateway: Gateway) -> None:
    documents = ["a dog", "a cat sat", "the fox"]
    body = {"model": RANKS, "query": "a cat", "documents": documents, "top_n": 2, "return_documents": True}
    said = await gateway.http.post("/v1/rerank", json=body)
    assert said.status_code == 200, said.text
    results = said.json()["results"]
    assert len(results) == 2
    assert results[0]["relevance_score"] >= results[1]["relevance_score"]
    assert [result["document"]["text"] for result in results] == [documents[result["index"]] for result in results]
    assert gateway.rows()[0].prompt_tokens > 0


async def test_a_response_goes_on_where_the_last_one_ended(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model=COMPLETES, input=COUNT, max_output_tokens=60, temperature=0)
    assert (first.output_text, first.status) == (COUNTED, "completed")
    assert first.usage is not None
    assert first.usage.output_tokens > 1
    second = await client.responses.create(
        model=COMPLETES, input="ping", previous_response_id=first.id, max_output_tokens=60, temperature=0
    )
    assert second.output_text
    items = await client.responses.input_items.list(second.id)
    assert len(items.data) == 3
    await client.responses.delete(first.id)


async def test_a_response_streams_and_calls_a_tool(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model=COMPLETES, input=COUNT, max_output_tokens=60, temperature=0) as stream:
        pieces = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(pieces) == final.output_text == COUNTED
    assert len(pieces) > 1
    question: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked: Any = {"model": COMPLETES, "tools": [TOOL], "max_output_tokens": 60, "temperature": 0}
    called = await client.responses.create(input=question, **asked)
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert (call.name, call.arguments.replace(" ", "")) == ("get_weather", '{"city":"Paris"}')
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    answer = await client.responses.create(input=[result], previous_response_id=called.id, **asked)
    assert "sunny" in answer.output_text


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_tool_that_nobody_described_is_taken_though_the_engine_refuses_a_null(
    gateway: Gateway, llama: EngineServer, stream: bool
) -> None:
    function = {**WEATHER_TOOL["function"], "description": None}
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    body = {"messages": question, "tools": [{"type": "function", "function": function}], "temperature": 0, "stream": stream}
    refused = await gateway.http.post(f"{llama.base_url}/chat/completions", json={**body, "model": llama.model})
    assert refused.status_code >= 400, "the engine takes it now: the quirk can go"
    told = await gateway.http.post("/v1/chat/completions", json={**body, "model": COMPLETES, "max_tokens": 60})
    assert told.status_code == 200, told.text
    assert "get_weather" in told.text
