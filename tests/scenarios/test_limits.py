"""Limits of the gateway and its keys: who is let in, who waits, and what the others are told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

PING: dict[str, Any] = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}]}
CHAT = "/v1/chat/completions"
KEYS = {"KEY_A": "key-of-a", "KEY_B": "key-of-b"}
SERVER = {"api_keys": {"a": "env:KEY_A", "b": "env:KEY_B"}}


@pytest_asyncio.fixture
async def source() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


async def ask(gateway: Gateway, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return await gateway.http.post(CHAT, json={**PING, **body}, headers=headers)


@pytest.mark.future1
@pytest.mark.behaviour("MGR-32")
async def test_a_rate_that_is_used_up_says_when_to_come_back(tmp_path: Any, source: FakeOpenAI) -> None:
    limits = {"gateway": {"requests_per_minute": 2}, "queue_size": 0}
    async with running_gateway(tmp_path, limits=limits) as gateway:
        await gateway.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        replies = [await ask(gateway) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        refused = replies[-1]
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.json()["error"]["code"] in ("rate_limit_exceeded", "queue_full")
        assert "limits.gateway" in refused.json()["error"]["message"]
        assert source.completions == 2
        assert gateway.rows()[0].status == 429
        assert [backend.metrics.total for backend in gateway.house.backends.list_backends()] == [2]


async def test_one_key_does_not_eat_what_is_another_s(tmp_path: Any, source: FakeOpenAI) -> None:
    limits = {"every_key": {"requests_per_minute": 1}, "queue_size": 0}
    async with running_gateway(tmp_path, KEYS, limits=limits, server=SERVER) as gateway:
        await gateway.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        assert (await ask(gateway)).status_code == 401
        assert (await ask(gateway, "key-of-nobody")).status_code == 403
        assert (await ask(gateway, KEYS["KEY_A"])).status_code == 200
        assert (await ask(gateway, KEYS["KEY_A"])).status_code == 429
        assert (await ask(gateway, KEYS["KEY_B"])).status_code == 200


async def test_who_does_not_fit_waits_in_line(tmp_path: Any, source: FakeOpenAI) -> None:
    source.behaviour = Behaviour(delay_s=0.1)
    async with running_gateway(tmp_path, limits={"gateway": {"concurrency": 1}, "queue_size": 5}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        replies = await asyncio.gather(*(ask(gateway) for _ in range(3)))
        assert [reply.status_code for reply in replies] == [200] * 3
        assert source.connections == 1, "one connection serves them all, one after the other"


async def test_a_full_queue_turns_away(tmp_path: Any, source: FakeOpenAI) -> None:
    source.behaviour = Behaviour(delay_s=0.3)
    async with running_gateway(tmp_path, limits={"gateway": {"concurrency": 1}, "queue_size": 1}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        replies = await asyncio.gather(*(ask(gateway) for _ in range(4)))
        assert sorted(reply.status_code for reply in replies) == [200, 200, 429, 429]
        codes = {reply.json()["error"]["code"] for reply in replies if reply.status_code == 429}
        assert codes == {"queue_full"}


async def test_a_client_that_leaves_gives_its_place_back(tmp_path: Any, source: FakeOpenAI) -> None:
    source.behaviour = Behaviour(delay_s=30)
    async with running_gateway(tmp_path, limits={"gateway": {"concurrency": 1}, "queue_size": 0}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=source.base_url, model=source.models[0])
        leaving = asyncio.create_task(ask(gateway))
        async with asyncio.timeout(5):
            await source.arrived.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        source.behaviour = Behaviour()
        async with asyncio.timeout(5):
            while (await ask(gateway)).status_code != 200:
                await asyncio.sleep(0.02)
