"""Races for the first token, sources that rest or are still starting, and the limits of providers: what everybody gets."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.testing.faults import refusing_port
from running_gateway import running_gateway
from two_sources import CHAT, COUNT, MODEL, WHOLE, House, is_right, two_sources

HEDGED: dict[str, Any] = {"hedge": {"enabled": True, "share": 0.5}}
LATE = Behaviour(first_event_delay_s=3.0)
LEARNED = 24
"""Answers after which a source's usual first token is known."""


async def learn(house: House) -> None:
    """Makes the first source's usual first token known, and the budget full."""
    for _ in range(LEARNED):
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
    house.a.requests.clear()
    house.b.requests.clear()


async def test_a_late_first_token_is_raced_and_the_loser_is_cut(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **HEDGED) as house:
        await learn(house)
        house.a.behaviour = LATE
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert heard.seconds < 2
        assert heard.headers["x-jackfield-slot"] == "1"
        assert (house.a.asked, house.b.asked) == (1, 1)
        async with asyncio.timeout(2):
            await house.a.disconnected.wait()
        assert [(row.slot, row.outcome) for row in house.rows(heard)] == [(0, "hedged"), (1, "ok")]
        shown = (await house.gateway.http.get("/metrics")).text
        assert 'jackfield_hedges_total{outcome="won"} 1' in shown
        states = {backend.slot: backend.metrics for backend in house.gateway.house.backends.list_backends()}
        assert (states[0].failed, states[0].cancelled) == (0, 1)
        await house.settled()


async def test_a_late_whole_answer_is_raced_too(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **HEDGED) as house:
        await learn(house)
        house.a.behaviour = LATE
        heard = await house.ask(stream=False)
        assert is_right(heard, stream=False)
        assert heard.seconds < 2
        async with asyncio.timeout(2):
            await house.a.disconnected.wait()
        assert [(row.slot, row.outcome, row.status) for row in house.rows(heard)] == [(0, "hedged", 499), (1, "ok", 200)]
        await house.settled()


async def test_the_first_one_may_still_win(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **HEDGED) as house:
        await learn(house)
        house.a.behaviour = msgspec.structs.replace(LATE, first_event_delay_s=0.25)
        await house.plug_b(first_byte_timeout=5.0)
        house.b.behaviour = LATE
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert heard.headers["x-jackfield-slot"] == "0"
        assert [(row.slot, row.outcome) for row in house.rows(heard)] == [(1, "hedged"), (0, "ok")]
        await house.settled()


async def test_when_one_side_fails_the_other_one_answers(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **HEDGED) as house:
        await learn(house)
        house.a.behaviour = msgspec.structs.replace(LATE, first_event_delay_s=0.25)
        house.b.behaviour = Behaviour(status=500)
        heard = await house.ask(stream=True)
        assert is_right(heard, stream=True)
        assert [(row.slot, row.outcome) for row in house.rows(heard)] == [(1, "unavailable"), (0, "ok")]
        await house.settled()


async def test_when_both_fail_the_truth_is_told_and_all_is_booked_once(tmp_path: Path) -> None:
    async with two_sources(tmp_path, routing={"retries": 0}, **HEDGED) as house:
        await learn(house)
        house.a.behaviour = Behaviour(status=500, delay_s=0.25)
        house.b.behaviour = Behaviour(status=500)
        heard = await house.ask(stream=True)
        assert heard.status in (500, 502, 503)
        assert [row.slot for row in house.rows(heard)] == [1, 0]
        await house.settled()


async def test_a_client_that_leaves_in_the_race_frees_both(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **HEDGED) as house:
        await learn(house)
        house.a.behaviour = house.b.behaviour = LATE
        asking = asyncio.create_task(house.ask(stream=True))
        async with asyncio.timeout(5):
            while house.b.asked == 0:
                await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(3):
            await house.a.disconnected.wait()
            await house.b.disconnected.wait()
        await house.settled()


