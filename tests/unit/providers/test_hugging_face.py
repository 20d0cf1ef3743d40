"""The hub behind the inference router, from a fake of its documented calls."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from jackfield.core.contracts import SearchesModels, SearchWish
from jackfield.core.errors import AuthFailed, ModelNotFound, RateLimited
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.providers.hugging_face import HuggingFace
from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools

LLAMA = {"id": "meta-llama/Llama-3.1-8B-Instruct", "pipeline_tag": "text-generation", "gated": "manual", "downloads": 9}
SEES = {"id": "Qwen/Qwen2-VL-7B", "pipeline_tag": "image-text-to-text", "gated": False, "downloads": 5}


class FakeHub(FakeOpenAI):
    """The hub and the router behind one port."""

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        url = urlsplit(request.path)
        if not url.path.startswith("/api/models"):
            return await super().serve(request, behaviour, wire)
        name = url.path.removeprefix("/api/models").strip("/")
        if not name:
            wanted = parse_qs(url.query)
            fits = [
                model
                for model in (LLAMA, SEES)
                if wanted.get("pipeline_tag", [model["pipeline_tag"]])[0] == model["pipeline_tag"]
            ]
            return await wire.json(
                200, [model for model in fits if wanted.get("search", [""])[0].lower() in str(model["id"]).lower()]
            )
        if name == LLAMA["id"]:
            return await wire.json(200, LLAMA)
        status = {"invalid-model-id": 404, "acme/private": 401, "acme/gated": 403}.get(name, 429)
        return await wire.json(status, {"error": "Repository not found"})


@pytest.fixture
async def fake() -> AsyncIterator[FakeHub]:
    async with FakeHub([str(LLAMA["id"]) + ":groq"]) as running:
        yield running


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:HF_TOKEN": "hf_0123456789abcdef"}) as made:
        yield made


@pytest.fixture
def provider(fake: FakeHub, tools: FakeTools) -> HuggingFace:
    return HuggingFace.create({"base_url": fake.base_url, "api_key": "env:HF_TOKEN", "hub_url": fake.root_url + "/"}, tools)


@pytest.mark.behaviour("PROV-30")
async def test_the_router_is_asked_with_the_token_and_the_named_provider(provider: HuggingFace, fake: FakeHub) -> None:
    request = ChatRequest((text_message("user", "ping"),), model=f"{LLAMA['id']}:groq")
    async with provider.open(request) as events:
        assert (await fold(events)).text == "pong"
    assert fake.last.path == "/v1/chat/completions"
    assert fake.last.headers["authorization"] == "Bearer hf_0123456789abcdef"
    assert fake.last.json["model"].endswith(":groq")


async def test_the_hub_is_searched_by_words_provider_and_modality(provider: HuggingFace, fake: FakeHub) -> None:
    assert isinstance(provider, SearchesModels)
    assert [model.id for model in await provider.search_models(SearchWish("llama"))] == [LLAMA["id"]]
    seeing = await provider.search_models(SearchWish(provider="groq", modality="image", limit=7))
    assert [(model.id, model.vision) for model in seeing] == [(SEES["id"], True)]
    asked = parse_qs(urlsplit(fake.last.path).query)
    assert (asked["inference_provider"], asked["limit"], asked["pipeline_tag"]) == (["groq"], ["7"], ["image-text-to-text"])


async def test_a_model_is_looked_up_without_its_provider(provider: HuggingFace) -> None:
    model = await provider.model_info(f"{LLAMA['id']}:groq")
    assert model.id == LLAMA["id"]
    assert "gated" in (model.description or "")


@pytest.mark.behaviour("ERR-03")
async def test_a_model_that_is_not_there_is_told_in_these_words(provider: HuggingFace) -> None:
    with pytest.raises(ModelNotFound, match="Model 'invalid-model-id' not found on Huggingface") as caught:
        await provider.model_info("invalid-model-id")
    assert "HF_TOKEN" in str(caught.value)


@pytest.mark.behaviour("ERR-03")
@pytest.mark.parametrize("name", ["acme/private", "acme/gated"])
async def test_a_model_that_is_not_open_asks_for_a_token(name: str, provider: HuggingFace) -> None:
    with pytest.raises(AuthFailed, match="gated models want HF_TOKEN to be set"):
        await provider.model_info(name)


async def test_any_other_refusal_is_mapped_as_ever(provider: HuggingFace) -> None:
    with pytest.raises(RateLimited):
        await provider.model_info("acme/busy")
