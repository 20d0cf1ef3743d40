"""Calls are asynchronous throughout: many run at the same time, whoever makes them and however slow the source is."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway

CALLS = 20
DELAY_S = 0.3
WITHIN_S = 3.0
"""One after the other they would take six seconds."""


class Slow(FakeOpenAI):
    """Takes its time, and counts how many it answers at once."""

    at_once = most_at_once = 0

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if self.is_look(request):
            return await super().serve(request, behaviour, wire)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(DELAY_S)
        try:
            return await super().serve(request, behaviour, wire)
        finally:
            self.at_once -= 1


@pytest_asyncio.fixture
async def slow(gateway: Gateway) -> AsyncIterator[Slow]:
    async with Slow() as server:
        await gateway.plug(1, "openai-compat", base_url=server.base_url, model=server.models[0])
        yield server


@pytest.mark.behaviour("ROAD-05")
def test_every_handle_is_asked_asynchronously() -> None:
    kinds = [InferenceProviderAdapter]
    for kind in kinds:
        kinds += kind.__subclasses__()
        for name in ("complete", "forward", "embed", "list_models", "health"):
            assert inspect.iscoroutinefunction(getattr(kind, name)), f"{kind.__name__}.{name}"
    assert len(kinds) > 1


@pytest.mark.behaviour("ROAD-05")
@pytest.mark.parametrize("way", ["handle", "http"])
async def test_twenty_slow_calls_take_hardly_longer_than_one(gateway: Gateway, slow: Slow, way: str) -> None:
    adapter = gateway.house.registry.get_adapter(1)
    assert adapter is not None
    assert inspect.iscoroutinefunction(adapter.complete)

    async def ask(number: int) -> str:
        if way == "handle":
            return (await adapter.complete(f"Count to {number}")).text
        body = {"model": "slot-1", "messages": [{"role": "user", "content": f"Count to {number}"}]}
        reply = await gateway.http.post("/v1/chat/completions", json=body)
        text: str = reply.json()["choices"][0]["message"]["content"]
        return text

    async with asyncio.timeout(WITHIN_S):
        answers = await asyncio.gather(*(ask(number) for number in range(2, 2 + CALLS)))
    assert [answer.rpartition(" ")[2] for answer in answers] == [str(number) for number in range(2, 2 + CALLS)]
    assert slow.most_at_once == CALLS
