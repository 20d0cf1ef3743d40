"""Calls without an answer: found as a list of them would be searched, whatever the ids, and quick however many."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.messages import Message, TextPart, ToolCallPart, ToolResultPart
from jackfield.dialects.gemini_contents import decode_contents
from jackfield.dialects.gemini_turns import Turns
from jackfield.dialects.ollama_messages import decode_messages
from jackfield.dialects.open_calls import OpenCalls

names = st.sampled_from(["f", "g", "h"])
ids = st.sampled_from(["1", "2", "3", "4"])
steps = st.lists(st.tuples(names, ids, st.booleans()), max_size=30)


@settings(max_examples=200)
@given(steps)
def test_they_are_found_as_in_a_list(steps: list[tuple[str, str, bool]]) -> None:
    open_calls, plain = OpenCalls(), list[tuple[str, str]]()
    for name, id_, is_answer in steps:
        if is_answer:
            open_calls.answered(id_)
            plain = [entry for entry in plain if entry[1] != id_]
        else:
            open_calls.add(name, id_)
            plain.append((name, id_))
        assert open_calls.first() == next((entry[1] for entry in plain), None)
        for asked in ("f", "g", "h"):
            assert open_calls.first(asked) == next((entry[1] for entry in plain if entry[0] == asked), None)
        for asked in ("1", "2", "3", "4"):
            assert open_calls.name_of(asked) == next((entry[0] for entry in plain if entry[1] == asked), None)


@pytest.mark.parametrize("has_ids", [False, True])
def test_forty_thousand_calls_and_answers_find_each_other(has_ids: bool) -> None:
    """Were each answer looked for among all calls, this would take long."""
    many = range(40_000)
    call = [{"functionCall": {"name": "f", "args": {}, **({"id": f"c{at}"} if has_ids else {})}} for at in many]
    answer = [{"functionResponse": {"name": "f", "response": {}, **({"id": f"c{at}"} if has_ids else {})}} for at in many]
    turns = decode_contents([{"role": "model", "parts": call}, {"role": "user", "parts": answer}])
    assert [part.id for part in turns[0].parts] == [part.call_id for part in turns[1].parts]  # type: ignore[union-attr]
    asked = [{"function": {"name": "f", "arguments": {}}, **({"id": f"c{at}"} if has_ids else {})} for at in many]
    told = [
        {"role": "tool", "content": "x", "tool_name": "f", **({"tool_call_id": f"c{at}"} if has_ids else {})} for at in many
    ]
    first, *others = decode_messages([{"role": "assistant", "content": "", "tool_calls": asked}, *told])
    assert [part.id for part in first.parts] == [message.parts[0].call_id for message in others]  # type: ignore[union-attr]


def test_as_many_answers_in_messages_of_their_own_are_one_turn_for_gemini() -> None:
    calls = tuple(ToolCallPart(f"c{at}", "f", "{}") for at in range(40_000))
    answers = [Message("tool", (ToolResultPart(call.id, (TextPart("x"),)),)) for call in calls]
    turns = Turns([])
    turns.add([Message("assistant", calls), *answers, Message("user", (TextPart("and?"),)), answers[0]])
    assert [(turn["role"], len(turn["parts"])) for turn in turns.contents] == [
        ("model", 40_000),
        ("user", 40_000),
        ("user", 1),
        ("user", 1),
    ]