async def test_no_more_than_its_share_is_doubled(tmp_path: Path) -> None:
    async with two_sources(tmp_path, hedge={"enabled": True, "share": 0.05}) as house:
        await learn(house)
        house.a.behaviour = Behaviour(first_event_delay_s=0.12)
        for _ in range(12):
            assert is_right(await house.ask(stream=True), stream=True)
        assert house.b.asked <= 2 + 12 * 0.05
        await house.settled()


async def test_off_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with two_sources(tmp_path) as house:
        await learn(house)
        house.a.behaviour = Behaviour(first_event_delay_s=0.3)
        assert is_right(await house.ask(stream=True), stream=True)
        assert house.b.asked == 0


@pytest.mark.parametrize("alone", [True, False])
async def test_a_source_that_asks_for_a_moment_gets_it(tmp_path: Path, alone: bool) -> None:
    """Everybody rests for a second: who comes meanwhile waits, for patience allows it."""
    async with two_sources(tmp_path, alone=alone) as house:
        busy = Behaviour(status=429, retry_after="1")
        house.a.script.append(busy)
        house.b.script.append(busy)
        replies = await asyncio.gather(*(house.ask(stream=False) for _ in range(3)))
        assert [heard.status for heard in replies] == [200] * 3
        assert all(heard.text == WHOLE for heard in replies)
        await house.settled()


async def test_longer_than_patience_nobody_waits(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True) as house:
        house.a.script.append(Behaviour(status=429, retry_after="60"))
        first = await house.ask(stream=False)
        again = await house.ask(stream=False)
        assert (first.status, again.code) == (429, "backend_resting")
        assert int(again.headers["retry-after"]) > 50
        assert again.seconds < 1
        assert house.a.asked == 1
        await house.settled()


@pytest.mark.behaviour("MGR-21")
@pytest.mark.parametrize("stream", [False, True])
async def test_the_primary_is_down_and_the_secondary_answers_within_one_budget(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path) as house:
        house.a.behaviour = Behaviour(status=503)
        heard = await house.ask(stream=stream)
        assert is_right(heard, stream=stream)
        assert (house.a.asked, house.b.asked) == (1, 1)
        house.b.behaviour = Behaviour(status=503)
        lost = await house.ask(stream=stream)
        assert lost.status == 503
        assert house.a.asked + house.b.asked <= 2 + 3
        await house.settled()


LOADING = Behaviour(status=503, message="Loading model", everywhere=True)


@pytest.mark.behaviour("LOCL-29")
@pytest.mark.parametrize("how", ["refused", "loading"])
async def test_the_first_call_waits_for_a_source_that_is_starting(tmp_path: Path, how: str) -> None:
    async with two_sources(tmp_path, alone=True) as house:
        if how == "loading":
            house.a.behaviour = LOADING
            await house.plug_a(provider="llama-server", require_ready=False)
        else:
            await house.a.stop()
            await house.plug_a(provider="llama-server", require_ready=False)
            with refusing_port(house.a.port):
                asking = asyncio.create_task(house.ask(stream=False))
                await asyncio.sleep(0.6)
            await house.a.__aenter__()
        if how == "loading":
            asking = asyncio.create_task(house.ask(stream=False))
            async with asyncio.timeout(5):
                while house.a.asked < 2:
                    await asyncio.sleep(0.02)
            house.a.behaviour = Behaviour()
        heard = await asking
        assert (heard.status, heard.text) == (200, WHOLE)
        assert [row.outcome for row in house.rows(heard)] == ["ok"]
        await house.settled()


