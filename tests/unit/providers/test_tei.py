"""Text Embeddings Inference: vectors, rankings, and no chat."""

from collections.abc import AsyncIterator

import pytest

from jackfield.core.errors import BadRequest, NotSupported, Upstream
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, RerankRequest
from jackfield.providers.openai_compatible import preset_type
from jackfield.providers.presets import load_presets
from jackfield.providers.tei import Tei
from jackfield.testing.fake_completion import FakeTei
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeTei]:
    async with FakeTei() as server:
        yield server


@pytest.mark.behaviour("PROV-38")
async def test_vectors(fake: FakeTei, tools: FakeTools) -> None:
    provider = Tei.create({"base_url": fake.root_url}, tools)
    reply = await provider.embed(EmbedRequest(("one", "two", "one")))
    assert len(reply.vectors) == 3
    assert reply.vectors[0] == reply.vectors[2] != reply.vectors[1]
    assert fake.last.json == {"inputs": ["one", "two", "one"], "truncate": False}
    with pytest.raises(BadRequest):
        await provider.embed(EmbedRequest(((1, 2),)))


@pytest.mark.behaviour("PROV-38")
async def test_its_openai_side_is_that_of_any_server(fake: FakeTei, tools: FakeTools) -> None:
    any_server = preset_type(load_presets()["openai-compat"])
    provider = any_server.create({"base_url": fake.root_url, "model": "acme/vectors"}, tools)
    request = EmbedRequest(("one", "two"))
    reply = await provider.embed(request)
    assert fake.last.path == "/v1/embeddings"
    assert reply.vectors == (await Tei.create({"base_url": fake.root_url}, tools).embed(request)).vectors


async def test_rankings(fake: FakeTei, tools: FakeTools) -> None:
    provider = Tei.create({"base_url": fake.root_url}, tools)
    reply = await provider.rerank(RerankRequest("blue sky", ("red", "the blue sky", "a sky"), top_n=2))
    assert [result.index for result in reply.results] == [1, 2]


async def test_it_tells_its_model_and_does_not_chat(fake: FakeTei, tools: FakeTools) -> None:
    provider = Tei.create({"base_url": fake.root_url}, tools)
    (profile,) = await provider.list_models()
    assert (profile.id, profile.embeddings, profile.context_length) == ("acme/vectors", True, 512)
    assert (await provider.probe()).is_ready
    with pytest.raises(NotSupported, match="does not chat"):
        provider.open(ChatRequest((text_message("user", "x"),)))


async def test_refusals_become_errors(fake: FakeTei, tools: FakeTools) -> None:
    fake.behaviour = Behaviour(status=500)
    with pytest.raises(Upstream):
        await Tei.create({"base_url": fake.root_url}, tools).embed(EmbedRequest(("x",)))
