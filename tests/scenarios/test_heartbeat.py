"""Signs of life in streams that are slow: the client sees them between events, and they cost nobody the second source."""

import asyncio
from pathlib import Path
from typing import Any

from jackfield.testing.fakes import Behaviour
from two_sources import CHAT, House, assert_told, is_right, two_sources

SIGN = ": keep-alive"
SOON: dict[str, Any] = {"server": {"heartbeat_s": 0.15}}


async def slow(house: House, **behaviour: Any) -> None:
    await house.plug_a(first_byte_timeout=5.0, idle_timeout=5.0)
    house.a.behaviour = Behaviour(**behaviour)


async def test_a_late_first_token_is_bridged(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, **SOON) as house:
        await slow(house, first_event_delay_s=1.0)
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert heard.headers["x-accel-buffering"] == "no"
        assert heard.lines[0] == SIGN
        assert 2 <= heard.lines.count(SIGN) <= 8
        assert [row.outcome for row in house.rows(heard)] == ["ok"]
        await house.settled()


async def test_a_pause_between_events_is_bridged(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, **SOON) as house:
        await slow(house, piece_delay_s=0.5)
        heard = await house.ask(stream=True, messages=[{"role": "user", "content": "Count to 3"}])
        assert (heard.text, heard.is_done) == ("1, 2, 3", True)
        first = next(place for place, line in enumerate(heard.lines) if line.startswith("data: "))
        assert SIGN in heard.lines[first:]
        await house.settled()


async def test_a_fast_answer_gets_no_sign(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, **SOON) as house:
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert heard.headers["x-accel-buffering"] == "no"
        assert SIGN not in heard.lines


async def test_after_a_sign_the_second_source_still_takes_over(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **SOON) as house:
        await house.plug_a(first_byte_timeout=1.0)
        house.a.behaviour = Behaviour(hang="before")
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert heard.lines[0] == SIGN
        assert (house.a.asked, house.b.asked) == (1, 1)
        await house.settled()


async def test_after_a_sign_an_error_is_told_in_the_stream(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, routing={"retries": 0}, **SOON) as house:
        await house.plug_a(first_byte_timeout=0.8)
        house.a.behaviour = Behaviour(hang="before")
        heard = await house.ask(stream=True)
        assert heard.lines[0] == SIGN
        assert_told(house, heard, 504, None)
        await house.settled()


async def test_none_where_none_is_wanted(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, server={"heartbeat_s": 0}) as house:
        await slow(house, first_event_delay_s=0.6)
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert SIGN not in heard.lines


async def test_a_client_that_leaves_while_signs_come_frees_everything(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, **SOON) as house:
        await slow(house, hang="before")
        body = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}], "stream": True}
        async with asyncio.timeout(5), house.gateway.http.stream("POST", CHAT, json=body) as reply:
            async for piece in reply.aiter_raw():
                assert piece.startswith(SIGN.encode())
                break
        async with asyncio.timeout(3):
            await house.a.disconnected.wait()
        await house.settled()
