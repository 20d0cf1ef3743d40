"""Faults of a stream after its first content: told in the stream, or, where the caller asks for it, taken up by the sibling."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.testing.answers import answer_for, chunk_bodies
from jackfield.testing.faults import AFTER_CONTENT, BEFORE_CONTENT, TRICKLE
from two_sources import COUNT, MODEL, USAGE, WHOLE, Heard, House, is_right, two_sources

TOLD_AFTER = {
    "cut": {"stream_broken", "unavailable"},
    "stalled": {"timeout"},
    "malformed": {"malformed_answer"},
    "error in the stream": {"unavailable", "upstream_error"},
}
ASKED = {"x-jackfield-continue": "1"}
PACED: dict[str, Any] = {"routing": {"idle_s": 0.4}}
MEASURED: dict[str, Any] = {"routing": {"min_tokens_per_s": 10, "throughput_window_s": 0.8}}
REST = 7
"""Words, and a space, that the sibling says after the first three."""
GOES_ON = "llama-server"
"""A provider that is known to go on after a given beginning."""


def assert_broken_off(heard: Heard, codes: set[str]) -> None:
    """A part of the right answer, once, then a typed error in the stream and no end mark."""
    assert heard.status == 200
    assert 0 < len(heard.text) < len(WHOLE)
    assert WHOLE.startswith(heard.text)
    assert heard.code in codes, heard
    assert json.loads(heard.lines[-1].removeprefix("data: "))["error"] == heard.error
    assert heard.finish_reasons == []
    assert not heard.is_done


def chunks_of(heard: Heard) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in heard.lines if line.startswith("data: {")]


def assert_one_stream(heard: Heard) -> None:
    """What a client sees is one answer's stream: one id, one role, one end."""
    chunks = chunks_of(heard)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert sum("role" in choice["delta"] for chunk in chunks for choice in chunk["choices"]) == 1
    assert heard.finish_reasons == ["stop"]
    assert heard.is_done


def marks_of(heard: Heard) -> list[dict[str, Any]]:
    return [chunk["jackfield"] for chunk in chunks_of(heard) if "jackfield" in chunk]


def turns(house: House) -> list[dict[str, Any]]:
    """The messages of the last request that the sibling got."""
    messages: list[dict[str, Any]] = next(each for each in reversed(house.b.requests) if each.method == "POST").json["messages"]
    return messages


async def told_off(house: House) -> None:
    """The source that was given up is not left running."""
    async with asyncio.timeout(1):
        await house.a.disconnected.wait()


@pytest.mark.parametrize("name", TOLD_AFTER)
async def test_after_content_the_stream_ends_in_a_typed_error(house: House, name: str) -> None:
    house.a.behaviour = AFTER_CONTENT[name]
    heard = await house.ask(stream=True)
    assert_broken_off(heard, TOLD_AFTER[name])
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert [row.outcome for row in house.rows(heard)] == [heard.code]
    await house.settled()


async def test_heartbeats_are_no_content_either(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **PACED) as house:
        house.a.behaviour = AFTER_CONTENT["stalled, heartbeats"]
        heard = await house.ask(stream=True)
        assert_broken_off(heard, {"stream_stalled"})
        assert 0.4 < heard.seconds < 3
        assert (house.a.asked, house.b.asked) == (1, 0)
        assert [row.outcome for row in house.rows(heard)] == ["stream_stalled"]
        await told_off(house)
        await house.settled()


async def test_heartbeats_before_content_are_none_where_nobody_else_is(tmp_path: Path) -> None:
    async with two_sources(tmp_path, alone=True, **PACED) as house:
        house.a.behaviour = BEFORE_CONTENT["slow first token, heartbeats"]
        heard = await house.ask(stream=True)
        assert heard.text == ""
        assert heard.code == "stream_stalled"
        assert heard.seconds < 5
        assert house.a.asked <= 2
        await house.settled()


async def test_a_trickle_is_given_up(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **MEASURED) as house:
        house.a.behaviour = TRICKLE
        heard = await house.ask(stream=True)
        assert_broken_off(heard, {"too_slow"})
        assert 0.8 < heard.seconds < 2.5
        assert (house.a.asked, house.b.asked) == (1, 0)
        assert [row.outcome for row in house.rows(heard)] == ["too_slow"]
        await told_off(house)
        await house.settled()