@pytest.mark.behaviour("LOCL-29")
async def test_a_gateway_that_starts_together_with_its_source_waits_for_it(tmp_path: Path) -> None:
    """The slot is an old one: it was plugged in an earlier run, long ago."""
    async with two_sources(tmp_path, alone=True) as house:
        await house.plug_a(provider="llama-server")
        assert is_right(await house.ask(stream=False), stream=False)
        port = house.a.port
    async with contextlib.AsyncExitStack() as stack:
        with refusing_port(port):
            gateway = await stack.enter_async_context(running_gateway(tmp_path))
            for backend in gateway.house.backends.list_backends():
                backend.seen.registered_at -= 86_400
            asking = asyncio.create_task(gateway.http.post(CHAT, json={"model": "slot-0", "messages": COUNT}))
            await asyncio.sleep(0.6)
        source = FakeOpenAI([MODEL])
        source.port = port
        await stack.enter_async_context(source)
        assert (await asking).json()["choices"][0]["message"]["content"] == WHOLE


async def test_a_source_that_never_starts_is_told_of_when_the_time_is_up(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, routing={"warm_up_s": 0.6, "retries": 0}) as house:
        await house.plug_a(provider="llama-server", require_ready=False)
        house.a.behaviour = LOADING
        heard = await house.ask(stream=False)
        assert heard.status == 503
        assert "oading model" in str(heard.error)
        assert heard.seconds < 3
        await house.settled()


async def test_a_source_that_ran_and_died_is_not_waited_for(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True) as house:
        await house.plug_a(provider="llama-server")
        assert is_right(await house.ask(stream=False), stream=False)
        await house.a.stop()
        with refusing_port(house.a.port):
            heard = await house.ask(stream=False)
        assert heard.status in (502, 503)
        assert heard.seconds < 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_address_is_not_asked_twice(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, alone=True) as house:
        house.a.behaviour = Behaviour(status=404, body=b"<html><title>404 Not Found</title></html>")
        heard = await house.ask(stream=stream)
        assert (heard.status, heard.code) == (502, "upstream_error")
        assert "base URL" in str(heard.error)
        assert house.a.asked == 1
        await house.settled()


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
async def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    """Waits, limits and circuits go by a clock that nobody sets."""
    real, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])
    limits = {"providers": {"openai-compat": {"requests_per_minute": 100}}}
    async with two_sources(tmp_path, alone=True, limits=limits) as house:
        assert is_right(await house.ask(stream=True), stream=True)
        house.a.script.append(Behaviour(status=429, retry_after="1"))
        asking = asyncio.create_task(house.ask(stream=False))
        async with asyncio.timeout(5):
            while house.a.asked < 2:
                await asyncio.sleep(0.01)
        shift[0] = jump_s
        heard = await asking
        assert is_right(heard, stream=False)
        assert 0.9 <= heard.seconds < 3
        assert is_right(await house.ask(stream=True), stream=True)
        assert len(house.gateway.rows()) == 4
        await house.settled()


async def test_a_provider_s_limit_sends_the_request_to_the_sibling(tmp_path: Path) -> None:
    limits = {"models": {MODEL: {"concurrency": 1}}, "queue_size": 0}
    async with two_sources(tmp_path, limits=limits) as house:
        house.a.behaviour = house.b.behaviour = Behaviour(delay_s=0.3)
        first, second = await asyncio.gather(house.ask(stream=False), house.ask(stream=False))
        assert sorted((first.status, second.status)) == [200, 429]
        refused = first if first.status == 429 else second
        assert f"limits.models.{MODEL}" in str(refused.error)
        assert house.a.asked + house.b.asked == 1
        assert all(backend.metrics.failed == 0 for backend in house.gateway.house.backends.list_backends())
        await house.settled()


async def test_within_a_limit_requests_wait_their_turn(tmp_path: Path) -> None:
    limits = {"providers": {"openai-compat": {"concurrency": 1}}}
    async with two_sources(tmp_path, alone=True, limits=limits) as house:
        house.a.behaviour = Behaviour(delay_s=0.1)
        replies = await asyncio.gather(*(house.ask(stream=False) for _ in range(3)))
        assert [heard.status for heard in replies] == [200] * 3
        assert house.a.connections <= 2, "one after the other over the same connection, and one for looks"
        await house.settled()
