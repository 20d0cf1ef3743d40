"""The client that ships, the provider that speaks to WebSockets, the doctor, and a client that does not read."""

import asyncio
import json
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from jackfield.app import sockets, websocket_protocol
from jackfield.app.doctoring.websocket import advice, measure
from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError, NotFound, StreamBroken, TimedOut, Unavailable
from jackfield.doors.websocket.door import SocketLimits
from jackfield.doors.websocket.outbox import Outbox, OutboxLimits
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.websocket_client import GatewaySocket, Reconnecting, SocketTimeouts
from running_gateway import Gateway, running_gateway
from talking import WITHIN_S, Talk, address, talking

NINE = "1, 2, 3, 4, 5, 6, 7, 8, 9"
COUNT = "Count to 9"


async def test_the_client_asks_streams_pings_and_looks(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with GatewaySocket(address(gateway), api_key="not-asked-for") as client:
        assert [piece async for piece in client.stream("slot-0", "Count to 3")] == ["1, ", "2, ", "3"]
        whole = await client.infer("slot-0", COUNT, temperature=0.5)
        assert whole.result == NINE
        assert fake.requests[-1].json["temperature"] == 0.5
        vectors = await client.infer("slot-0", ["a", "b"], task="text-embedding")
        assert len(vectors.result) == 2
        assert 0 < await client.ping() < WITHIN_S
        assert (await client.status())["total_requests"] >= 2
        answers = await asyncio.gather(*(client.infer("slot-0", f"Count to {number}") for number in range(2, 8)))
        assert [answer.result[-1] for answer in answers] == list("234567")


async def test_what_the_gateway_refuses_is_raised(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with GatewaySocket(address(gateway)) as client:
        with pytest.raises(JackfieldError) as refused:
            await client.infer("nobody", "x")
        assert (refused.value.status, refused.value.param) == (404, "model")
        with pytest.raises(BadRequest, match="Missing required fields: inputs"):
            await client.infer("slot-0", "")
        with pytest.raises(BadRequest, match="no topic 'que'"):
            await client.subscribe("queue", "que")
        assert list(client.topics) == ["queue"]
        await client.unsubscribe("queue")
        assert not client.topics
    for url, kind in ((address(gateway).replace("/ws/", "/wx/"), NotFound), ("http://127.0.0.1", BadRequest)):
        with pytest.raises(kind):
            await GatewaySocket(url).__aenter__()


async def test_leaving_a_stream_early_cancels_it_upstream(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="inside", pieces_before=3)
    async with GatewaySocket(address(gateway)) as client:
        stream = client.stream("slot-0", COUNT)
        assert await anext(stream) == "1, "
        await stream.aclose()
        async with asyncio.timeout(WITHIN_S):
            await fake.disconnected.wait()
        asking = asyncio.create_task(client.infer("slot-0", COUNT, request_id="named"))
        async with asyncio.timeout(WITHIN_S):
            while fake.asked < 2:
                await asyncio.sleep(0.01)
            await client.cancel("named")
            with pytest.raises(StreamBroken) as cancelled:
                await asking
        assert cancelled.value.code == "cancelled"


@pytest.mark.behaviour("WS-12")
async def test_the_client_comes_back_and_has_its_subscriptions_again(tmp_path: Path, fake: FakeOpenAI) -> None:
    waits: list[float] = []
    came_back = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0.02)

    async with running_gateway(tmp_path) as first:
        port = first.port
        await first.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        client = GatewaySocket(
            address(first), sleep=sleep, on_connect=lambda _: came_back.set(), timeouts=SocketTimeouts(connect_s=WITHIN_S)
        )
        await client.__aenter__()
        try:
            await client.subscribe("inference")
            fake.behaviour = Behaviour(hang="before")
            lost = asyncio.create_task(client.infer("slot-0", COUNT))
            while not fake.asked:
                await asyncio.sleep(0.01)
            came_back.clear()
            fake.behaviour = Behaviour()
        except BaseException:
            await client.aclose()
            raise
    try:
        with pytest.raises(StreamBroken):
            await lost
        async with running_gateway(tmp_path, port=port):
            async with asyncio.timeout(WITHIN_S):
                await came_back.wait()
            assert (await client.infer("slot-0", COUNT)).result == NINE
            async with asyncio.timeout(WITHIN_S):
                heard = [news.event async for news in _first(client, 2)]
            assert heard[:2] == ["started", "started"] or "ended" in heard
        assert client.connections == 2
        assert waits
    finally:
        await client.aclose()


async def _first(client: GatewaySocket, count: int) -> Any:
    async for news in client.news():
        yield news
        count -= 1
        if not count:
            return


@pytest.mark.behaviour("WS-12")
async def test_timeouts_can_be_set_and_say_what_did_not_come(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="before")
    async with GatewaySocket(address(gateway), timeouts=SocketTimeouts(idle_s=0.05)) as client:
        with pytest.raises(TimedOut, match="the answer did not come within"):
            await client.infer("slot-0", COUNT)
        async with asyncio.timeout(WITHIN_S):
            await fake.disconnected.wait()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{nobody.getsockname()[1]}/ws/me"
        with pytest.raises(Unavailable, match=r"within 0\.1 s"):
            await GatewaySocket(url, timeouts=SocketTimeouts(connect_s=0.1)).__aenter__()


def test_waits_grow_are_bounded_and_random() -> None:
    ours = Reconnecting(first_s=0.25, most_s=15.0)
    assert [ours.delay_s(tries, lambda: 1.0) for tries in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]
    assert ours.delay_s(3, lambda: 0.0) == 1.0
    assert ours.delay_s(10**6, lambda: 1.0) == 15.0


async def test_a_wrong_key_is_told_once_and_not_tried_again(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"server": {"api_key": "env:GATEWAY_KEY"}}
    async with running_gateway(tmp_path, {"GATEWAY_KEY": "right-key"}, **settings) as gateway:
        with pytest.raises(AuthFailed):
            await GatewaySocket(address(gateway), api_key="wrong-key").__aenter__()
        async with GatewaySocket(address(gateway), api_key="right-key") as client:
            await client.ping()


@pytest.mark.behaviour("ERR-13")
async def test_the_doctor_measures_the_ping_and_advises(gateway: Gateway) -> None:
    measured = await measure(address(gateway, "doctor"), None, pings=3, pause_s=0)
    assert measured.problem is None
    assert len(measured.pings_ms) == 3
    checks = {check.name: check for check in advice(address(gateway), measured)}
    assert list(checks) == ["connection", "ping/pong", "reconnect", "network", "timeouts"]
    assert f"{measured.usual_ms:.2f} ms" in checks["ping/pong"].detail
    assert all(check.detail for check in checks.values())
    far = {check.name: check for check in advice("wss://gateway.example/ws/x", measured)}
    assert "proxy" in far["network"].fix


async def test_our_own_websocket_provider_speaks_to_this_door(tmp_path: Path, gateway: Gateway) -> None:
    asked = {
        "type": "inference",
        "stream": True,
        "model": "{model}",
        "inputs": "{prompt}",
        "parameters": {"system_prompt": "{system}", "max_tokens": "{max_tokens}"},
    }
    rules = [
        {"when": {"type": "inference_chunk"}, "text": "chunk"},
        {"when": {"type": "inference_reasoning"}, "reasoning": "chunk"},
        {"when": {"type": "inference_error"}, "error": "error"},
        {"when": {"type": "error"}, "error": "message"},
    ]
    config = {"url": address(gateway, "other-gateway"), "send": asked, "receive": rules, "done": {"type": "inference_complete"}}
    async with running_gateway(tmp_path / "front") as front:
        await front.plug(0, "websocket", model="slot-0", **config)
        async with talking(front) as talk:
            end = await talk.ask("inference", "inference_result", "inference_error", model="slot-0", inputs=COUNT)
            assert end["result"] == NINE
        config["done"] = {"type": "inference_complete"}
        await front.plug(1, "websocket", model="nobody", **config)
        async with talking(front) as talk:
            end = await talk.ask("inference", "inference_result", "inference_error", model="slot-1", inputs=COUNT)
            assert end["type"] == "inference_error"
            assert "no slot answers to the model 'nobody'" in end["error"]


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that holds little for a client."""
    held = OutboxLimits(room_bytes=16 * 1024, max_bytes=64 * 1024)
    monkeypatch.setattr(sockets, "SocketLimits", partial(SocketLimits, outbox=held))


def narrow(gateway: Gateway) -> socket.socket:
    """A connection whose other side holds little, so that not reading is soon felt."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    made.connect(("127.0.0.1", gateway.port))
    return made


async def flood(sleeper: ClientConnection, count: int) -> None:
    """Asks for more than anybody would wait for, without reading it."""
    sleeper.transport.pause_reading()
    asked = json.dumps({"type": "cancel", "request_id": "🙂" * 250}, ensure_ascii=False)
    for _ in range(count):
        await sleeper.send(asked)


async def all_of(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


@pytest.mark.usefixtures("strict")
async def test_a_client_that_does_not_read_is_let_go_with_a_reason(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, was_let_go = Outbox.let_go, asyncio.Event()

    def watched(outbox: Outbox, reason: str) -> None:
        was_let_go.set()
        let_go(outbox, reason)

    monkeypatch.setattr(Outbox, "let_go", watched)
    async with connect(address(gateway, "sleeper"), sock=narrow(gateway)) as sleeper, asyncio.timeout(30):
        await flood(sleeper, 8000)
        await was_let_go.wait()
        async with talking(gateway) as talk:
            await talk.ask("ping", "pong")
        sleeper.transport.resume_reading()
        with pytest.raises(ConnectionClosed) as closed:
            await all_of(sleeper)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "are not read" in closed.value.rcvd.reason


@pytest.mark.usefixtures("strict")
async def test_a_client_that_never_reads_again_is_cut_off(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "CLOSE_WITHIN_S", 0.1)
    asleep = connect(address(gateway, "sleeper"), sock=narrow(gateway), ping_interval=None, close_timeout=0.1)
    async with asleep as sleeper, asyncio.timeout(30):
        with pytest.raises(ConnectionClosed):
            await flood(sleeper, 10_000_000)
        sleeper.transport.abort()


@pytest.mark.usefixtures("strict")
async def test_an_answer_that_is_not_read_slows_its_source_down(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with connect(address(gateway, "sleeper"), sock=narrow(gateway), max_queue=1) as sleeper, asyncio.timeout(30):
        talk = Talk(sleeper)
        await talk.hear("connection")
        sleeper.transport.pause_reading()
        for number in range(8):
            asked = {"request_id": number, "model": "slot-0", "inputs": "Count to 999", "stream": True}
            await sleeper.send(json.dumps({"type": "inference", **asked}))
        await asyncio.sleep(0.3)
        sleeper.transport.resume_reading()
        ends = 0
        while ends < 8:
            ends += (await talk.hear("inference_complete", "inference_error"))["type"] == "inference_complete"
    for number in range(8):
        told = "".join(piece["chunk"] for piece in talk.pieces(number))
        assert told == ", ".join(map(str, range(1, 1000)))
