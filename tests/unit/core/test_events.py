from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import Malformed, StreamBroken
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    FinishReason,
    Folder,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verdict,
    VoiceEnded,
    VoiceStarted,
    fold,
    fold_events,
    unfold,
)
from jackfield.core.messages import ImagePart, Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage

TEXT = st.text(max_size=12)
EXTRA = st.dictionaries(TEXT, st.integers(-5, 5) | TEXT, max_size=2)
PARTS: st.SearchStrategy[Part] = (
    st.builds(TextPart, TEXT, EXTRA)
    | st.builds(RefusalPart, TEXT, EXTRA)
    | st.builds(ReasoningPart, TEXT, st.none() | TEXT, st.booleans(), EXTRA)
    | st.builds(ToolCallPart, TEXT, TEXT, TEXT, EXTRA)
)
REASONS: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "other"])
COUNTS = st.integers(0, 10**6)


@st.composite
def replies(draw: st.DrawFn) -> ChatReply:
    parts = tuple(draw(st.lists(PARTS, max_size=5)))
    can_hold_logprobs = any(isinstance(part, TextPart | RefusalPart) for part in parts)
    return ChatReply(
        message=Message("assistant", parts, extra=draw(EXTRA)),
        model=draw(TEXT),
        finish_reason=draw(REASONS),
        id=draw(TEXT),
        created=draw(COUNTS),
        usage=draw(st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS)),
        raw_finish_reason=draw(st.none() | TEXT),
        logprobs=tuple(draw(st.lists(EXTRA, max_size=2))) if can_hold_logprobs else (),
        extra=draw(EXTRA),
    )


def split(draw: st.DrawFn, events: Sequence[Event]) -> list[Event]:
    """The same answer in smaller pieces: each delta cut in two at a drawn place."""
    finer: list[Event] = []
    for event in events:
        match event:
            case TextDelta(index, text, logprobs):
                cut = draw(st.integers(0, len(text)))
                finer += [TextDelta(index, text[:cut]), TextDelta(index, text[cut:], logprobs)]
            case ReasoningDelta(index, text, signature):
                cut = draw(st.integers(0, len(text)))
                finer += [ReasoningDelta(index, text[:cut]), ReasoningDelta(index, text[cut:], signature)]
            case ToolCallDelta(index, arguments):
                cut = draw(st.integers(0, len(arguments)))
                finer += [ToolCallDelta(index, arguments[:cut]), ToolCallDelta(index, arguments[cut:])]
            case _:
                finer.append(event)
    return finer


@given(replies())
@settings(max_examples=150)
def test_fold_takes_back_what_unfold_made(reply: ChatReply) -> None:
    assert fold_events(unfold(reply)) == reply


@given(st.data())
@settings(max_examples=100)
def test_any_split_of_the_deltas_folds_to_the_same_answer(data: st.DataObject) -> None:
    reply = data.draw(replies())
    finer = data.draw(st.composite(lambda draw: split(draw, unfold(reply)))())
    assert fold_events(finer) == reply


@given(replies())
@settings(max_examples=100)
def test_events_survive_json_by_their_tags(reply: ChatReply) -> None:
    events = unfold(reply)
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events


@given(replies(), st.data())
@settings(max_examples=100)
def test_a_stream_cut_anywhere_has_no_answer(reply: ChatReply, data: st.DataObject) -> None:
    events = unfold(reply)
    kept = data.draw(st.integers(0, len(events) - 1))
    with pytest.raises(StreamBroken):
        fold_events(events[:kept])


@given(replies(), st.data())
@settings(max_examples=150)
def test_moving_an_event_is_noticed_or_changes_nothing_but_order(reply: ChatReply, data: st.DataObject) -> None:
    events = unfold(reply)
    moved = events.pop(data.draw(st.integers(0, len(events) - 1)))
    events.insert(data.draw(st.integers(0, len(events))), moved)
    try:
        folded = fold_events(events)
    except (Malformed, StreamBroken):
        return
    assert folded == reply


