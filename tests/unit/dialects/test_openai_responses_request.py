"""Requests of the Responses API to core and from core, among them what came in by another dialect."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.request_judge import responses_judge
from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import AudioPart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, text_message
from jackfield.core.requests import ChatRequest, Generation, Tool
from jackfield.dialects import openai_chat
from jackfield.dialects.openai_responses import decode_request, echo_of, encode_request, parse_fields, refused_sampling


def decoded(**fields: Any) -> ChatRequest:
    return decode_request(parse_fields(msgspec.json.encode({"model": "m", "input": "hi", **fields})))


def sent(request: ChatRequest, **more: Any) -> tuple[dict[str, Any], list[str]]:
    body, warnings = encode_request(request, model="m", **more)
    responses_judge().validate_json(body)
    return msgspec.json.decode(body), warnings


def test_a_text_is_a_user_message_and_instructions_come_first() -> None:
    request = decoded(instructions="Be brief.")
    assert request.messages == (text_message("system", "Be brief."), text_message("user", "hi"))
    assert request.include_usage


def test_what_the_assistant_did_in_a_row_is_one_message() -> None:
    request = decoded(
        input=[
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x=="},
            {"role": "assistant", "content": "Let me look."},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
        ]
    )
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]
    thought, text, *calls = request.messages[1].parts
    assert thought == ReasoningPart("", "x==", True, {"id": "rs_1"})
    assert text == TextPart("Let me look.")
    assert calls == [ToolCallPart("a", "f", "{}"), ToolCallPart("b", "f", "{}")]


def test_another_dialect_names_what_it_cannot_carry() -> None:
    request = decoded(
        input=[{"role": "user", "content": "hi"}, {"type": "web_search_call", "id": "ws", "status": "completed"}],
        tools=[{"type": "web_search"}],
        tool_choice={"type": "web_search"},
        previous_response_id="resp_1",
    )
    _, warnings = openai_chat.encode_request(request, openai_chat.ChatQuirks(), model="m")
    named = {warning.partition(":")[0] for warning in warnings}
    assert named == {"input_items", "built_in_tools", "built_in_tool_choice", "previous_response_id"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 4}, "input"),
        ({"input": [{"role": "robot", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "a"}]}, "input[0].output"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_mistake_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decoded(**fields)
    assert caught.value.param == param


def test_work_in_the_background_is_only_passed_through() -> None:
    with pytest.raises(NotSupported):
        decoded(background=True)


def test_a_chat_request_becomes_one_of_this_kind() -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}},
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "verbosity": "low",
        "logprobs": True,
        "top_logprobs": 2,
        "metadata": {"a": "b"},
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 1,
        "stop": ["x"],
        "logit_bias": {"1": 1},
        "temperature": 0.3,
    }
    request = openai_chat.decode_request(parse_fields(msgspec.json.encode(body)))
    fields, warnings = sent(request, refused=refused_sampling(is_reasoning=True))
    assert [warning.partition(":")[0] for warning in warnings] == ["seed", "stop", "temperature", "logit_bias"]
    assert fields["instructions"] == "Be brief."
    assert [item.get("type", item.get("role")) for item in fields["input"]] == ["user", "function_call", "function_call_output"]
    assert fields["input"][0]["content"][1] == {
        "type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA==",
    }  # fmt: skip
    assert fields["tools"][0]["strict"] is False
    assert fields["text"] == {
        "verbosity": "low",
        "format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True},
    }
    assert (fields["max_output_tokens"], fields["store"], fields["stream"]) == (9, False, True)
    assert fields["reasoning"] == {"effort": "low"}
    assert set(fields["include"]) == {"message.output_text.logprobs", "reasoning.encrypted_content"}
    assert "stream_options" not in fields


def test_reasoning_goes_back_with_its_proof_or_not_at_all() -> None:
    said = Message("assistant", (ReasoningPart("hm", "sig=="), ReasoningPart("loose"), TextPart("so")))
    fields, warnings = sent(ChatRequest((text_message("user", "q"), said, text_message("user", "and?"))))
    proof = fields["input"][1]
    assert (proof["type"], proof["encrypted_content"], proof["summary"]) == (
        "reasoning", "sig==", [{"type": "summary_text", "text": "hm"}],
    )  # fmt: skip
    assert proof["id"].startswith("rs_")
    assert warnings == ["messages[1]: earlier reasoning is left out, it has no signature to prove it"]
    assert "reasoning.encrypted_content" in fields["include"]


def test_sound_is_refused_and_a_lone_system_message_is_input() -> None:
    with pytest.raises(NotSupported):
        encode_request(ChatRequest((Message("user", (AudioPart("AA==", "wav"),)),)), model="m")
    fields, _ = sent(ChatRequest((text_message("system", "You begin."),)))
    assert "instructions" not in fields
    assert fields["input"] == [{"role": "system", "content": "You begin."}]


def test_only_what_a_response_repeats_is_echoed() -> None:
    fields = parse_fields(b'{"model":"m","input":"x","metadata":{"a":"b"},"tools":[],"temperature":null,"include":[]}')
    assert set(echo_of(fields)) == {"metadata", "tools"}


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_SAID = st.one_of(
    st.builds(TextPart, _TEXT),
    st.builds(ToolCallPart, st.just("c1"), st.just("f"), _TEXT),
    st.builds(ReasoningPart, _TEXT, _TEXT.filter(bool)),
)
_MESSAGE = st.one_of(
    st.builds(lambda text: text_message("user", text), _TEXT),
    st.builds(lambda text: text_message("developer", text), _TEXT),
    st.builds(lambda parts: Message("assistant", tuple(parts)), st.lists(_SAID, min_size=1, max_size=4)),
    st.builds(lambda text: Message("tool", (ToolResultPart("c1", (TextPart(text),)),)), _TEXT),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_MESSAGE, min_size=1, max_size=6), st.booleans())
def test_any_conversation_is_valid_and_keeps_its_words(messages: list[Message], stream: bool) -> None:
    request = ChatRequest(
        tuple(messages), generation=Generation(max_tokens=5), tools=(Tool("f", parameters={"type": "object"}),), stream=stream
    )
    body, _ = encode_request(request, model="m")
    responses_judge().validate_json(body)
    again = decode_request(parse_fields(body))
    assert "".join(message.text for message in again.messages) == "".join(message.text for message in messages)
    assert [call for message in again.messages for call in message.tool_calls] == [
        call for message in messages for call in message.tool_calls
    ]
