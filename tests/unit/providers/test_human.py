"""A person as a source: questions wait, are answered once, time out truthfully and are gone with their asker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, NotFound, Overloaded, TimedOut
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.providers.human import Human
from jackfield.testing.tools import FakeTools, provider_tools
from running_gateway import running_gateway

ASKED = ChatRequest((text_message("system", "be kind"), text_message("user", "how are you?")))


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


async def ask(person: Human) -> ChatReply:
    async with person.open(ASKED) as events:
        return await fold(events)


async def waiting(person: Human, count: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(person.questions()) != count:
            await asyncio.sleep(0)


async def test_a_question_waits_until_it_is_answered(tools: FakeTools) -> None:
    person = Human.create({"price_msat": 5000}, tools)
    asking = asyncio.create_task(ask(person))
    await waiting(person)
    (question,) = person.questions()
    assert (question.prompt, question.system, question.price_msat) == ("how are you?", "be kind", 5000)
    with pytest.raises(BadRequest):
        person.answer(question.id, "  ")
    person.answer(question.id, "very well")
    assert (await asking).message.text == "very well"
    assert person.questions() == ()
    with pytest.raises(NotFound):
        person.answer(question.id, "again")


async def test_deadline_bound_and_a_leaving_asker(tools: FakeTools) -> None:
    with pytest.raises(TimedOut, match=r"nobody answered within 0\.05 s"):
        await ask(Human.create({"deadline": 0.05}, tools))
    person = Human.create({"waiting": 1}, tools)
    asking = asyncio.create_task(ask(person))
    await waiting(person)
    with pytest.raises(Overloaded) as caught:
        await ask(person)
    assert caught.value.retry_after_s == 60
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert person.questions() == ()


@pytest.mark.parametrize("config", [{"deadline": 0}, {"waiting": 0}, {"price_msat": -1}, {"salary": 3}])
async def test_a_config_that_cannot_be_names_its_key(tools: FakeTools, config: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        Human.create(config, tools)
    assert caught.value.param == next(iter(config))


async def test_through_the_gateway_it_costs_its_price(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "human", price_msat=7000)
        body = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}]}
        asking = asyncio.create_task(gateway.http.post("/v1/chat/completions", json=body))
        async with asyncio.timeout(10):
            while not (told := (await gateway.http.get("/control/v1/questions")).json()["questions"]):
                await asyncio.sleep(0.02)
        path = f"/control/v1/questions/{told[0]['question']['id']}/answer"
        assert (await gateway.http.post(path, json={"text": "pong"})).json()["slot"] == 0
        reply = await asking
        assert reply.json()["choices"][0]["message"]["content"] == "pong"
        assert gateway.rows()[0].cost_msat == 7000
        assert (await gateway.http.post(path, json={"text": "pong"})).status_code == 404
