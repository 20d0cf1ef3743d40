import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from google_credentials import account
from jackfield.core.errors import AuthFailed, BadRequest, RateLimited
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest
from jackfield.providers.vertex import Vertex
from jackfield.testing.fake_gemini import TOKEN, FakeGemini
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools

PING = ChatRequest((text_message("user", "ping"),), stream=True)


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:TOKEN": "ya29.a-ready-token", "env:PATH_TO_KEY": "/nowhere/key.json"}) as made:
        yield made


@pytest.fixture
async def fakes() -> AsyncIterator[list[FakeGemini]]:
    async with FakeGemini() as first, FakeGemini() as second:
        yield [first, second]


def _made(fakes: list[FakeGemini], tools: FakeTools, **config: Any) -> Vertex:
    endpoints = {"us-central1": fakes[0].root_url, "europe-west4": fakes[1].root_url}
    given = {"project": "a-project", "regions": ["europe-west4"], "endpoints": endpoints, "api_key": "env:TOKEN", **config}
    return Vertex.create(given, tools)


async def _reply(provider: Vertex, request: ChatRequest = PING) -> ChatReply:
    async with asyncio.timeout(10), provider.open(request) as events:
        return await fold(events)


@pytest.mark.behaviour("PROV-33")
async def test_the_address_names_project_and_region_and_the_token_lets_in(fakes: list[FakeGemini], tools: FakeTools) -> None:
    provider = _made(fakes, tools)
    assert (await _reply(provider)).text == "pong"
    assert fakes[0].last.path == (
        "/v1/projects/a-project/locations/us-central1/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    )
    assert fakes[0].last.headers["authorization"] == "Bearer ya29.a-ready-token"
    assert fakes[0].last.headers["x-goog-user-project"] == "a-project"
    assert "ya29" not in repr(provider)


@pytest.mark.behaviour("PROV-33", "ROAD-10")
async def test_where_a_region_is_busy_the_next_one_answers(fakes: list[FakeGemini], tools: FakeTools) -> None:
    provider = _made(fakes, tools)
    fakes[0].behaviour = Behaviour(status=429)
    assert (await _reply(provider)).text == "pong"
    assert "/locations/europe-west4/" in fakes[1].last.path
    fakes[1].behaviour = Behaviour(status=429, retry_after="5")
    with pytest.raises(RateLimited):
        await _reply(provider)


@pytest.mark.behaviour("PROV-33")
async def test_a_service_account_s_file_is_exchanged_once_and_again_when_refused(
    fakes: list[FakeGemini], tools: FakeTools, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(msgspec.json.encode(account(fakes[0])))
    fakes[0].require_key = "only-its-own-tokens"
    provider = _made(fakes, tools, api_key=None, credentials_file=str(file))
    for _ in range(3):
        await _reply(provider)
    assert fakes[0].tokens == 1
    assert fakes[0].last.headers["authorization"] == f"Bearer {TOKEN}-1"
    fakes[0].tokens = 7  # the token it gave is worth nothing any more
    with pytest.raises(AuthFailed):
        await _reply(provider)
    await _reply(provider)
    assert fakes[0].last.headers["authorization"] == f"Bearer {TOKEN}-8"


async def test_real_addresses_by_region(tools: FakeTools) -> None:
    regions = ["us-central1", "global", "us-central1"]
    made = Vertex.create({"project": "p", "region": "europe-west1", "regions": regions, "api_key": "env:TOKEN"}, tools)
    assert made.info.hosts == (
        "europe-west1-aiplatform.googleapis.com:443",
        "us-central1-aiplatform.googleapis.com:443",
        "aiplatform.googleapis.com:443",
    )


async def test_what_is_missing_is_named(fakes: list[FakeGemini], tools: FakeTools) -> None:
    with pytest.raises(BadRequest, match="project") as told:
        Vertex.create({"api_key": "env:TOKEN"}, tools)
    assert (told.value.param, told.value.provider) == ("project", "vertex")
    with pytest.raises(AuthFailed, match=r"/nowhere/key\.json"):
        await _reply(_made(fakes, tools, api_key="env:PATH_TO_KEY"))


async def test_vectors_counts_and_models_by_vertex_s_own_calls(fakes: list[FakeGemini], tools: FakeTools) -> None:
    provider = _made(fakes, tools)
    vectors = await provider.embed(
        EmbedRequest(("one", "two"), dimensions=4, extra={"taskType": "CLUSTERING", "autoTruncate": True})
    )
    assert [len(vector) for vector in vectors.vectors] == [4, 4]
    assert vectors.usage.prompt_tokens == 4
    assert fakes[0].last.path.endswith("/publishers/google/models/gemini-embedding-001:predict")
    assert fakes[0].last.json == {
        "instances": [{"content": "one", "task_type": "CLUSTERING"}, {"content": "two", "task_type": "CLUSTERING"}],
        "parameters": {"outputDimensionality": 4, "autoTruncate": True},
    }
    assert await provider.count_tokens(ChatRequest((text_message("user", "one two three"),))) == 3
    assert "contents" in fakes[0].last.json
    models = await provider.list_models()
    assert "gemini-2.5-flash" in [model.id for model in models]
    assert fakes[0].last.path == "/v1beta1/publishers/google/models?pageSize=1000"
