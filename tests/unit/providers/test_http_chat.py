"""Answers over HTTP as events: what came decides how it is read, warnings are told once, leaving closes upstream."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from jackfield.core.contracts import ProviderCard, RawReply
from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.events import fold
from jackfield.dialects import openai_chat
from jackfield.providers.http_chat import Reading, chat_events
from jackfield.providers.http_config import HttpConfig
from jackfield.providers.http_source import HttpSource
from jackfield.providers.refusal import read_refusal
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import provider_tools

READING = Reading(openai_chat.decode_reply, openai_chat.StreamDecoder)
BODY = b'{"model":"fake-model","messages":[{"role":"user","content":"ping"}]%s}'


async def refuse(reply: RawReply) -> JackfieldError:
    return await read_refusal(reply, "acme")


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as served:
        yield served


@pytest.fixture
async def source(fake: FakeOpenAI) -> AsyncIterator[HttpSource]:
    async with provider_tools() as tools:
        card = ProviderCard("acme", "api", "Acme")
        yield HttpSource(card, HttpConfig(base_url=fake.base_url), {}, tools.http, refuse, root=fake.base_url)


@pytest.mark.parametrize("asks_stream", [False, True])
@pytest.mark.parametrize("ignores", [False, True])
async def test_what_came_decides(asks_stream: bool, ignores: bool, fake: FakeOpenAI, source: HttpSource) -> None:
    fake.behaviour = Behaviour(ignores_stream=ignores)
    body = BODY % (b',"stream":true' if asks_stream else b"")
    async with chat_events(source, openai_chat.PATH, body, READING, model="m", warnings=["x: left out"]) as events:
        reply = await fold(events)
    assert reply.text == "pong"
    assert reply.extra["warnings"] == ["x: left out"]


async def test_an_answer_that_cannot_be_read_is_told_with_the_provider(fake: FakeOpenAI, source: HttpSource) -> None:
    fake.behaviour = Behaviour(body=b"<html>")
    with pytest.raises(Malformed) as caught:
        async with chat_events(source, openai_chat.PATH, BODY % b"", READING, model="m") as events:
            await fold(events)
    assert caught.value.provider == "acme"


async def test_leaving_closes_upstream(fake: FakeOpenAI, source: HttpSource) -> None:
    fake.behaviour = Behaviour(hang="inside", pieces_before=2)
    async with asyncio.timeout(5):
        body = BODY % b',"stream":true'
        async with chat_events(source, openai_chat.PATH, body, READING, model="m") as events:
            await anext(events)
        await fake.disconnected.wait()
    assert fake.disconnects == 1
