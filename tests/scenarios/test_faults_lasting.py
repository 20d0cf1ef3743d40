"""Faults that last longer than one request, and callers that leave: what the callers get, and what each upstream gets."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.testing.faults import AFTER_CONTENT, BEFORE_CONTENT, WELL
from running_gateway import Gateway
from two_sources import BOUND_S, CHAT, COUNT, MODEL, RETRIES, STREAMS, Heard, House, is_right, two_sources

QUICK_LOOKS: dict[str, Any] = {"routing": {"health_interval_s": 0.2}}
STORM_SHARE, STORM_BURST = 0.1, 10
"""Of the requests of a pool this share may be repeated, plus a few."""


@STREAMS
@pytest.mark.parametrize("name", ["500", "503", "429", "cut"])
async def test_a_primary_that_stays_down_gets_probes_only(house: House, name: str, stream: bool) -> None:
    house.a.behaviour = BEFORE_CONTENT[name]
    for _ in range(12):  # its circuit opens, whoever is asked first
        assert is_right(await house.ask(stream=stream), stream=stream)
    until_open = house.a.asked
    assert until_open <= 6
    for _ in range(15):
        heard = await house.ask(stream=stream)
        assert is_right(heard, stream=stream), heard
        assert heard.seconds < 1
    assert house.a.asked - until_open <= 1
    assert house.b.asked == 27
    await house.settled()


@STREAMS
async def test_a_single_source_that_stays_down_is_left_in_peace_too(lonely: House, stream: bool) -> None:
    lonely.a.behaviour = BEFORE_CONTENT["500"]
    heard = [await lonely.ask(stream=stream) for _ in range(15)]
    assert {each.status for each in heard} <= {502, 503}
    assert heard[-1].status == 503
    assert 1 <= int(heard[-1].headers["retry-after"]) <= 300
    assert heard[-1].seconds < 0.5
    assert lonely.a.asked <= 5 + RETRIES
    await lonely.settled()


@STREAMS
async def test_a_primary_that_recovers_is_used_again(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, **QUICK_LOOKS) as house:
        house.a.behaviour = BEFORE_CONTENT["500"]
        for _ in range(12):
            assert is_right(await house.ask(stream=stream), stream=stream)
        house.a.behaviour = WELL
        async with asyncio.timeout(5):
            while (heard := await house.ask(stream=stream)).slot != "0":
                assert is_right(heard, stream=stream)
                await asyncio.sleep(0.05)
        assert is_right(heard, stream=stream)
        await house.settled()


@STREAMS
async def test_a_storm_of_rate_limits_is_not_fed(house: House, stream: bool) -> None:
    house.a.behaviour = house.b.behaviour = BEFORE_CONTENT["429 with retry-after"]
    began = time.perf_counter()
    heard = await asyncio.gather(*(house.ask(stream=stream) for _ in range(40)))
    assert time.perf_counter() - began < BOUND_S
    assert {each.status for each in heard} <= {429, 503}
    assert all(int(each.headers["retry-after"]) >= 1 for each in heard)
    assert house.a.asked + house.b.asked <= 40 * (1 + STORM_SHARE) + STORM_BURST
    await house.settled()


@STREAMS
async def test_two_flapping_sources_give_right_answers_or_the_truth(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, **QUICK_LOOKS) as house:
        heard: list[Heard] = []
        for turn in range(24):
            house.a.behaviour, house.b.behaviour = (
                (BEFORE_CONTENT["500"], WELL) if turn // 3 % 2 == 0 else (WELL, BEFORE_CONTENT["cut"])
            )
            heard.append(await house.ask(stream=stream))
            await asyncio.sleep(0.02)
        right = [each for each in heard if is_right(each, stream=stream)]
        told = [each for each in heard if each.error is not None and each.text == "" and not each.is_done]
        assert len(right) + len(told) == 24
        assert len(right) >= 16
        assert house.a.asked + house.b.asked <= 24 * (1 + RETRIES)
        house.a.behaviour = house.b.behaviour = WELL
        await asyncio.sleep(0.5)
        for _ in range(5):
            assert is_right(await house.ask(stream=stream), stream=stream)
        await house.settled()


# ---- the client leaves


async def _send(gateway: Gateway, *, stream: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    fields = {"model": MODEL, "messages": COUNT, "stream": stream, "provider": {"order": ["slot-0"]}}
    body = json.dumps(fields).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))
    return reader, writer


def assert_cancelled(house: House) -> None:
    last = house.gateway.rows()[0]
    assert (last.outcome, last.status) == ("cancelled", 499)


@STREAMS
async def test_a_client_that_leaves_before_the_first_byte_is_not_served_elsewhere(house: House, stream: bool) -> None:
    await house.plug_a(first_byte_timeout=30, idle_timeout=30)
    house.a.behaviour = BEFORE_CONTENT["no answer"]
    _, writer = await _send(house.gateway, stream=stream)
    async with asyncio.timeout(5):
        await house.a.arrived.wait()
    writer.transport.abort()
    async with asyncio.timeout(1):
        await house.a.disconnected.wait()
    await house.settled()
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert_cancelled(house)


@STREAMS
async def test_a_client_that_leaves_during_the_second_attempt_ends_it(house: House, stream: bool) -> None:
    house.a.behaviour = BEFORE_CONTENT["500"]
    house.b.behaviour = BEFORE_CONTENT["no answer"]
    _, writer = await _send(house.gateway, stream=stream)
    async with asyncio.timeout(5):
        await house.b.arrived.wait()
    writer.transport.abort()
    async with asyncio.timeout(1):
        await house.b.disconnected.wait()
    await house.settled()
    assert (house.a.asked, house.b.asked) == (1, 1)
    assert_cancelled(house)


@STREAMS
async def test_a_client_that_leaves_during_a_wait_ends_it(lonely: House, stream: bool) -> None:
    lonely.a.behaviour = msgspec.structs.replace(BEFORE_CONTENT["429"], retry_after="2")
    _, writer = await _send(lonely.gateway, stream=stream)
    async with asyncio.timeout(5):
        await lonely.a.arrived.wait()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await lonely.settled()
    await asyncio.sleep(2.2)
    assert lonely.a.asked == 1
    assert_cancelled(lonely)


async def test_a_client_that_leaves_after_the_first_byte_ends_it(house: House) -> None:
    await house.plug_a(idle_timeout=30)
    house.a.behaviour = AFTER_CONTENT["stalled"]
    reader, writer = await _send(house.gateway, stream=True)
    async with asyncio.timeout(5):
        await reader.readuntil(b'"1, "')
    writer.transport.abort()
    async with asyncio.timeout(1):
        await house.a.disconnected.wait()
    await house.settled()
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert_cancelled(house)
