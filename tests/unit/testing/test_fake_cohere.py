"""Cohere's own client against the fake: what it accepts, real code of theirs has read."""

from collections.abc import AsyncIterator

import cohere
import pytest
from cohere.core.api_error import ApiError
from cohere.core.request_options import RequestOptions
from cohere.errors import NotFoundError, TooManyRequestsError, UnauthorizedError

from golden.cohere_judge import assert_known
from jackfield.testing.fake_cohere import PLAN, FakeCohere
from jackfield.testing.fake_server import Behaviour

ASKED: list[cohere.ChatMessageV2] = [cohere.UserChatMessageV2(content="Count to 5")]
WEATHER = cohere.ToolV2(function=cohere.ToolV2Function(name="get_weather", parameters={"type": "object"}))
ONCE = RequestOptions(max_retries=0, timeout_in_seconds=5)


@pytest.fixture
async def fake() -> AsyncIterator[FakeCohere]:
    async with FakeCohere(require_key="a-key", page_size=2) as serving:
        yield serving


@pytest.fixture
async def client(fake: FakeCohere) -> AsyncIterator[cohere.AsyncClientV2]:
    async with cohere.AsyncClientV2("a-key", base_url=fake.root_url) as made:
        yield made


@pytest.mark.behaviour("COH-01", "TEST-07")
async def test_cohere_s_client_reads_plain_answers_streams_and_calls(client: cohere.AsyncClientV2) -> None:
    plain = await client.chat(model="fake-model", messages=ASKED)
    assert_known(plain, "answer")
    assert plain.message.content is not None
    assert [block.type for block in plain.message.content] == ["text"]
    assert getattr(plain.message.content[0], "text", "") == "1, 2, 3, 4, 5"
    events = [event async for event in client.chat_stream(model="fake-model", messages=ASKED)]
    for event in events[1:]:  # the first one tells of empty fields that its type leaves out
        assert_known(event, event.type)
    texts = [event.delta.message.content.text for event in events if event.type == "content-delta"]  # type: ignore[union-attr]
    assert "".join(map(str, texts)) == "1, 2, 3, 4, 5"
    end = events[-1]
    assert isinstance(end, cohere.MessageEndV2ChatStreamResponse)
    assert end.delta is not None
    assert (end.delta.finish_reason, end.delta.usage) == ("COMPLETE", plain.usage)
    question: list[cohere.ChatMessageV2] = [cohere.UserChatMessageV2(content="weather in Paris?")]
    called = await client.chat(model="fake-model", messages=question, tools=[WEATHER])
    assert_known(called, "answer")
    assert (called.finish_reason, called.message.tool_plan) == ("TOOL_CALL", PLAN)
    assert called.message.tool_calls is not None
    assert called.message.tool_calls[0].function == cohere.ToolCallV2Function(name="get_weather", arguments='{"city": "Paris"}')


async def test_cohere_s_client_reads_thoughts_vectors_rankings_and_models(client: cohere.AsyncClientV2) -> None:
    thinking = cohere.Thinking(type="enabled", token_budget=64)
    cut = await client.chat(model="fake-model", messages=ASKED, thinking=thinking, max_tokens=2)
    assert [block.type for block in cut.message.content or []] == ["thinking", "text"]
    assert cut.finish_reason == "MAX_TOKENS"
    vectors = await client.embed(
        model="embed-v5.0-fast", input_type="search_query", texts=["a", "b"], embedding_types=["float"], output_dimension=4
    )
    assert_known(vectors, "vectors")
    assert [len(vector) for vector in vectors.embeddings.float_ or []] == [4, 4]
    ranked = await client.rerank(model="rerank-v5.0-pro", query="blue sky", documents=["red", "a blue sky"], top_n=1)
    assert_known(ranked, "ranking")
    assert [result.index for result in ranked.results] == [1]
    page = await client.models.list(page_size=3)
    assert_known(page, "models")
    assert len(page.models) == 2
    following = await client.models.list(page_size=3, page_token=page.next_page_token)
    assert following.models[0].name not in [model.name for model in page.models]


async def test_cohere_s_client_raises_what_the_fake_refuses(fake: FakeCohere, client: cohere.AsyncClientV2) -> None:
    with pytest.raises(NotFoundError, match="not found"):
        await client.chat(model="another", messages=ASKED, request_options=ONCE)
    fake.behaviour = Behaviour(status=429, message="slow down")
    with pytest.raises(TooManyRequestsError, match="slow down"):
        await client.chat(model="fake-model", messages=ASKED, request_options=ONCE)
    fake.behaviour = Behaviour(status=529)
    with pytest.raises(ApiError):
        await client.chat(model="fake-model", messages=ASKED, request_options=ONCE)
    fake.behaviour = Behaviour(error_after=2, message="engine died")
    *_, last = [event async for event in client.chat_stream(model="fake-model", messages=ASKED)]
    assert isinstance(last, cohere.MessageEndV2ChatStreamResponse)
    assert last.delta is not None
    assert (last.delta.finish_reason, last.delta.error) == ("ERROR", "engine died")
    async with cohere.AsyncClientV2("another-key", base_url=fake.root_url) as stranger:
        with pytest.raises(UnauthorizedError):
            await stranger.models.list(request_options=ONCE)
