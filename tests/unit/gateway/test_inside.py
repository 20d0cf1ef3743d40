"""A request from inside takes every step: it is answered, booked, limited and cancelled as a client's is."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import Embeds, Moderates
from jackfield.core.errors import ModelNotFound, NotSupported
from jackfield.core.requests import EmbedRequest
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.errand import Done, Errand
from jackfield.gateway.inside import InnerClient, Inside
from jackfield.gateway.request_ids import RequestIds
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

PING: list[dict[str, Any]] = [{"role": "user", "content": "ping"}]


def inside_of(gateway: Gateway) -> Inside:
    return Inside(gateway.house.pipeline, OpenAIChat(), RequestIds("test"), lambda: 1.0)


async def test_the_whole_answer_and_who_gave_it(tmp_path: Path) -> None:
    async with FakeOpenAI() as fake, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        told = await inside_of(gateway).ask({"model": "slot-0", "messages": PING}, key_name="me")
        assert told.reply is not None
        assert (told.reply.message.text, told.slot, told.provider, told.failed) == ("pong", 0, "openai-compat", 0)
        assert told.usage is not None
        row = gateway.rows()[0]
        assert (row.request_id, row.at, row.outcome) == (told.request_id, 1.0, "ok")
        with pytest.raises(ModelNotFound):
            await inside_of(gateway).ask({"model": "nobody", "messages": PING})


async def test_an_errand_comes_back_in_its_own_bytes(tmp_path: Path) -> None:
    async def run(provider: Embeds, model: str | None) -> Done:
        reply = await provider.embed(EmbedRequest(("ping",), model))
        return Done(msgspec.json.encode(len(reply.vectors[0])), reply.usage, reply.model)

    errand = Errand("embeddings", Embeds, run)
    async with FakeOpenAI(dimensions=5) as fake, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await gateway.plug(1, "scripted", text="x")
        told = await inside_of(gateway).ask({"model": "slot-0"}, errand=errand)
        assert (told.body, told.reply, told.slot) == (b"5", None, 0)
        with pytest.raises(NotSupported):
            await inside_of(gateway).ask({"model": "slot-1"}, errand=Errand("moderation", Moderates, run))


async def test_giving_it_up_ends_upstream(tmp_path: Path) -> None:
    async with FakeOpenAI(behaviour=Behaviour(hang="before")) as fake, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        asking = asyncio.create_task(inside_of(gateway).ask({"model": "slot-0", "messages": PING}))
        async with asyncio.timeout(10):
            await fake.arrived.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await fake.disconnected.wait()
        assert gateway.rows()[0].outcome == "cancelled"


async def test_its_client_is_never_slow_and_never_gone() -> None:
    client = InnerClient("me")
    assert await client.body() == b""
    await client.start(200, [])
    await client.write(b"a")
    await client.end(b"b")
    client.close()
    assert (client.pieces, client.has_ended, client.why_cancelled()) == ([b"a", b"b"], True, None)
