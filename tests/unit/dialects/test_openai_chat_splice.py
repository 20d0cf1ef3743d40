"""Requests that pass through: what is replaced, and that nothing else is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.dialects.openai_chat import ChatQuirks, SplicePlan, parse_fields, splice_request

PLAIN = ChatQuirks()


def sent(body: dict[str, Any], quirks: ChatQuirks = PLAIN, *, model: str | None = "m", stream: bool = False) -> dict[str, Any]:
    spliced = splice_request(parse_fields(msgspec.json.encode(body)), model=model, stream=stream, quirks=quirks)
    decoded: dict[str, Any] = msgspec.json.decode(spliced)
    return decoded


def test_only_the_model_changes_and_spellings_stay() -> None:
    body = b'{ "model":"slot-0", "temperature": 0.70, "x":{"k" : [1.0e0, "\\u00e9"]}, "messages": [] }'
    assert splice_request(parse_fields(body), model="tiny", stream=False, quirks=PLAIN) == (
        b'{"model":"tiny","temperature":0.70,"x":{"k" : [1.0e0, "\\u00e9"]},"messages":[]}'
    )


def test_the_clients_fields_are_not_touched() -> None:
    fields = parse_fields(b'{"model":"slot-0","max_tokens":5,"stream":true}')
    before = dict(fields)
    SplicePlan.of(ChatQuirks(max_tokens_field="max_completion_tokens")).splice(fields, model="x", stream=True)
    assert fields == before


def test_without_a_model_the_clients_stays() -> None:
    assert sent({"model": "theirs"}, model=None) == {"model": "theirs"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        (
            {"stream_options": {"include_usage": False, "include_obfuscation": False}},
            {"include_usage": True, "include_obfuscation": False},
        ),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}),
        ({"stream_options": "odd"}, "odd"),
    ],
)
def test_a_stream_asks_for_usage(asked: dict[str, Any], expected: Any) -> None:
    assert sent({"stream": True, **asked}, stream=True)["stream_options"] == expected


TOOLS = [
    ({"type": "function", "function": {"name": "f", "description": None, "parameters": {"a": None}}, "strict": None},
     {"type": "function", "function": {"name": "f", "parameters": {"a": None}}}),
    ({"type": "function", "function": {"name": "f", "description": "null"}},
     {"type": "function", "function": {"name": "f", "description": "null"}}),
    ({"type": "function", "function": None}, {"type": "function"}),
    ({"type": "function", "function": "null"}, {"type": "function", "function": "null"}),
    ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "expected"), TOOLS)
def test_fields_of_tools_that_are_null_are_left_unsaid_where_the_source_wants_it(tool: Any, expected: Any) -> None:
    assert sent({"tools": [tool]}, ChatQuirks(drop_null_tool_fields=True)) == {"tools": [expected], "model": "m"}
    assert sent({"tools": [tool]}) == {"tools": [tool], "model": "m"}


@pytest.mark.parametrize("tools", [None, "null", 5, {"a": None}, [None], ["null"], [[None]]])
def test_tools_that_are_none_stay_as_they_came(tools: Any) -> None:
    assert sent({"tools": tools}, ChatQuirks(drop_null_tool_fields=True)) == {"tools": tools, "model": "m"}


def test_a_source_without_stream_options_gets_none() -> None:
    body = {"stream": True, "stream_options": {"include_usage": True}}
    assert sent(body, ChatQuirks(stream_usage=False), stream=True) == {"stream": True, "model": "m"}


def test_a_plain_request_gets_no_stream_options() -> None:
    assert sent({"messages": []}) == {"messages": [], "model": "m"}


@pytest.mark.parametrize(
    ("quirks", "given", "expected"),
    [
        (ChatQuirks(), {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        (ChatQuirks(), {"max_tokens": 5}, {"max_tokens": 5}),
        (ChatQuirks(max_tokens_field="max_tokens"), {"max_completion_tokens": 5}, {"max_tokens": 5}),
        (ChatQuirks(max_tokens_field="max_completion_tokens"), {"max_tokens": 5}, {"max_completion_tokens": 5}),
        (ChatQuirks(max_tokens_field="max_tokens"), {"max_completion_tokens": 5, "max_tokens": 4}, {"max_tokens": 4}),
    ],
)
def test_the_token_limit_takes_the_sources_name(quirks: ChatQuirks, given: dict[str, int], expected: dict[str, int]) -> None:
    assert sent(given, quirks) == {**expected, "model": "m"}


@pytest.mark.behaviour("PROV-02")
@pytest.mark.parametrize(("model", "is_reasoning"), [("o3-mini", True), ("vendor/O3-mini", True), ("gpt-4o", False)])
def test_reasoning_models_get_their_own_form(model: str, is_reasoning: bool) -> None:
    quirks = ChatQuirks(reasoning_models=("o1*", "o3*"))
    body = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": 1, "seed": 1}
    kept = {"max_completion_tokens": 5, "seed": 1} if is_reasoning else body
    plan = SplicePlan.of(quirks)
    fields = parse_fields(msgspec.json.encode({**body, "model": "slot-0"}))
    for _ in range(2):
        assert msgspec.json.decode(plan.splice(fields, model=model, stream=False)) == {**kept, "model": model}
    assert bool(plan.dropped(fields, model=model)) is is_reasoning


def test_the_clients_own_model_name_is_looked_at_when_none_replaces_it() -> None:
    quirks = ChatQuirks(reasoning_models=("o3*",))
    assert sent({"model": "o3", "temperature": 1}, quirks, model=None) == {"model": "o3"}


@pytest.mark.behaviour("PARM-09")
def test_what_is_left_out_is_named() -> None:
    plan = SplicePlan.of(ChatQuirks(drop_fields=("logit_bias", "user"), tool_choice=False))
    fields = parse_fields(b'{"logit_bias":{},"tool_choice":"auto","seed":1}')
    assert msgspec.json.decode(plan.splice(fields, model="m", stream=False)) == {"seed": 1, "model": "m"}
    assert [warning.partition(":")[0] for warning in plan.dropped(fields, model="m")] == ["logit_bias", "tool_choice"]
    assert SplicePlan.of(PLAIN).dropped(fields, model="m") == []


@pytest.mark.parametrize(("role", "given"), [("developer", "system"), ("system", "developer")])
def test_the_system_role_takes_the_sources_name(role: Any, given: str) -> None:
    body = {"messages": [{"role": given, "content": "x"}, {"role": "user", "content": "y", "odd": 1.5}]}
    assert sent(body, ChatQuirks(system_role=role))["messages"] == [
        {"role": role, "content": "x"},
        {"role": "user", "content": "y", "odd": 1.5},
    ]
    assert sent(body)["messages"] == body["messages"]


def test_content_is_flattened_where_it_is_text_only() -> None:
    text = {"type": "text", "text": "a"}
    image = {"type": "image_url", "image_url": {"url": "u"}}
    body = {
        "messages": [
            {"role": "user", "content": content} for content in ([text, text], [text, image], "plain", None, [{"type": "text"}])
        ]
    }
    contents = [message["content"] for message in sent(body, ChatQuirks(flatten_content=True))["messages"]]
    assert contents == ["a\na", [text, image], "plain", None, [{"type": "text"}]]


@pytest.mark.parametrize("messages", [None, 5, "x", [1], {"a": 1}])
def test_what_cannot_be_rewritten_is_left_to_the_source_to_judge(messages: Any) -> None:
    body = {"messages": messages}
    assert sent(body, ChatQuirks(flatten_content=True, system_role="system")) == {"messages": messages, "model": "m"}
    assert "messages" not in sent({}, ChatQuirks(flatten_content=True))


LETTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(LETTERS, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.behaviour("DIAL-07")
@settings(deadline=None)
@given(
    body=st.dictionaries(
        st.text(LETTERS, max_size=8).filter(lambda name: name not in ("model", "stream_options")), JSON, max_size=6
    )
)
def test_every_other_field_arrives_unchanged(body: dict[str, Any]) -> None:
    assert sent(body, stream=True) == {**body, "model": "m", "stream_options": {"include_usage": True}}
