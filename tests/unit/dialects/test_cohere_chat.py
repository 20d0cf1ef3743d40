"""What Cohere's API cannot take as it was written, and streams that do not keep to their own announcements."""

from typing import Any

import msgspec
import pytest

from golden.cohere_judge import judge_request
from jackfield.core.errors import BadRequest, Malformed, NotSupported
from jackfield.core.events import ChatReply, fold_events
from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.core.usage import Usage
from jackfield.dialects.cohere_chat import StreamDecoder, decode_reply, encode_request

CALL = ToolCallPart("t1", "f", "")
WEATHER, TIME = Tool("weather"), Tool("time", strict=True)


def sent(*messages: Message, **more: Any) -> tuple[dict[str, Any], list[str]]:
    body, warnings = encode_request(ChatRequest(messages or (text_message("user", "hi"),), **more), model="m")
    fields: dict[str, Any] = msgspec.json.decode(body)
    judge_request(fields)
    return fields, warnings


def streamed(*values: dict[str, Any]) -> ChatReply:
    decoder = StreamDecoder("cohere", model="m")
    data = b"".join(b"data: " + msgspec.json.encode(value) + b"\n\n" for value in values)
    return fold_events(decoder.feed(data) + decoder.finish())


def content(kind: str, at: int, **block: str) -> dict[str, Any]:
    return {"type": f"content-{kind}", "index": at, "delta": {"message": {"content": block}}}


END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}


@pytest.mark.behaviour("COH-02")
def test_instructions_stand_first_as_one_message_and_tool_results_are_their_own() -> None:
    fields, warnings = sent(
        text_message("system", "One."),
        text_message("developer", "Two."),
        Message(
            "user", (ToolResultPart("t0", ()), TextPart("look"), ImagePart(url="https://example.com/a.png"), TextPart(" "))
        ),
        text_message("system", "Three."),
        text_message("user", ""),
    )
    assert fields["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": text} for text in ("One.", "Two.", "Three.")]},
        {"role": "tool", "tool_call_id": "t0", "content": "(nothing)"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
    ]
    assert len(warnings) == 1
    assert warnings[0].startswith("messages[3]: instructions in the middle")


def test_what_was_said_before_a_call_is_its_plan_or_its_thoughts() -> None:
    asked = text_message("user", "hi")
    turn = Message("assistant", (ReasoningPart("think"), TextPart("say"), CALL))
    calls = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    fields, warnings = sent(asked, turn)
    assert fields["messages"][1] == {"role": "assistant", "tool_calls": calls, "tool_plan": "think\nsay"}
    assert warnings == []
    fields, _ = sent(asked, turn, generation=Generation(reasoning_effort="low"))
    thoughts = [{"type": "thinking", "thinking": text} for text in ("think", "say")]
    assert fields["messages"][1] == {"role": "assistant", "tool_calls": calls, "content": thoughts}
    fields, _ = sent(asked, Message("assistant", (CALL,)))
    assert fields["messages"][1] == {"role": "assistant", "tool_calls": calls}


def test_reasoning_goes_back_only_where_it_is_taken() -> None:
    asked = text_message("user", "hi")
    plain = Message("assistant", (ReasoningPart("mine"), TextPart("said")))
    fields, warnings = sent(asked, plain)
    assert fields["messages"][1] == {"role": "assistant", "content": "said"}
    assert "earlier reasoning is left out" in warnings[0]
    fields, warnings = sent(asked, plain, extra={"thinking": {"type": "enabled", "token_budget": 9}})
    assert fields["messages"][1]["content"][0] == {"type": "thinking", "thinking": "mine"}
    assert warnings == []
    signed = Message("assistant", (ReasoningPart("theirs", "c2lnbmVk"), ReasoningPart("", "x", redacted=True)))
    fields, warnings = sent(asked, signed)
    assert len(fields["messages"]) == 1
    assert len(warnings) == 2


@pytest.mark.behaviour("COH-02")
def test_what_has_no_place_is_named_never_dropped_in_silence() -> None:
    fields, warnings = sent(
        Message("user", (TextPart("hi", {"cache_control": {}}),), name="ann", extra={"x": 1}),
        Message("user", (ToolResultPart("t", (TextPart("no"),), is_error=True),)),
        generation=Generation(context_length=9, top_logprobs=2, parallel_tool_calls=False, reasoning_effort="odd"),
        tool_choice=ToolChoice("required"),
        user="u",
        extra={"repeat_penalty": 1.1, "stream_options": {}},
    )
    told = " ".join(warnings)
    for name in (
        "cache_control", "name", "x is", "tool failed", "context_length", "top_logprobs", "parallel_tool_calls",
        "reasoning_effort", "tool_choice", "user", "repeat_penalty",
    ):  # fmt: skip
        assert name in told
    assert len(warnings) == 11
    assert set(fields) == {"model", "messages"}


def test_values_out_of_bounds_are_sent_as_the_nearest_and_said() -> None:
    generation = Generation(top_p=1.0, top_k=900, frequency_penalty=-1.0, presence_penalty=1.5, parallel_tool_calls=True)
    fields, warnings = sent(generation=generation)
    assert {name: fields[name] for name in ("p", "k", "frequency_penalty", "presence_penalty")} == {
        "p": 0.99,
        "k": 500,
        "frequency_penalty": 0.0,
        "presence_penalty": 1.0,
    }
    assert len(warnings) == 4


