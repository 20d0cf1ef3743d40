"""Answers by meaning, from the caller and from the source: only who asks for them, and only where nothing else differs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import pytest_asyncio

from jackfield.app.compose import open_house
from jackfield.app.settings import Loaded
from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import SlotOutOfRange
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.providers.scripted import Scripted
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway, settings_for

CHAT = "/v1/chat/completions"
SEMANTIC = {"x-jackfield-cache": "semantic"}
WORDS = ("count", "to", "from", "sail", "boat")


class Meanings(Scripted):
    """Simulated vectors: what counts is which words of a few are in a text."""

    card: ClassVar[ProviderCard] = msgspec.structs.replace(Scripted.card, id="meanings", aliases=())

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        texts = [str(text).lower().split() for text in request.inputs]
        return EmbedReply(tuple((0.1, *(float(word in text) for word in WORDS)) for text in texts), "meanings")


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "slot-0", "messages": [{"role": "user", "content": text}], **more}


@pytest_asyncio.fixture
async def source() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, source: FakeOpenAI) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, cache={"enabled": True, "semantic_slot": 2}) as running:
        running.house.registry.register("meanings", Meanings)
        await running.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        await running.plug(2, "meanings")
        yield running


async def said(gateway: Gateway, request: dict[str, Any], headers: dict[str, str] | None = None) -> str | None:
    reply = await gateway.http.post(CHAT, json=request, headers=SEMANTIC if headers is None else headers)
    assert reply.status_code == 200
    told: str | None = reply.headers.get("x-jackfield-cache")
    return told


@pytest.mark.behaviour("SEMC-01")
async def test_who_asks_for_it_gets_the_answer_to_what_means_the_same(gateway: Gateway, source: FakeOpenAI) -> None:
    first = await gateway.http.post(CHAT, json=body("count to 9"), headers=SEMANTIC)
    again = await gateway.http.post(CHAT, json=body("please count to 9"), headers=SEMANTIC)
    assert first.headers["x-jackfield-cache"] == "miss"
    assert again.headers["x-jackfield-cache"] == "semantic-hit; similarity=1.0000"
    assert again.content == first.content
    assert again.headers["x-jackfield-cost-msat"] == "0"
    assert source.completions == 1
    hit, miss = gateway.rows()
    assert (miss.outcome, hit.outcome) == ("ok", "cached")


async def test_nobody_else_gets_it_and_nothing_else_may_differ(gateway: Gateway, source: FakeOpenAI) -> None:
    await said(gateway, body("count to 9"))
    assert await said(gateway, body("please count to 9"), {}) is None
    assert await said(gateway, body("please count to 9"), {"x-jackfield-cache": "1"}) == "miss"
    assert await said(gateway, body("please count to 8")) == "miss"
    assert await said(gateway, body("sail a boat to 9")) == "miss"
    assert await said(gateway, body("count to 9", max_tokens=4)) == "miss"
    assert source.completions == 6


async def test_a_stream_is_answered_from_a_stream(gateway: Gateway, source: FakeOpenAI) -> None:
    request = body("count to 9", stream=True)
    first = await gateway.http.post(CHAT, json=request, headers=SEMANTIC)
    again = await gateway.http.post(CHAT, json=body("now count to 9", stream=True), headers=SEMANTIC)
    assert again.headers["x-jackfield-cache"].startswith("semantic-hit")
    assert again.content == first.content
    assert again.content.endswith(b"data: [DONE]\n\n")
    assert await said(gateway, body("count to 9")) == "miss"
    assert source.completions == 2


async def test_both_caches_say_one_thing(gateway: Gateway, source: FakeOpenAI) -> None:
    exact = body("count to 9", temperature=0)
    assert await said(gateway, exact, {}) == "miss"
    reply = await gateway.http.post(CHAT, json=exact, headers=SEMANTIC)
    assert reply.headers.get_list("x-jackfield-cache") == ["hit"]
    assert await said(gateway, body("do count to 9", temperature=0)) == "miss"
    assert (await said(gateway, body("please count to 9", temperature=0)) or "").startswith("semantic-hit")
    assert source.completions == 2


async def test_without_vectors_the_source_is_asked(gateway: Gateway, source: FakeOpenAI) -> None:
    await gateway.house.registry.unplug(2)
    assert [await said(gateway, body("count to 9")) for _ in range(2)] == [None, None]
    assert source.completions == 2


async def test_a_prompt_that_nobody_may_keep_is_shown_to_nobody_else(gateway: Gateway, source: FakeOpenAI) -> None:
    panel = gateway.house.registry
    adapter = panel.get_adapter(2)
    assert adapter is not None
    private = {**body("count to 9"), "provider": {"data_collection": "deny"}}
    reply = await gateway.http.post(CHAT, json=private, headers=SEMANTIC)
    assert (reply.status_code, reply.headers.get("x-jackfield-cache")) == (200, None)
    assert adapter.get_metrics()["requests"] == 0
    await said(gateway, body("count to 9"))
    assert adapter.get_metrics()["requests"] == 1


async def test_what_another_says_in_its_place_is_not_its_answer(gateway: Gateway, source: FakeOpenAI) -> None:
    async with FakeOpenAI() as other:
        await gateway.plug(1, "openai-compat", base_url=other.base_url, model=other.models[0])
        source.behaviour = Behaviour(status=500)
        shared = {**body("count to 9"), "model": source.models[0], "temperature": 0, "provider": {"order": ["slot-0"]}}
        for headers in (SEMANTIC, {}):
            assert await said(gateway, shared, headers) == "miss"
        assert other.completions == 2
        source.behaviour = Behaviour()
        assert await said(gateway, {**shared, "provider": {"order": ["slot-1"]}}, {}) == "miss"


async def test_a_slot_that_cannot_be_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(SlotOutOfRange):
        async with open_house(Loaded(settings_for(tmp_path, cache={"semantic_slot": 9999}), environ={}), port=0):
            pass
