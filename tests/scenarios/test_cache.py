"""The cache of answers, from the caller and from the source: the same request twice, one of them asked for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

PING: dict[str, Any] = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}], "temperature": 0}
CHAT = "/v1/chat/completions"


@pytest_asyncio.fixture
async def source() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest_asyncio.fixture
async def gateway(tmp_path_factory: pytest.TempPathFactory, source: FakeOpenAI) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path_factory.mktemp("cache"), cache={"enabled": True}) as running:
        await running.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        await running.plug(1, "openai-compat", base_url=source.base_url, model=source.models[0])
        yield running


@pytest.mark.future1
@pytest.mark.behaviour("MGR-33")
async def test_the_same_request_is_asked_once(gateway: Gateway, source: FakeOpenAI) -> None:
    first = await gateway.http.post(CHAT, json=PING)
    again = await gateway.http.post(CHAT, json=dict(reversed(PING.items())))
    assert [reply.headers["x-jackfield-cache"] for reply in (first, again)] == ["miss", "hit"]
    assert again.content == first.content
    assert again.headers["x-jackfield-cost-msat"] == "0"
    assert source.completions == 1
    hit, miss = gateway.rows()
    assert (miss.outcome, hit.outcome) == ("ok", "cached")
    assert (hit.prompt_tokens, hit.cost_msat, hit.provider) == (0, 0, "")


async def test_another_slot_with_the_same_source_has_the_same_answers(gateway: Gateway, source: FakeOpenAI) -> None:
    await gateway.http.post(CHAT, json=PING)
    other = await gateway.http.post(CHAT, json={**PING, "model": "slot-1"})
    assert other.headers["x-jackfield-cache"] == "hit"
    assert source.completions == 1


@pytest.mark.parametrize(
    ("change", "header"),
    [({"temperature": 0.7}, None), ({"temperature": None}, None), ({}, "0")],
    ids=["warm", "unsaid", "not wanted"],
)
async def test_what_may_vary_is_asked_each_time(
    gateway: Gateway, source: FakeOpenAI, change: dict[str, Any], header: str | None
) -> None:
    body = {name: value for name, value in {**PING, **change}.items() if value is not None}
    headers = {} if header is None else {"x-jackfield-cache": header}
    for _ in range(2):
        reply = await gateway.http.post(CHAT, json=body, headers=headers)
        assert "x-jackfield-cache" not in reply.headers
    assert source.completions == 2


async def test_who_asks_for_it_gets_it_at_any_temperature(gateway: Gateway, source: FakeOpenAI) -> None:
    for said in ("miss", "hit"):
        reply = await gateway.http.post(CHAT, json={**PING, "temperature": 1}, headers={"x-jackfield-cache": "1"})
        assert reply.headers["x-jackfield-cache"] == said
    assert source.completions == 1


@pytest.mark.parametrize("change", [{"max_tokens": 5}, {"messages": [{"role": "user", "content": "ping?"}]}, {"seed": 1}])
async def test_any_difference_asks_anew(gateway: Gateway, source: FakeOpenAI, change: dict[str, Any]) -> None:
    await gateway.http.post(CHAT, json=PING)
    reply = await gateway.http.post(CHAT, json={**PING, **change})
    assert reply.headers["x-jackfield-cache"] == "miss"
    assert source.completions == 2


async def test_a_slot_s_own_settings_are_part_of_the_request(gateway: Gateway, source: FakeOpenAI) -> None:
    await gateway.http.post(CHAT, json=PING)
    await gateway.house.registry.mutate_slot(0, top_p=0.5)
    reply = await gateway.http.post(CHAT, json=PING)
    assert reply.headers["x-jackfield-cache"] == "miss"


async def test_a_stream_is_answered_from_a_stream_and_from_a_whole_answer(gateway: Gateway, source: FakeOpenAI) -> None:
    async with gateway.openai() as client:

        async def streamed(**more: Any) -> str:
            stream = await client.chat.completions.create(**PING, stream=True, **more)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        whole = await client.chat.completions.create(**PING)
        assert await streamed() == whole.choices[0].message.content
        assert source.completions == 1
        other = {"extra_body": {"seed": 2}}
        assert await streamed(**other) == await streamed(**other)
        assert source.completions == 2


async def test_a_broken_answer_is_not_kept(gateway: Gateway, source: FakeOpenAI) -> None:
    source.behaviour = Behaviour(status=500)
    failed = await gateway.http.post(CHAT, json=PING)
    assert failed.status_code >= 500
    source.behaviour = Behaviour()
    reply = await gateway.http.post(CHAT, json={**PING, "model": "slot-1"})
    assert (reply.status_code, reply.headers["x-jackfield-cache"]) == (200, "miss")


async def test_off_unless_it_is_switched_on(tmp_path_factory: pytest.TempPathFactory, source: FakeOpenAI) -> None:
    async with running_gateway(tmp_path_factory.mktemp("off")) as running:
        await running.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        for _ in range(2):
            reply = await running.http.post(CHAT, json=PING)
            assert "x-jackfield-cache" not in reply.headers
    assert source.completions == 2