async def test_a_source_that_keeps_pace_is_left_alone(tmp_path: Path) -> None:
    async with two_sources(tmp_path, **MEASURED) as house:
        house.a.behaviour = msgspec.structs.replace(TRICKLE, piece_delay_s=0.05)
        heard = await house.ask(stream=True, messages=[{"role": "user", "content": "Count to 40"}])
        assert (heard.error, heard.finish_reasons) == (None, ["stop"])
        assert heard.seconds > 1.6
        await house.settled()


@pytest.mark.behaviour("ERR-02")
@pytest.mark.parametrize("name", [*TOLD_AFTER, "stalled, heartbeats"])
async def test_where_the_client_asks_the_answer_goes_on_at_the_sibling(tmp_path: Path, name: str) -> None:
    async with two_sources(tmp_path, **PACED) as house:
        await house.plug_b(provider=GOES_ON)
        house.b.prefill = "goes on"
        house.a.behaviour = AFTER_CONTENT[name]
        heard = await house.ask(stream=True, headers=ASKED, stream_options={"include_usage": True}, max_tokens=100)
        assert is_right(heard, stream=True), heard
        assert_one_stream(heard)
        assert marks_of(heard) == []
        assert (house.a.asked, house.b.asked) == (1, 1)
        assert turns(house) == [*COUNT, {"role": "assistant", "content": "1, 2, 3,"}]
        assert house.b.last.json["max_tokens"] == 97
        lost, good = house.rows(heard)
        assert (lost.slot, good.slot) == (0, 1)
        assert lost.outcome in {*TOLD_AFTER.get(name, ()), "stream_stalled"}
        assert (good.outcome, good.status, good.completion_tokens) == ("ok", 200, REST)
        assert [chunk["usage"]["completion_tokens"] for chunk in chunks_of(heard) if chunk.get("usage")] == [REST]
        await house.settled()


@pytest.mark.parametrize("wanted", [{}, {"x-jackfield-continue": "0"}], ids=["not asked", "refused"])
async def test_where_the_client_does_not_ask_nothing_goes_on(house: House, wanted: dict[str, str]) -> None:
    await house.plug_b(provider=GOES_ON)
    house.b.prefill = "goes on"
    house.a.behaviour = AFTER_CONTENT["cut"]
    heard = await house.ask(stream=True, headers=wanted)
    assert_broken_off(heard, TOLD_AFTER["cut"])
    assert house.b.asked == 0
    await house.settled()


@pytest.mark.behaviour("ERR-02")
async def test_a_refused_continuation_becomes_a_restart_that_says_so(house: House) -> None:
    await house.plug_b(provider=GOES_ON)
    house.b.prefill = "refuses"
    house.a.behaviour = AFTER_CONTENT["cut"]
    heard = await house.ask(stream=True, headers=ASKED, messages=[{"role": "user", "content": "Count to 9"}])
    assert [turn["role"] for turn in turns(house)] == ["user"]
    assert house.b.asked == 2
    assert_one_stream(heard)
    assert is_right(heard, stream=True), "the same answer again goes on where it was: nothing is to be discarded"
    assert [row.outcome for row in house.rows(heard)] == ["stream_broken", "ok"]
    await house.settled()


@pytest.mark.behaviour("ERR-02")
@pytest.mark.parametrize("prefill", ["refuses", "unknown"])
async def test_another_answer_than_the_first_is_a_restart_that_says_so(house: House, prefill: str) -> None:
    await house.plug_b(**({"provider": GOES_ON} if prefill == "refuses" else {}))
    house.b.prefill = "refuses"
    house.b.says = "one, two, three"
    house.a.behaviour = AFTER_CONTENT["cut"]
    heard = await house.ask(stream=True, headers=ASKED)
    assert_one_stream(heard)
    assert heard.text == "1, 2, 3, one, two, three"
    [mark] = marks_of(heard)
    assert mark == {"restarted": True, "discard_chars": len("1, 2, 3, ")}
    after = heard.lines[next(at for at, line in enumerate(heard.lines) if '"restarted"' in line) :]
    assert "".join(choice["delta"].get("content", "") for chunk in map(_chunk, after[:-1]) for choice in chunk["choices"]) == (
        "one, two, three"
    )
    assert house.b.asked == (2 if prefill == "refuses" else 1)
    await house.settled()


def _chunk(line: str) -> dict[str, Any]:
    chunk: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return chunk


