"""The panel is changed while requests run: they finish where they began, and new ones go to the new source."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

CHAT = "/v1/chat/completions"
COUNT: Any = [{"role": "user", "content": "Count to 9"}]
SLOW = Behaviour(piece_delay_s=0.03)


async def streamed(gateway: Gateway, slot: int, started: asyncio.Event | None = None) -> tuple[str, str]:
    """The text of a streamed answer and the provider's model that gave it."""
    text, model = "", ""
    async with gateway.openai() as client:
        stream = await client.chat.completions.create(model=f"slot-{slot}", messages=COUNT, stream=True)
        async for chunk in stream:
            if started is not None:
                started.set()
            model = chunk.model
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
    return text, model


@pytest.mark.behaviour("SLOT-11", "SLOT-01")
async def test_a_stream_outlives_the_plug_that_replaces_its_source(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = SLOW
    started = asyncio.Event()
    running = asyncio.create_task(streamed(gateway, 0, started))
    await started.wait()
    async with FakeOpenAI(models=["second"]) as second:
        await gateway.plug(0, "openai-compat", base_url=second.base_url, model="second")
        assert (await streamed(gateway, 0))[1] == "second"
        assert not running.done()
        async with asyncio.timeout(10):
            assert await running == ("1, 2, 3, 4, 5, 6, 7, 8, 9", "fake-model")


@pytest.mark.behaviour("SLOT-16")
async def test_answers_during_swaps_are_tagged_with_who_really_ran(gateway: Gateway) -> None:
    async with FakeOpenAI(models=["second"]) as second:
        await gateway.plug(1, "openai-compat", base_url=second.base_url, model="second")
        stop = asyncio.Event()

        async def swapping() -> int:
            swaps = 0
            while not stop.is_set():
                await gateway.house.registry.swap_slots(0, 1)
                swaps += 1
                await asyncio.sleep(0)
            return swaps

        swaps = asyncio.create_task(swapping())
        replies = await asyncio.gather(
            *(gateway.http.post(CHAT, json={"model": f"slot-{n % 2}", "messages": COUNT}) for n in range(40))
        )
        stop.set()
        assert await swaps > 0
        assert {reply.status_code for reply in replies} == {200}
        served = [reply.json()["model"] for reply in replies]
        assert second.completions == served.count("second")
        assert sum(row.outcome == "ok" for row in gateway.rows()) == 40


async def test_clone_mutate_and_undo_while_streaming(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = SLOW
    started = asyncio.Event()
    running = asyncio.create_task(streamed(gateway, 0, started))
    await started.wait()
    registry = gateway.house.registry
    assert await registry.clone_slot(0) == [1]
    await registry.mutate_slot(1, temperature=0.5)
    fake.behaviour = Behaviour()
    await gateway.http.post(CHAT, json={"model": "slot-1", "messages": COUNT})
    assert fake.requests[-1].json["temperature"] == 0.5
    await gateway.http.post(CHAT, json={"model": "slot-1", "messages": COUNT, "temperature": 0})
    assert fake.requests[-1].json["temperature"] == 0
    await registry.undo()
    await gateway.http.post(CHAT, json={"model": "slot-1", "messages": COUNT})
    assert "temperature" not in fake.requests[-1].json
    async with asyncio.timeout(10):
        assert (await running)[0] == "1, 2, 3, 4, 5, 6, 7, 8, 9"


async def test_the_panel_is_there_again_after_a_restart(tmp_path: Path, fake: FakeOpenAI) -> None:
    async with running_gateway(tmp_path) as first:
        await first.plug(2, "openai-compat", base_url=fake.base_url, model="fake-model")
        await first.house.registry.rename_slot(2, "coder")
    async with running_gateway(tmp_path) as second:
        reply = await second.http.post(CHAT, json={"model": "coder", "messages": COUNT})
        assert reply.status_code == 200
        assert reply.headers["x-jackfield-slot"] == "2"
