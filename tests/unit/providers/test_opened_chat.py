"""An answer is asked for on entering its block and closed on leaving it, whatever happens inside."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from jackfield.core.contracts import ProviderCard, RawReply
from jackfield.core.errors import BadRequest, JackfieldError, Overloaded
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.dialects import openai_chat
from jackfield.providers.http_chat import Reading
from jackfield.providers.http_config import HttpConfig
from jackfield.providers.http_source import HttpSource
from jackfield.providers.opened_chat import ChatCall, OpenedChat
from jackfield.providers.refusal import read_refusal
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import provider_tools

READING = Reading(openai_chat.decode_reply, openai_chat.StreamDecoder)
ASKED = ChatRequest((text_message("user", "ping"),), "fake-model")


async def refuse(reply: RawReply) -> JackfieldError:
    return await read_refusal(reply, "acme")


async def written(request: ChatRequest) -> ChatCall:
    if not request.messages:
        raise BadRequest("nothing is said", param="messages")
    body, _ = openai_chat.encode_request(request, openai_chat.ChatQuirks())
    return ChatCall(openai_chat.PATH, body, READING, "m", ["x: left out"])


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as served:
        yield served


@pytest.fixture
async def source(fake: FakeOpenAI) -> AsyncIterator[HttpSource]:
    async with provider_tools() as tools:
        card = ProviderCard("acme", "api", "Acme")
        yield HttpSource(card, HttpConfig(base_url=fake.base_url), {}, tools.http, refuse, root=fake.base_url)


async def test_nothing_is_asked_before_the_block(fake: FakeOpenAI, source: HttpSource) -> None:
    opened = OpenedChat(source, written, ASKED)
    assert not fake.requests
    async with opened as events:
        reply = await fold(events)
    assert len(fake.requests) == 1
    assert reply.text == "pong"
    assert reply.extra["warnings"] == ["x: left out"]


async def test_what_cannot_be_asked_is_raised_on_entering(fake: FakeOpenAI, source: HttpSource) -> None:
    opened = OpenedChat(source, written, ChatRequest(()))
    with pytest.raises(BadRequest):
        await opened.__aenter__()
    assert not fake.requests


async def test_a_refusal_is_raised_on_entering(fake: FakeOpenAI, source: HttpSource) -> None:
    fake.behaviour = Behaviour(status=503)
    with pytest.raises(Overloaded) as caught:
        await OpenedChat(source, written, ASKED).__aenter__()
    assert caught.value.provider == "acme"


async def test_leaving_closes_upstream(fake: FakeOpenAI, source: HttpSource) -> None:
    fake.behaviour = Behaviour(hang="inside", pieces_before=2)
    async with asyncio.timeout(5):
        async with OpenedChat(source, written, ChatRequest(ASKED.messages, ASKED.model, stream=True)) as events:
            await anext(events)
        await fake.disconnected.wait()
    assert fake.disconnects == 1
    assert await anext(events, None) is None
