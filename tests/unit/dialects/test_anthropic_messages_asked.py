"""Requests of Messages clients: what they mean in core's terms, what is refused and where, and that nothing gets lost."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from golden.messages_judge import judge_request
from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import FilePart, ImagePart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.requests import ChatRequest, ResponseFormat, ToolChoice
from jackfield.dialects import bedrock_converse, cohere_chat, gemini, ollama, openai_chat, openai_responses
from jackfield.dialects.anthropic_messages import MessagesQuirks, decode_request, encode_request

HI = {"role": "user", "content": "hi"}
CACHED = {"cache_control": {"type": "ephemeral"}}
FULL: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 2000,
    "system": [{"type": "text", "text": "You are brief.", **CACHED}, {"type": "text", "text": "Very."}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?", **CACHED},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "a"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hé"}},
            {"type": "document", "source": {"type": "file", "file_id": "f1"}, "citations": {"enabled": True}},
            {"type": "document", "source": {"type": "url", "url": "https://example.org/x.pdf"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln/+=="},
            {"type": "redacted_thinking", "data": "cmVk"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"deep": True}},
            {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a cat"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": [
                {"type": "text", "text": "no light"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            ], **CACHED},
            {"type": "text", "text": "and now?"},
        ]},
    ],
    "tools": [{"name": "look", "description": "Looks", "input_schema": {"type": "object", "properties": {}}, **CACHED}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "thinking": {"type": "enabled", "budget_tokens": 1500},
    "metadata": {"user_id": "u1"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "stream": True,
}  # fmt: skip


def asked(value: Any, **rest: Any) -> ChatRequest:
    fields = {name: msgspec.Raw(msgspec.json.encode(item)) for name, item in value.items()}
    return decode_request(fields, **rest)


def test_a_whole_request_comes_back_as_it_was() -> None:
    judge_request(FULL)
    request = asked(FULL)
    body, warnings = encode_request(request)
    assert warnings == []
    assert msgspec.json.decode(body) == FULL


def test_a_request_means_the_same_in_core_s_terms() -> None:
    request = asked(FULL)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool", "tool", "user"]
    assert request.messages[0].parts == (TextPart("You are brief.", CACHED), TextPart("Very."))
    user, assistant = request.messages[1:3]
    assert [type(part) for part in user.parts] == [TextPart, ImagePart, ImagePart, FilePart, FilePart, FilePart, FilePart]
    assert assistant.parts[0] == ReasoningPart("hm", "c2ln/+==")
    assert assistant.parts[1] == ReasoningPart("", "cmVk", redacted=True)
    assert assistant.tool_calls[0] == ToolCallPart("toolu_1", "look", '{"deep":true}')
    assert request.messages[3].parts == (ToolResultPart("toolu_1", (TextPart("a cat"),)),)
    assert request.messages[5] == Message("user", (TextPart("and now?"),))
    assert request.tool_choice == ToolChoice("auto")
    assert request.generation.parallel_tool_calls is False
    assert request.generation.reasoning_effort == "low"
    assert request.response_format == ResponseFormat("json_schema", {"type": "object"})
    assert (request.user, request.stream, request.include_usage) == ("u1", True, True)
    assert set(request.extra) == {"thinking", "context_management"}


def test_plain_content_and_a_plain_system_prompt() -> None:
    request = asked({"max_tokens": 1, "system": "brief", "messages": [HI, {"role": "system", "content": "late"}]})
    assert request.messages == (
        Message("system", (TextPart("brief"),)),
        Message("user", (TextPart("hi"),)),
        Message("system", (TextPart("late"),)),
    )
    assert request.model is None
    assert request.include_usage is False


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_the_choice_of_a_tool(choice: dict[str, Any], expected: ToolChoice) -> None:
    assert asked({"max_tokens": 1, "messages": [HI], "tool_choice": choice}).tool_choice == expected


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 40000}}, "high"),
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "adaptive"}}, None),
    ],
)
def test_how_much_thinking_is_asked_for_has_a_word(fields: dict[str, Any], effort: str | None) -> None:
    request = asked({"max_tokens": 1, "messages": [HI], **fields})
    assert request.generation.reasoning_effort == effort
    body, _ = encode_request(request, MessagesQuirks(thinking="adaptive"))
    sent = msgspec.json.decode(body)
    assert {name: sent.get(name) for name in fields} == fields


@pytest.mark.parametrize(
    "encode",
    [
        bedrock_converse.encode_request,
        cohere_chat.encode_request,
        gemini.encode_request,
        ollama.encode_request,
        openai_responses.encode_request,
        lambda request, model: openai_chat.encode_request(request, openai_chat.ChatQuirks(), model=model),
    ],
)
def test_what_an_effort_says_as_well_is_lost_in_no_dialect(encode: Callable[..., tuple[bytes, list[str]]]) -> None:
    fields = {"thinking": {"type": "enabled", "budget_tokens": 4000}, "output_config": {"effort": "medium"}}
    request = asked({"max_tokens": 5000, "messages": [HI], **fields})
    body, warnings = encode(request, model="m")
    assert [warning for warning in warnings if warning.startswith(("thinking", "output"))] == []
    assert b"budget_tokens" not in body


def test_only_counting_needs_no_length() -> None:
    assert asked({"messages": [HI]}, wants_max_tokens=False).generation.max_tokens is None


def block(value: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"max_tokens": 1, "messages": [{"role": role, "content": [value]}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [HI]}, "max_tokens"),
        ({"max_tokens": 1}, "messages"),
        ({"max_tokens": 1, "messages": []}, "messages"),
        ({"max_tokens": 0, "messages": [HI]}, "max_tokens"),
        ({"max_tokens": "many", "messages": [HI]}, "max_tokens"),
        ({"max_tokens": 1, "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"max_tokens": 1, "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"max_tokens": 1, "messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"max_tokens": 1, "messages": [{"content": "x"}]}, "messages[0].role"),
        ({"max_tokens": 1, "messages": ["hi"]}, "messages[0]"),
        (block({"type": "text"}), "messages[0].content[0].text"),
        (block({"type": "image"}), "messages[0].content[0].source"),
        (block({"type": "tool_result", "content": "x"}), "messages[0].content[0].tool_use_id"),
        (block({"type": "tool_result", "tool_use_id": "a", "content": 5}), "messages[0].content[0].content"),
        (block({"type": "tool_use", "id": "a", "name": "f"}, "assistant"), "messages[0].content[0].input"),
        ({"max_tokens": 1, "messages": [HI], "system": 5}, "system"),
        ({"max_tokens": 1, "messages": [HI], "system": [{"type": "thinking", "thinking": "x"}]}, "system"),
        ({"max_tokens": 1, "messages": [HI], "stream": "yes"}, "stream"),
        ({"max_tokens": 1, "messages": [HI], "temperature": 3}, "temperature"),
        ({"max_tokens": 1, "messages": [HI], "tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"max_tokens": 1, "messages": [HI], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"max_tokens": 1, "messages": [HI], "tool_choice": "auto"}, "tool_choice"),
        ({"max_tokens": 1, "messages": [HI], "metadata": 5}, "metadata"),
        ({"max_tokens": 1, "messages": [HI], "output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asked(fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (block({"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}}), "messages[0].content[0].type"),
        (
            {"max_tokens": 1, "messages": [HI], "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools[0].type",
        ),
    ],
)
def test_what_only_the_source_itself_can_do_is_no_bad_request(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(NotSupported) as caught:
        asked(fields)
    assert caught.value.param == param


def test_broken_json_inside_a_field_is_told() -> None:
    with pytest.raises(BadRequest) as caught:
        decode_request({"messages": msgspec.Raw(b"[}")})
    assert caught.value.param == "messages"
    with pytest.raises(BadRequest, match="deeply"):
        decode_request({"messages": msgspec.Raw(b"[" * 100_000)})
