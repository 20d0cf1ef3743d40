"""A WebSocket endpoint as a source: a real server on loopback, its chunks, its drops, its refusals."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("websockets")

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from jackfield.core.errors import AuthFailed, BadRequest, EgressDenied, StreamBroken, TimedOut, Unavailable
from jackfield.core.events import ChatReply, TextDelta, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.websocket import WebSocketSource
from jackfield.testing.tools import FakeTools, provider_tools

WORDS = [f"{number} " for number in range(20)]


class Endpoint:
    """Answers in words; `drops` connections before content, or `cuts` in the middle."""

    def __init__(self) -> None:
        self.server: Server
        self.asked: list[dict[str, Any]] = []
        self.drops = 0
        self.cuts = False
        self.hangs = False
        self.key: str | None = None
        self.left = asyncio.Event()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}/ws"

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return connection.respond(401, "no\n")
        return None

    async def answer(self, connection: ServerConnection) -> None:
        try:
            self.asked.append(json.loads(await connection.recv()))
            if self.drops:
                self.drops -= 1
                await connection.close(1011)
                return
            for number, word in enumerate(WORDS):
                if self.cuts and number == 3:
                    connection.transport.abort()
                    return
                await connection.send(json.dumps({"type": "chunk", "content": word}))
                if self.hangs:
                    await connection.wait_closed()
            await connection.send(json.dumps({"type": "complete"}))
        finally:
            await connection.wait_closed()
            self.left.set()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    async with serve(made.answer, "127.0.0.1", 0, process_request=made.admit) as server:
        made.server = server
        yield made


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": "key-of-mine"}) as made:
        yield made


async def answered(provider: WebSocketSource, **request: Any) -> ChatReply:
    asked = ChatRequest((text_message("system", "be brief"), text_message("user", "ping")), **request)
    async with asyncio.timeout(10), provider.open(asked) as events:
        return await fold(events)


@pytest.mark.behaviour("PROV-42")
async def test_chunks_come_in_order(endpoint: Endpoint, tools: FakeTools) -> None:
    provider = WebSocketSource.create({"url": endpoint.url, "model": "m"}, tools)
    assert (await answered(provider)).message.text == "".join(WORDS)
    expected = {"type": "inference", "stream": True, "model": "m", "system": "be brief", "prompt": "ping"}
    assert endpoint.asked == [expected]
    assert (await provider.probe()).is_ready


async def test_a_drop_before_content_is_a_new_connection(endpoint: Endpoint, tools: FakeTools) -> None:
    endpoint.drops = 2
    provider = WebSocketSource.create({"url": endpoint.url}, tools)
    assert (await answered(provider)).message.text == "".join(WORDS)
    assert len(endpoint.asked) == 3
    endpoint.drops = 3
    with pytest.raises(StreamBroken):
        await answered(provider)
    assert len(endpoint.asked) == 6


async def test_a_drop_in_the_middle_is_told(endpoint: Endpoint, tools: FakeTools) -> None:
    endpoint.cuts = True
    provider = WebSocketSource.create({"url": endpoint.url}, tools)
    with pytest.raises(StreamBroken):
        await answered(provider)
    assert len(endpoint.asked) == 1


async def test_who_leaves_closes_the_connection(endpoint: Endpoint, tools: FakeTools) -> None:
    endpoint.hangs = True
    provider = WebSocketSource.create({"url": endpoint.url, "idle_timeout": 30}, tools)
    async with provider.open(ChatRequest((text_message("user", "x"),))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    async with asyncio.timeout(5):
        await endpoint.left.wait()


async def test_silence_has_a_limit(endpoint: Endpoint, tools: FakeTools) -> None:
    endpoint.hangs = True
    with pytest.raises(TimedOut, match=r"nothing came for 0\.2 s"):
        await answered(WebSocketSource.create({"url": endpoint.url, "idle_timeout": 0.2}, tools))


async def test_what_is_sent_and_read_is_config(endpoint: Endpoint, tools: FakeTools) -> None:
    config = {
        "url": endpoint.url,
        "send": {"q": "{prompt}", "options": {"temperature": "{temperature}", "seed": "{seed}"}, "tags": ["a"]},
        "receive": [{"when": {"type": "chunk"}, "text": "content"}],
        "temperature": 0.5,
    }
    await answered(WebSocketSource.create(config, tools), generation=Generation(max_tokens=3))
    assert endpoint.asked == [{"q": "be brief\n\nping", "options": {"temperature": 0.5}, "tags": ["a"]}]


async def test_keys_refusals_and_nobody(endpoint: Endpoint, tools: FakeTools) -> None:
    endpoint.key = "key-of-mine"
    with pytest.raises(AuthFailed):
        await answered(WebSocketSource.create({"url": endpoint.url}, tools))
    keyed = WebSocketSource.create({"url": endpoint.url, "api_key": "env:KEY"}, tools)
    assert (await answered(keyed)).message.text == "".join(WORDS)
    with pytest.raises(Unavailable):
        await answered(WebSocketSource.create({"url": "ws://127.0.0.1:9/ws"}, tools))
    with pytest.raises(EgressDenied):
        await answered(WebSocketSource.create({"url": "wss://api.example/ws"}, tools))
    with pytest.raises(BadRequest, match="ws://"):
        WebSocketSource.create({"url": "http://127.0.0.1:9/ws"}, tools)
