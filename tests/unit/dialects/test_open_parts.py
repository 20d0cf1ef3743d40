"""Parts that a decoder opens and closes keep the events' laws, however kinds and calls follow each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, fold_events
from jackfield.dialects.open_parts import OpenParts


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["text", "refusal", "call", "close"]), max_size=12))
def test_parts_begin_and_end_in_order(steps: list[str]) -> None:
    parts, events = OpenParts(), list[Event]([Started("m")])
    for step in steps:
        if step == "close":
            parts.close(events)
        elif step == "call":
            index = parts.take(events)
            events += [PartStarted(index, "tool_call", "id", "name"), PartEnded(index)]
        else:
            events.append(TextDelta(parts.grow("text" if step == "text" else "refusal", events), "x"))
    parts.close(events)
    reply = fold_events([*events, Finished("stop")])
    assert len(reply.message.parts) == sum(isinstance(event, PartStarted) for event in events)
    assert reply.message.text.count("x") == steps.count("text")


def test_what_is_of_one_kind_is_one_part() -> None:
    parts, events = OpenParts(), list[Event]()
    assert [parts.grow("text", events, {"a": 1}), parts.grow("text", events)] == [0, 0]
    assert parts.grow("reasoning", events) == 1
    assert events == [PartStarted(0, "text", extra={"a": 1}), PartEnded(0), PartStarted(1, "reasoning")]