@pytest.mark.parametrize(
    ("effort", "limit", "expected"),
    [
        ("none", None, {"type": "disabled"}),
        ("medium", None, {"type": "enabled", "token_budget": 4096}),
        ("medium", 1000, {"type": "enabled", "token_budget": 500}),
        ("low", 1, {"type": "enabled", "token_budget": 1}),
    ],
)
def test_an_effort_is_a_budget_that_leaves_room_for_the_answer(effort: str, limit: int | None, expected: object) -> None:
    fields, _ = sent(generation=Generation(reasoning_effort=effort, max_tokens=limit))
    assert fields["thinking"] == expected


def test_tools_and_their_choice() -> None:
    assert "tool_choice" not in sent(tools=(WEATHER,), tool_choice=ToolChoice("auto"))[0]
    assert sent(tools=(WEATHER,), tool_choice=ToolChoice("none"))[0]["tool_choice"] == "NONE"
    fields, warnings = sent(tools=(WEATHER, TIME), tool_choice=ToolChoice("named", "time"))
    assert [tool["function"]["name"] for tool in fields["tools"]] == ["time"]
    assert (fields["tool_choice"], fields["strict_tools"], warnings) == ("REQUIRED", True, [])
    fields, warnings = sent(tools=(WEATHER, TIME))
    assert "strict_tools" not in fields
    assert "for all tools or for none" in warnings[0]
    with pytest.raises(BadRequest, match="not in tools"):
        sent(tools=(WEATHER,), tool_choice=ToolChoice("named", "time"))


def test_json_with_and_without_a_schema() -> None:
    assert sent(response_format=ResponseFormat("json"))[0]["response_format"] == {"type": "json_object"}
    assert sent(response_format=ResponseFormat("json_schema", {"type": "object"}))[0]["response_format"] == {
        "type": "json_object",
        "json_schema": {"type": "object"},
    }
    assert "response_format" not in sent(response_format=ResponseFormat("text"))[0]


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (AudioPart("AA", "wav"),)),
        Message("user", (FilePart(data="AA"),)),
        Message("user", (ToolResultPart("t", (ImagePart(data="AA"),)),)),
        Message("assistant", (ImagePart(data="AA"),)),
    ],
)
def test_content_that_no_block_can_hold_is_refused(message: Message) -> None:
    with pytest.raises(NotSupported, match=r"messages\[0\]"):
        sent(message)


@pytest.mark.parametrize("messages", [(text_message("system", "x"),), (text_message("user", " "),)])
def test_a_request_that_says_nothing_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(BadRequest, match="messages must hold"):
        sent(*messages)


def test_deltas_say_what_they_are_whatever_was_announced() -> None:
    reply = streamed(
        content("delta", 0, thinking="hm"),
        content("start", 0, type="text", text="a"),
        content("delta", 0, thinking="no"),
        content("delta", 1, text="b"),
        END,
        content("delta", 1, text="late"),
    )
    assert reply.message.parts == (ReasoningPart("hm"), TextPart("a"), ReasoningPart("no"), TextPart("b"))


def test_calls_may_come_in_lists_overlap_and_be_left_open() -> None:
    def call(at: int, name: str) -> dict[str, Any]:
        calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": ""}}]
        return {"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": calls}}}

    def more(at: int, text: str) -> dict[str, Any]:
        calls = {"function": {"arguments": text}}
        return {"type": "tool-call-delta", "index": at, "delta": {"message": {"tool_calls": calls}}}

    reply = streamed(call(0, "a"), call(1, "b"), more(0, '{"x":'), more(1, "[]"), more(0, "1}"), END)
    assert [(part.name, part.arguments) for part in reply.message.tool_calls] == [("a", '{"x":1}'), ("b", "[]")]
    assert (reply.finish_reason, reply.raw_finish_reason) == ("tool_calls", None)


def test_unknown_blocks_events_and_reasons_are_kept_or_passed_over() -> None:
    block = {"type": "audio", "data": "AA"}
    reply = streamed(
        {"type": "message-start"},
        {"type": "debug", "prompt": "<s>"},
        content("start", 0, **block),
        {"type": "citation-start", "delta": {"message": {"citations": [{"start": 1}]}}},
        {"type": "message-end", "delta": {"finish_reason": "BORED", "more": 1}},
    )
    assert reply.message == Message("assistant", extra={"citations": [{"start": 1}], "content_parts": [block]})
    assert (reply.finish_reason, reply.raw_finish_reason, reply.extra) == ("other", "BORED", {"more": 1})
    body = {"id": "x", "finish_reason": "COMPLETE", "message": {"content": [block, 7], "tool_calls": [7]}}
    assert decode_reply(msgspec.json.encode(body)).message.extra == {"content_parts": [block]}


@pytest.mark.behaviour("COH-02")
def test_counts_are_billed_ones_else_the_model_s_own_and_never_nonsense() -> None:
    def usage(value: object) -> Usage | None:
        body = {"finish_reason": "COMPLETE", "message": {"content": "hi"}, "usage": value}
        return decode_reply(msgspec.json.encode(body)).usage

    assert usage({"tokens": {"input_tokens": 7.0, "output_tokens": 2.0}, "cached_tokens": 5.0}) == Usage(
        7, 2, 5, 0, {"tokens": {"input_tokens": 7.0, "output_tokens": 2.0}}
    )
    assert usage({"billed_units": {"input_tokens": 3, "search_units": 1}, "cached_tokens": 64}) == Usage(
        3, 0, 3, 0, {"billed_units": {"search_units": 1}}
    )
    assert usage({"billed_units": {"input_tokens": -1, "output_tokens": "x"}}) == Usage()
    assert usage({}) is None
    assert usage(None) is None


def test_an_answer_must_be_an_object() -> None:
    for body in (b"", b"[]", b'{"message": {}}', b'{"finish_reason": "COMPLETE", "message": []}'):
        with pytest.raises(Malformed):
            decode_reply(body)