async def test_nothing_can_go_on_where_nothing_else_is(lonely: House) -> None:
    lonely.a.behaviour = AFTER_CONTENT["cut"]
    heard = await lonely.ask(stream=True, headers=ASKED)
    assert_broken_off(heard, TOLD_AFTER["cut"])
    assert lonely.a.asked == 1
    assert [row.outcome for row in lonely.rows(heard)] == [heard.code]
    await lonely.settled()


async def test_where_the_sibling_fails_too_the_stream_ends_in_a_typed_error(house: House) -> None:
    await house.plug_b(provider=GOES_ON)
    house.a.behaviour = AFTER_CONTENT["cut"]
    house.b.behaviour = BEFORE_CONTENT["500"]
    heard = await house.ask(stream=True, headers=ASKED)
    assert_broken_off(heard, {"unavailable"})
    assert (house.a.asked, house.b.asked) == (1, 1)
    assert [(row.slot, row.outcome) for row in house.rows(heard)] == [(0, "stream_broken"), (1, "unavailable")]
    await house.settled()


async def test_a_tool_call_half_sent_is_not_gone_on_with(house: House) -> None:
    await house.plug_b(provider=GOES_ON)
    house.a.behaviour = AFTER_CONTENT["cut"]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    heard = await house.ask(stream=True, headers=ASKED, tools=[tool], messages=messages)
    assert heard.error is not None
    assert not heard.is_done
    assert house.b.asked == 0
    await house.settled()


@pytest.mark.parametrize("bytes_of_it", [1, 2, 3])
@pytest.mark.parametrize("asked", [{}, ASKED], ids=["told", "continued"])
async def test_a_cut_inside_a_character_leaves_whole_characters(house: House, asked: dict[str, str], bytes_of_it: int) -> None:
    """The first source's connection breaks in the middle of an event, in the middle of a character."""
    await house.plug_b(provider=GOES_ON)
    house.b.prefill = "goes on"
    messages = [{"role": "user", "content": "Some unicode please"}]
    event = chunk_bodies(answer_for({"messages": messages}), MODEL, 1, include_usage=False)[4]
    inside = (b"data: " + msgspec.json.encode(event)).index("🙂".encode()) + bytes_of_it
    house.a.behaviour = msgspec.structs.replace(AFTER_CONTENT["cut"], cut_inside=inside)
    heard = await house.ask(stream=True, headers=asked, messages=messages)
    if asked:
        assert heard.text == "héllo – 你好 🙂 done"
        assert_one_stream(heard)
    else:
        assert heard.code == "stream_broken"
    assert (house.a.asked, house.b.asked) == (1, len(asked))
    await house.settled()


async def test_usage_is_booked_once_for_each_source(house: House) -> None:
    await house.plug_b()
    house.a.behaviour = AFTER_CONTENT["cut"]
    heard = await house.ask(stream=True, headers=ASKED)
    assert is_right(heard, stream=True), heard
    rows = house.rows(heard)
    assert [(row.slot, row.model, row.prompt_tokens, row.completion_tokens) for row in rows] == [
        (0, MODEL, 0, 0),
        (1, MODEL, *USAGE),
    ]
    assert len({row.attempt for row in rows}) == 2
    await house.settled()


async def test_the_official_client_reads_a_restart(house: House) -> None:
    house.a.behaviour = AFTER_CONTENT["cut"]
    house.b.says = "one, two, three"
    wishes = {"provider": {"order": ["slot-0"]}}
    text = ""
    async with house.gateway.openai() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=COUNT, stream=True, extra_headers=ASKED, extra_body=wishes
        )
        async for chunk in stream:
            mark = (chunk.model_extra or {}).get("jackfield")
            if mark is not None:
                text = text[: -mark["discard_chars"]]
            text += chunk.choices[0].delta.content or ""
    assert text == "one, two, three"
    await house.settled()


async def test_what_two_sources_said_together_is_not_kept(tmp_path: Path) -> None:
    async with two_sources(tmp_path, cache={"enabled": True}) as house:
        house.a.behaviour = AFTER_CONTENT["cut"]
        for number in (1, 2):
            heard = await house.ask(stream=True, headers=ASKED, temperature=0)
            assert is_right(heard, stream=True), heard
            assert (house.a.asked, house.b.asked) == (number, number)
        await house.settled()
