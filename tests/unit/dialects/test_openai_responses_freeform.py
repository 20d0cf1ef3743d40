"""Freeform tools: functions of one text for sources that know no others, the client's own on the way back."""

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseCustomToolCall, ResponseStreamEvent
from pydantic import TypeAdapter

from jackfield.core.errors import BadRequest
from jackfield.core.events import ChatReply, Event, Finished, PartEnded, PartStarted, Started, ToolCallDelta
from jackfield.core.messages import Message, ToolCallPart, ToolResultPart
from jackfield.dialects import openai_responses
from jackfield.dialects.openai_responses_freeform import FreeformEncoder, GrowingInput, as_functions, input_of, restored

PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
NAMES: set[tuple[str | None, str]] = {(None, "apply_patch")}
_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def test_a_tool_becomes_a_function_of_one_text_that_tells_its_grammar() -> None:
    values, names = as_functions({"input": "hi", "tools": [PATCH], "tool_choice": {"type": "custom", "name": "apply_patch"}})
    request = openai_responses.read_request(values)
    (tool,) = request.tools
    assert (tool.name, names, tool.extra) == ("apply_patch", NAMES, {})
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]
    assert tool.description is not None
    assert tool.description.startswith("Edits files.")
    assert tool.description.endswith('this lark grammar:\nstart: "x"')
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.tool_choice.name) == ("named", "apply_patch")


def test_one_in_a_namespace_is_known_by_both_names() -> None:
    values, names = as_functions({"input": "hi", "tools": [{"type": "namespace", "name": "files", "tools": [PATCH]}]})
    assert names == {("files", "apply_patch")}
    assert values["tools"][0]["tools"][0]["type"] == "function"


def test_calls_and_results_of_earlier_turns_are_those_of_a_function() -> None:
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a "b"\n', "id": "ctc_1"}
    result = {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}
    values, _ = as_functions({"input": [{"role": "user", "content": "go"}, call, result]})
    said, told = openai_responses.read_request(values).messages[1:]
    (part,) = said.parts
    assert isinstance(part, ToolCallPart)
    assert (part.id, part.name, json.loads(part.arguments), part.extra) == ("c1", "apply_patch", {"input": 'a "b"\n'}, {})
    assert isinstance(told.parts[0], ToolResultPart)


def test_what_is_given_is_not_changed_and_plain_requests_stay_the_same() -> None:
    values: dict[str, Any] = {
        "input": [{"type": "custom_tool_call", "call_id": "c", "name": "n", "input": ""}],
        "tools": [PATCH],
    }
    before = json.dumps(values)
    as_functions(values)
    assert json.dumps(values) == before
    plain: dict[str, Any] = {"input": "hi", "tools": [{"type": "function", "name": "f"}], "tool_choice": "auto"}
    assert as_functions(plain) == (plain, set())


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        ({"tools": [{**PATCH, "format": {"type": "grammar", "syntax": "lark"}}]}, "tools[0].format.definition"),
        ({"tools": [{**PATCH, "format": "text"}]}, "tools[0].format"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "n"}]}, "input[0].input"),
    ],
)
def test_a_mistake_is_named_at_its_place(values: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        as_functions(values)
    assert refused.value.param == param


def test_a_whole_answer_holds_the_items_that_clients_know() -> None:
    parts = (ToolCallPart("c1", "apply_patch", '{"input": "x\\ny"}'), ToolCallPart("c2", "f", "{}"))
    reply = ChatReply(Message("assistant", parts), model="m", finish_reason="tool_calls")
    body = openai_responses.encode_reply(restored(reply, NAMES), id="resp_1", created=1)
    patch, other = json.loads(body)["output"]
    known = ResponseCustomToolCall.model_validate(patch)
    assert (known.input, known.call_id, known.id, "arguments" in patch) == ("x\ny", "c1", "ctc_1_0", False)
    assert other["type"] == "function_call"


def streamed(*pieces: str) -> list[dict[str, Any]]:
    encoder = FreeformEncoder(openai_responses.StreamEncoder(id="resp_1", created=1, model="m", echo={}), NAMES)
    events: list[Event] = [Started("m"), PartStarted(0, "tool_call", "c1", "apply_patch")]
    events += [ToolCallDelta(0, piece) for piece in pieces]
    events += [PartEnded(0), Finished("tool_calls")]
    told = b"".join([*map(encoder.encode, events), encoder.end()]).decode()
    return [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]


def test_a_stream_tells_the_text_as_it_grows() -> None:
    events = streamed('{"in', 'put": "*** Be', "gin\\", "nx", '"}')
    for event in events:
        _event.validate_python(event)
    growing = [event for event in events if "custom_tool_call_input" in event["type"]]
    assert [event.get("delta") for event in growing] == ["*** Be", "gin", "\nx", None]
    assert growing[-1]["input"] == "*** Begin\nx"
    assert not [event for event in events if "function_call" in event["type"]]
    assert events[-1]["response"]["output"] == [
        {"id": "ctc_1_0", "type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin\nx",
         "status": "completed"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "a"}', "a"),
        ('{"why": 1, "input": "a"}', "a"),
        ('"a"', "a"),
        ('{"input": "a\nb"}', "a\nb"),
        ('{"input": "a\\nb', "a\nb"),
        ('{"input": 5}', '{"input": 5}'),
        ("*** Begin", "*** Begin"),
        ("", ""),
    ],
)
def test_arguments_of_any_form_hold_a_text(arguments: str, text: str) -> None:
    assert input_of(arguments) == text
    growing = GrowingInput()
    assert "".join([*map(growing.feed, arguments), growing.end()]) == text


@settings(max_examples=200)
@given(st.text(), st.lists(st.integers(0, 200)), st.booleans())
def test_any_text_cut_anywhere_comes_whole(text: str, cuts: list[int], escaped: bool) -> None:
    arguments = json.dumps({"input": text}) if escaped else msgspec.json.encode({"input": text}).decode()
    places = sorted({0, len(arguments), *(cut for cut in cuts if cut < len(arguments))})
    growing = GrowingInput()
    told = [growing.feed(arguments[start:end]) for start, end in pairwise(places)]
    assert "".join(told) == text
    assert growing.end() == ""
