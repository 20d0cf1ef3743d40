"""Functions in namespaces: flat names for sources that know no namespaces, the client's own on the way back."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, ToolCallDelta
from jackfield.core.messages import ToolCallPart
from jackfield.core.requests import ChatRequest
from jackfield.dialects import openai_responses
from jackfield.dialects.openai_responses_namespaces import RenamingEncoder, flat_name, flattened, restored

LIST = {"type": "function", "name": "list_orders", "parameters": {"type": "object"}, "defer_loading": True, "strict": False}
CRM = {"type": "namespace", "name": "crm", "description": "Orders.", "tools": [LIST]}
WEATHER = {"type": "function", "name": "weather"}
NAMES = {"crm__list_orders": ("crm", "list_orders")}


def decoded(**given: Any) -> ChatRequest:
    fields = {"input": "hi", **given}
    return openai_responses.decode_request({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()})


def test_each_function_stands_among_the_tools_by_one_name() -> None:
    flat, names = flattened(decoded(tools=[WEATHER, CRM, {"type": "web_search"}]))
    assert [tool.name for tool in flat.tools] == ["weather", "crm__list_orders"]
    assert flat.tools[1].parameters == {"type": "object"}
    assert "defer_loading" not in flat.tools[1].extra
    assert flat.extra["built_in_tools"] == [{"type": "web_search"}]
    assert names == NAMES


def test_what_is_no_function_stays_an_offer() -> None:
    patch = {"type": "custom", "name": "patch"}
    flat, _ = flattened(decoded(tools=[{**CRM, "tools": [LIST, patch]}]))
    assert flat.extra["built_in_tools"] == [{**CRM, "tools": [patch]}]


def test_without_namespaces_the_request_is_the_same_object() -> None:
    request = decoded(tools=[WEATHER, {"type": "web_search"}])
    assert flattened(request)[0] is request


def test_the_history_and_the_choice_have_the_same_names() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "list_orders", "namespace": "crm", "arguments": "{}"}
    plain = {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "none"}
    choice = {"type": "function", "name": "list_orders", "namespace": "crm"}
    flat, _ = flattened(decoded(tools=[CRM], input=[call, plain, result], tool_choice=choice))
    calls = [part for message in flat.messages for part in message.parts if isinstance(part, ToolCallPart)]
    assert [(part.name, part.extra) for part in calls] == [("crm__list_orders", {}), ("weather", {})]
    assert flat.tool_choice is not None
    assert flat.tool_choice.name == "crm__list_orders"


@pytest.mark.parametrize("tools", [{}, [{"type": "function"}]])
def test_a_namespace_that_is_none_is_named(tools: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        flattened(decoded(tools=[{**CRM, "tools": tools}] if tools else [{"type": "namespace", "tools": [LIST]}]))
    assert "tools." in str(refused.value.param)


TOLD: list[Event] = [
    Started("m", "1", 1),
    PartStarted(0, "tool_call", "c1", "crm__list_orders"),
    ToolCallDelta(0, "{}"),
    PartEnded(0),
    PartStarted(1, "tool_call", "c2", "weather"),
    ToolCallDelta(1, "{}"),
    PartEnded(1),
    Finished("tool_calls"),
]


def test_a_streamed_call_comes_back_under_the_clients_names() -> None:
    encoder = RenamingEncoder(openai_responses.StreamEncoder(id="resp_1", created=1, model="m", echo={}), NAMES)
    told = b"".join(map(encoder.encode, TOLD)) + encoder.end()
    events = [msgspec.json.decode(line[6:]) for line in told.splitlines() if line.startswith(b"data: ")]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [(item["name"], item.get("namespace")) for item in items] == [("list_orders", "crm"), ("weather", None)]
    assert [item.get("namespace") for item in events[-1]["response"]["output"]] == ["crm", None]
    assert b"crm__" not in told


async def test_a_whole_reply_comes_back_under_the_clients_names() -> None:
    reply = openai_responses.decode_reply(
        b'{"id":"resp_1","object":"response","status":"completed","model":"m","output":['
        b'{"type":"function_call","call_id":"c1","name":"crm__list_orders","arguments":"{}"}]}'
    )
    (part,) = restored(reply, NAMES).message.parts
    assert isinstance(part, ToolCallPart)
    assert (part.name, part.extra["namespace"]) == ("list_orders", "crm")
    assert restored(reply, {}) is reply


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=90), st.text(min_size=1, max_size=90))
def test_every_name_is_one_that_sources_take(namespace: str, name: str) -> None:
    flat = flat_name(namespace, name)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", flat)
    assert flat_name(namespace, name) == flat


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert flat_name("a" * 60, "b" * 20) != flat_name("a" * 60, "b" * 21)