STARTED = Started("m")
OPEN = PartStarted(0, "text")


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([OPEN], "did not begin"),
        ([Finished("stop")], "did not begin"),
        ([STARTED, STARTED], "started twice"),
        ([STARTED, TextDelta(0, "x")], "not open"),
        ([STARTED, PartEnded(0)], "not open"),
        ([STARTED, OPEN, PartEnded(0), TextDelta(0, "x")], "not open"),
        ([STARTED, OPEN, OPEN], "out of order"),
        ([STARTED, PartStarted(1, "text"), PartStarted(0, "text")], "out of order"),
        ([STARTED, OPEN, ToolCallDelta(0, "{}")], "not tool_call"),
        ([STARTED, OPEN, ReasoningDelta(0, "x")], "not reasoning"),
        ([STARTED, PartStarted(0, "tool_call"), TextDelta(0, "x")], "not text or refusal"),
        ([STARTED, OPEN, Finished("stop")], "not ended"),
        ([STARTED, Finished("stop"), Finished("stop")], "after the end"),
        ([STARTED, Finished("stop"), UsageReported(Usage())], "after the end"),
    ],
)
def test_a_lawless_stream_is_malformed(events: list[Event], told: str) -> None:
    with pytest.raises(Malformed, match=told):
        fold_events(events)


def test_parts_may_be_open_side_by_side() -> None:
    events: list[Event] = [
        STARTED,
        PartStarted(0, "tool_call", "a", "f"),
        PartStarted(3, "tool_call", "b", "g"),
        ToolCallDelta(3, "{2"),
        ToolCallDelta(0, "{1"),
        ToolCallDelta(3, "}"),
        ToolCallDelta(0, "}"),
        PartEnded(3),
        PartEnded(0),
        Finished("tool_calls"),
    ]
    assert fold_events(events).message.parts == (ToolCallPart("a", "f", "{1}"), ToolCallPart("b", "g", "{2}"))


def test_a_later_usage_replaces_an_earlier_one() -> None:
    events: list[Event] = [STARTED, UsageReported(Usage(1, 1)), UsageReported(Usage(2, 3)), Finished("stop")]
    assert fold_events(events).usage == Usage(2, 3)


def test_voices_may_come_before_the_answer_and_leave_no_trace_in_it() -> None:
    events: list[Event] = [VoiceStarted(0), STARTED, OPEN, TextDelta(0, "x"), VoiceEnded(0), PartEnded(0), Verdict("vote")]
    assert fold_events([*events, Finished("stop")]).text == "x"


def test_a_part_that_only_a_request_holds_cannot_be_an_answer() -> None:
    with pytest.raises(Malformed, match="ImagePart"):
        unfold(ChatReply(Message("assistant", (ImagePart(url="x"),)), "m", "stop"))


async def test_fold_reads_a_stream_to_its_end() -> None:
    reply = ChatReply(Message("assistant", (TextPart("hi"),)), "m", "stop")

    async def stream() -> AsyncIterator[Event]:
        for event in unfold(reply):
            yield event

    assert await fold(stream()) == reply


def test_many_parts_fold_in_linear_time() -> None:
    folder = Folder()
    folder.add(STARTED)
    for index in range(20_000):
        folder.add(PartStarted(index, "text"))
        folder.add(PartEnded(index))
    folder.add(Finished("stop"))
    assert len(folder.reply().message.parts) == 20_000


def test_extra_of_start_and_end_belongs_to_the_reply() -> None:
    end = Finished("stop", extra={"b": 2}, message_extra={"c": 3})
    extras: list[dict[str, Any]] = [fold_events([Started("m", extra={"a": 1}), end]).extra]
    assert extras == [{"a": 1, "b": 2}]
    assert fold_events([STARTED, end]).message.extra == {"c": 3}
