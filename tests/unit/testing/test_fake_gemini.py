"""Google's own client against the fake: what it accepts, real code of theirs has read."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from jackfield.testing.fake_gemini import FakeGemini
from jackfield.testing.fake_server import Behaviour

WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", parameters_json_schema={"type": "object", "properties": {"city": {}}})
    ]
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeGemini]:
    async with FakeGemini(require_key="a-key", page_size=2) as serving:
        yield serving


@pytest.fixture
async def client(fake: FakeGemini) -> AsyncIterator[Any]:
    made = genai.Client(api_key="a-key", http_options=types.HttpOptions(base_url=fake.root_url))
    try:
        yield made.aio
    finally:
        await made.aio.aclose()
        made.close()


@pytest.mark.behaviour("GEM-01", "TEST-07")
async def test_google_s_client_reads_plain_answers_streams_and_calls(fake: FakeGemini, client: Any) -> None:
    plain = await client.models.generate_content(model="fake-model", contents="Count to 5")
    assert plain.text == "1, 2, 3, 4, 5"
    assert plain.usage_metadata.total_token_count > plain.usage_metadata.prompt_token_count > 0
    stream = await client.models.generate_content_stream(model="fake-model", contents="Count to 5")
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    assert len(chunks) == 5
    assert chunks[-1].usage_metadata.total_token_count == plain.usage_metadata.total_token_count
    config = types.GenerateContentConfig(
        tools=[WEATHER], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    called = await client.models.generate_content(model="fake-model", contents="weather in Paris?", config=config)
    (call,) = called.function_calls
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})
    assert called.candidates[0].content.parts[0].thought_signature == b"Fake signature"


async def test_google_s_client_reads_thoughts_limits_counts_vectors_and_pages(fake: FakeGemini, client: Any) -> None:
    thinking = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True), max_output_tokens=2)
    cut = await client.models.generate_content(model="fake-model", contents="Count to 9", config=thinking)
    assert [part.thought for part in cut.candidates[0].content.parts] == [True, None]
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert (await client.models.count_tokens(model="fake-model", contents="one two three")).total_tokens == 3
    vectors = await client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert [len(vector.values) for vector in vectors.embeddings] == [8, 8]
    listed = [model.name async for model in await client.models.list(config={"page_size": 2})]
    assert listed == [f"models/{model}" for model in fake.models]


async def test_google_s_client_raises_what_the_fake_refuses(fake: FakeGemini, client: Any) -> None:
    fake.behaviour = Behaviour(status=429, message="slow down")
    with pytest.raises(errors.ClientError) as limited:
        await client.models.generate_content(model="fake-model", contents="hi")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    fake.behaviour = Behaviour(error_after=1, message="engine died")
    with pytest.raises(errors.APIError, match="engine died"):
        async for _ in await client.models.generate_content_stream(model="fake-model", contents="Count to 9"):
            pass
