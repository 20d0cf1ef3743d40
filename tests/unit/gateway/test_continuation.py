"""What another source is asked for after a break, and how its events become the rest of the first one's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, ToolChoice
from jackfield.core.usage import Usage
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway import continuation
from jackfield.gateway.call import Call
from jackfield.gateway.continuation import JoinedStream, KeptStream, Said, may_begin_inside, prefilled, wants_continuation

ASKED = ChatRequest((text_message("user", "Tell me"),), generation=Generation(max_tokens=10))
BEGUN: tuple[Event, ...] = (Started("m", "id-1"), PartStarted(0, "text"), TextDelta(0, "The quick "), TextDelta(0, "brown "))


def said(*texts: str) -> Said:
    found = Said()
    for text in texts:
        found.add(text)
    return found


def a_call() -> Call:
    fields = {"messages": msgspec.Raw(b"[]")}
    return Call("r", OpenAIChat(), fields, model_text="m", stream=True, show_usage=False, at=0.0, received_at=0.0)


@asynccontextmanager
async def playing(*events: Event) -> AsyncIterator[AsyncIterator[Event]]:
    async def play() -> AsyncIterator[Event]:
        for event in events:
            yield event

    yield play()


async def read(stream: KeptStream | JoinedStream) -> bytes:
    """All bytes of a stream, up to its end or a break."""
    call, out = a_call(), b""
    await stream.open()
    try:
        while not stream.is_last:
            out += await stream.chunk(call)
    finally:
        await stream.aclose()
    return out


async def broken(*events: Event) -> Said:
    """What a client has of a stream that broke after `events`."""
    stream = KeptStream(playing(*events))
    with pytest.raises(JackfieldError):
        await read(stream)
    return stream.said


def chunks(data: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line[6:]) for line in data.split(b"\n\n") if line.startswith(b"data: {")]


def deltas(data: bytes) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks(data) for choice in chunk["choices"] if choice["delta"]]


@pytest.mark.parametrize(("value", "wanted"), [(b"1", True), (b"true", True), (b"0", False), (b"", False)])
def test_only_who_asks_is_continued(value: bytes, wanted: bool) -> None:
    assert wants_continuation({b"x-jackfield-continue": value}) is wanted
    assert not wants_continuation({})


def test_the_beginning_is_the_assistants_turn_without_white_space_at_its_end() -> None:
    request = prefilled(ASKED, said("The quick ", "brown \n"))
    assert request.messages == (*ASKED.messages, text_message("assistant", "The quick brown"))
    assert request.generation.max_tokens == 8
    assert prefilled(ASKED, said(*["x"] * 20)).generation.max_tokens == 1


def test_a_beginning_that_the_client_gave_is_kept_before_it() -> None:
    asked = msgspec.structs.replace(ASKED, messages=(*ASKED.messages, text_message("assistant", "Once ")))
    request = prefilled(asked, said("upon a "))
    assert request.messages == (*ASKED.messages, text_message("assistant", "Once upon a"))


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"response_format": ResponseFormat("text")}, True),
        ({"response_format": ResponseFormat("json")}, False),
        ({"tool_choice": ToolChoice("auto")}, True),
        ({"tool_choice": ToolChoice("required")}, False),
        ({"extra": {"grammar": "root ::= 'a'"}}, False),
        ({"extra": {"top_k": 3}}, True),
    ],
)
def test_a_prescribed_form_cannot_begin_in_its_middle(changes: dict[str, Any], may: bool) -> None:
    assert may_begin_inside(msgspec.structs.replace(ASKED, **changes)) is may


async def test_text_goes_on_and_reasoning_is_not_repeated() -> None:
    before = await broken(*BEGUN)
    assert (before.text, before.can_go_on) == ("The quick brown ", True)
    rest = JoinedStream(
        playing(
            Started("n", "id-2"),
            PartStarted(0, "reasoning"),
            ReasoningDelta(0, "hm"),
            PartEnded(0),
            PartStarted(1, "text"),
            TextDelta(1, " fox"),
            PartEnded(1),
            UsageReported(Usage(1, 2)),
            Finished("stop"),
        ),
        before.copy(),
        anew=False,
    )
    out = await read(rest)
    assert deltas(out) == [{"content": "fox"}]
    assert {chunk["id"] for chunk in chunks(out)} == {"chatcmpl-r"}
    assert out.endswith(b"data: [DONE]\n\n")
    assert rest.said.text == "The quick brown fox"
    assert before.text == "The quick brown ", "what was sent before is not touched until the rest is sent too"


async def test_a_break_while_it_thinks_goes_on_with_the_words() -> None:
    before = await broken(Started("m"), PartStarted(0, "reasoning"), ReasoningDelta(0, "hm"))
    rest = JoinedStream(
        playing(Started("n"), PartStarted(0, "text"), TextDelta(0, "Yes"), PartEnded(0), Finished("stop")), before, anew=True
    )
    assert deltas(await read(rest)) == [{"content": "Yes"}]


async def test_a_tool_call_may_follow_and_then_nothing_goes_on() -> None:
    before = await broken(*BEGUN)
    rest = JoinedStream(
        playing(
            Started("n"),
            PartStarted(0, "text"),
            TextDelta(0, "fox"),
            PartEnded(0),
            PartStarted(1, "tool_call", "call-1", "look"),
            ToolCallDelta(1, "{}"),
            PartEnded(1),
            Finished("tool_calls"),
        ),
        before,
        anew=False,
    )
    text, opened, arguments = deltas(await read(rest))
    assert text == {"content": "fox"}
    assert opened["tool_calls"][0]["function"]["name"] == "look"
    assert arguments["tool_calls"][0]["function"]["arguments"] == "{}"
    assert not rest.said.can_go_on


async def test_a_shorter_answer_is_another_one() -> None:
    before = await broken(*BEGUN)
    rest = JoinedStream(
        playing(Started("n"), PartStarted(0, "text"), TextDelta(0, "The qui"), PartEnded(0), Finished("stop")),
        before.copy(),
        anew=True,
    )
    out = await read(rest)
    assert [chunk["jackfield"] for chunk in chunks(out) if "jackfield" in chunk] == [{"restarted": True, "discard_chars": 16}]
    assert deltas(out) == [{"content": "The qui"}]
    assert rest.said.text == "The qui"


async def test_an_empty_answer_is_no_new_one_but_a_good_end() -> None:
    before = await broken(*BEGUN)
    with pytest.raises(Malformed, match="empty"):
        await read(JoinedStream(playing(Started("n"), Finished("stop")), before.copy(), anew=True))
    assert (await read(JoinedStream(playing(Started("n"), Finished("stop")), before, anew=False))).endswith(b"[DONE]\n\n")


@pytest.mark.parametrize("kind", ["tool_call", "refusal"])
async def test_what_no_other_source_can_take_up(kind: Any) -> None:
    assert not (await broken(*BEGUN, PartEnded(0), PartStarted(1, kind, "call-1", "look"))).can_go_on


def test_no_more_is_kept_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "KEPT_MAX_CHARS", 10)
    kept = said("x" * 10)
    assert kept.can_go_on
    kept.add("x")
    assert (kept.can_go_on, kept.text) == (False, "")
