"""What sources do wrong, and clients that leave: bounded, truthful, and nothing is left behind."""

import asyncio
import json
from typing import Any

import pytest
from openai import APIError

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway

CHAT = "/v1/chat/completions"
COUNT: Any = [{"role": "user", "content": "Count to 9"}]


def stream_body() -> dict[str, Any]:
    return {"model": "slot-0", "messages": COUNT, "stream": True}


async def settled(gateway: Gateway) -> None:
    """Nothing in flight, no upstream connection in use."""
    binding = gateway.house.registry.slot(0).binding
    assert binding is not None
    http = gateway.house.tools.http
    async with asyncio.timeout(3):
        while binding.live.in_flight or http.open_count > http.idle_count:
            await asyncio.sleep(0.01)


async def test_an_engine_cut_in_the_middle_is_an_error_in_the_stream(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(cut_after=3)
    async with gateway.http.stream("POST", CHAT, json=stream_body()) as reply:
        lines = [line async for line in reply.aiter_lines() if line]
    assert reply.status_code == 200
    last = json.loads(lines[-1].removeprefix("data: "))
    assert last["error"]["code"] in ("stream_broken", "unavailable", "malformed_answer")
    assert last["error"]["message"]
    assert "data: [DONE]" not in lines
    assert not any('"finish_reason":"stop"' in line for line in lines)
    row = gateway.rows()[0]
    assert row.outcome == last["error"]["code"]
    await settled(gateway)


async def test_the_sdk_raises_on_a_broken_stream(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(cut_after=3)
    async with gateway.openai() as client:
        stream = await client.chat.completions.create(model="slot-0", messages=COUNT, stream=True)
        with pytest.raises(APIError):
            async for _ in stream:
                pass


async def test_an_error_inside_the_stream_is_passed_on_as_one(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(error_after=3, message="the engine ran out of memory")
    async with gateway.http.stream("POST", CHAT, json=stream_body()) as reply:
        lines = [line async for line in reply.aiter_lines() if line]
    assert "the engine ran out of memory" in lines[-1]
    assert "data: [DONE]" not in lines
    assert gateway.rows()[0].outcome != "ok"


async def test_an_error_before_the_first_chunk_has_a_status(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(error_after=0, message="overloaded before it began")
    reply = await gateway.http.post(CHAT, json=stream_body())
    assert reply.status_code >= 400
    assert "overloaded before it began" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("upstream", "seen"), [(401, 401), (402, 402), (429, 429), (500, 502), (502, 502), (503, 503), (529, 503)]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_of_the_source_is_told(
    gateway: Gateway, fake: FakeOpenAI, upstream: int, seen: int, stream: bool
) -> None:
    fake.behaviour = Behaviour(status=upstream, retry_after="7", message="no")
    reply = await gateway.http.post(CHAT, json={**stream_body(), "stream": stream})
    assert reply.status_code == seen
    error = reply.json()["error"]
    assert error["message"].startswith("openai-compat")
    assert error["slot"] == 0
    if upstream == 429:
        assert reply.headers["retry-after"] == "7"
    row = gateway.rows()[0]
    assert (row.status, row.outcome) == (seen, error["code"])


async def test_a_source_that_is_gone_is_named_with_a_remedy(gateway: Gateway, fake: FakeOpenAI) -> None:
    await fake.stop()
    reply = await gateway.http.post(CHAT, json={**stream_body(), "stream": False})
    assert reply.status_code == 502
    assert f"127.0.0.1:{fake.port}" in reply.json()["error"]["message"]


async def test_an_answer_that_is_no_json_is_an_error(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(body=b'{"choices": [{"message": {"content": "half')
    reply = await gateway.http.post(CHAT, json={**stream_body(), "stream": False})
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "malformed_answer"


async def test_a_200_that_carries_an_error_is_an_error(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(body=b'{"error": {"message": "quota gone", "code": "insufficient_quota"}}')
    reply = await gateway.http.post(CHAT, json={**stream_body(), "stream": False})
    assert reply.status_code >= 400
    assert "quota gone" in reply.json()["error"]["message"]


@pytest.mark.parametrize(("stream", "hang"), [(False, "before"), (True, "before"), (True, "inside")])
async def test_a_client_that_leaves_cancels_upstream_within_a_second(
    gateway: Gateway, fake: FakeOpenAI, stream: bool, hang: str
) -> None:
    fake.behaviour = Behaviour(hang=hang)  # type: ignore[arg-type]
    body = json.dumps({**stream_body(), "stream": stream}).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))
    async with asyncio.timeout(5):
        await fake.arrived.wait()
    writer.transport.abort()
    async with asyncio.timeout(1):
        await fake.disconnected.wait()
    await settled(gateway)
    row = gateway.rows()[0]
    assert (row.outcome, row.status) == ("cancelled", 499)


async def test_a_hung_source_is_given_up_in_bounded_time(gateway: Gateway, fake: FakeOpenAI) -> None:
    await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model", first_byte_timeout=0.2)
    fake.behaviour = Behaviour(hang="before")
    async with asyncio.timeout(5):
        reply = await gateway.http.post(CHAT, json={**stream_body(), "stream": False})
    assert reply.status_code == 504
    await settled(gateway)


async def test_a_stalled_stream_is_given_up_in_bounded_time(gateway: Gateway, fake: FakeOpenAI) -> None:
    await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model", idle_timeout=0.2)
    fake.behaviour = Behaviour(hang="inside", pieces_before=3)
    async with asyncio.timeout(5), gateway.http.stream("POST", CHAT, json=stream_body()) as reply:
        lines = [line async for line in reply.aiter_lines() if line]
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "timeout"
    await settled(gateway)


async def test_a_slow_reader_holds_up_only_itself(gateway: Gateway, fake: FakeOpenAI) -> None:
    body = json.dumps(stream_body()).encode()
    _, slow = await asyncio.open_connection("127.0.0.1", gateway.port)
    slow.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))
    async with asyncio.timeout(5):
        replies = await asyncio.gather(*(gateway.http.post(CHAT, json={**stream_body(), "stream": False}) for _ in range(20)))
    assert {reply.status_code for reply in replies} == {200}
    slow.transport.abort()
    await settled(gateway)


async def test_an_upstream_without_end_mark_is_closed_with_one(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(sends_done=False)
    async with gateway.http.stream("POST", CHAT, json=stream_body()) as reply:
        lines = [line async for line in reply.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert gateway.rows()[0].outcome == "ok"


@pytest.mark.parametrize("split_bytes", [1, 7, 64])
async def test_events_cut_anywhere_arrive_whole(gateway: Gateway, fake: FakeOpenAI, split_bytes: int) -> None:
    fake.behaviour = Behaviour(split_bytes=split_bytes)
    async with gateway.openai() as client:
        stream = await client.chat.completions.create(model="slot-0", messages=COUNT, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "1, 2, 3, 4, 5, 6, 7, 8, 9"
