"""Requests for a Messages source: every core field has its place or is named in a warning; official types are the judge."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.messages_judge import judge_request
from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    format_messages,
    text_message,
)
from jackfield.core.parameters import normalise
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.dialects.anthropic_messages import MessagesQuirks, encode_count, encode_request

HI = text_message("user", "hi")
WEATHER = Tool("get_weather", "The weather", {"properties": {"city": {"type": "string"}}})
PNG = "iVBORw0KGgo="


def body_of(*messages: Message, quirks: MessagesQuirks | None = None, **more: Any) -> tuple[dict[str, Any], list[str]]:
    request = ChatRequest(messages or (HI,), **more)
    body, warnings = encode_request(request, quirks or MessagesQuirks(), model="claude-x")
    decoded = msgspec.json.decode(body)
    judge_request(decoded)
    return decoded, warnings


def quiet(*messages: Message, **more: Any) -> dict[str, Any]:
    body, warnings = body_of(*messages, **more)
    assert warnings == []
    return body


@pytest.mark.behaviour("PROV-22")
def test_the_length_of_an_answer_is_always_said() -> None:
    assert quiet() == {"model": "claude-x", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]}
    assert quiet(generation=Generation(max_tokens=7))["max_tokens"] == 7


@pytest.mark.behaviour("ADPT-32", "PARM-04")
def test_system_messages_stand_apart() -> None:
    body = quiet(*format_messages("hi", "be brief"))
    assert (body["system"], body["messages"]) == ("be brief", [{"role": "user", "content": "hi"}])
    body = quiet(text_message("system", "one"), text_message("developer", "two"), HI)
    assert body["system"] == "one\n\ntwo"
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_system_message_in_the_middle_is_told() -> None:
    body, warnings = body_of(HI, text_message("system", "late"))
    assert body["system"] == "late"
    assert warnings == ["messages[1]: a system message in the middle is sent with the others, before all turns"]


def test_cache_control_stays_where_it_was() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = quiet(
        Message("system", (TextPart("long", mark), TextPart("short"))),
        Message("user", (TextPart("text", mark), ImagePart(data=PNG, media_type="image/png", extra=mark))),
        Message("assistant", (ToolCallPart("t1", "get_weather", "{}", mark),)),
        Message("tool", (ToolResultPart("t1", (TextPart("sunny"),), extra=mark),)),
        tools=(msgspec.structs.replace(WEATHER, extra=mark),),
    )
    assert body["system"] == [{"type": "text", "text": "long", **mark}, {"type": "text", "text": "short"}]
    assert all("cache_control" in block for block in body["messages"][0]["content"])
    assert body["messages"][1]["content"][0]["cache_control"] == mark["cache_control"]
    assert body["messages"][2]["content"][0]["cache_control"] == mark["cache_control"]
    assert body["tools"][0]["cache_control"] == mark["cache_control"]


def test_turns_alternate_and_results_come_first() -> None:
    body = quiet(
        HI,
        text_message("user", "again"),
        Message("assistant", (ToolCallPart("a", "f", '{"x":1}'), ToolCallPart("b", "g", ""))),
        text_message("user", "and?"),
        Message("tool", (ToolResultPart("a", (TextPart("1"),)),)),
        Message("tool", (ToolResultPart("b", (), is_error=True),)),
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in body["messages"][0]["content"]] == ["hi", "again"]
    assert [block["input"] for block in body["messages"][1]["content"]] == [{"x": 1}, {}]
    results = body["messages"][2]["content"]
    assert [block["type"] for block in results] == ["tool_result", "tool_result", "text"]
    assert results[0] == {"type": "tool_result", "tool_use_id": "a", "content": "1"}
    assert results[1] == {"type": "tool_result", "tool_use_id": "b", "is_error": True}


def test_ids_of_other_sources_are_made_to_fit_alike() -> None:
    body = quiet(
        HI,
        Message("assistant", (ToolCallPart("functions.f:0", "f", "{}"),)),
        Message("tool", (ToolResultPart("functions.f:0", (TextPart("1"),)),)),
    )
    assert body["messages"][1]["content"][0]["id"] == body["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_arguments_that_are_no_object_are_sent_and_told() -> None:
    body, warnings = body_of(HI, Message("assistant", (ToolCallPart("a", "f", '{"x": '),)))
    assert body["messages"][1]["content"][0]["input"] == {"text": '{"x": '}
    assert "arguments of f" in warnings[0]


def test_signed_reasoning_is_sent_back_byte_for_byte_and_unsigned_is_not() -> None:
    parts: tuple[Part, ...] = (
        ReasoningPart("hm", "c2ln/+=="),
        ReasoningPart("", "cmVk", redacted=True),
        ReasoningPart("unsigned"),
        TextPart("so"),
        RefusalPart("no"),
    )
    body, warnings = body_of(HI, Message("assistant", parts), HI)
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln/+=="},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "so"},
        {"type": "text", "text": "no"},
    ]
    assert warnings == ["messages[1]: reasoning without a signature is left out"]


@pytest.mark.behaviour("PARM-14")
@pytest.mark.parametrize(
    ("part", "source"),
    [
        (ImagePart(data=PNG, media_type="image/png"), {"type": "base64", "media_type": "image/png", "data": PNG}),
        (ImagePart(data=PNG), {"type": "base64", "media_type": "image/png", "data": PNG}),
        (
            ImagePart(data="/9j/4AAQ", media_type="image/jpg"),
            {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"},
        ),
        (ImagePart(f"data:image/gif;base64,{PNG}"), {"type": "base64", "media_type": "image/gif", "data": PNG}),
        (ImagePart("https://example.org/x.png"), {"type": "url", "url": "https://example.org/x.png"}),
        (ImagePart(extra={"source": {"type": "file", "file_id": "f1"}}), {"type": "file", "file_id": "f1"}),
    ],
)
def test_an_image_gets_its_form(part: ImagePart, source: dict[str, str]) -> None:
    body = quiet(Message("user", (TextPart("what?"), part)))
    assert body["messages"][0]["content"][1] == {"type": "image", "source": source}


@pytest.mark.behaviour("PARM-14")
@pytest.mark.parametrize("part", [ImagePart(data="SUkqAA", media_type="image/tiff"), ImagePart(data="????"), ImagePart()])
def test_an_image_of_a_wrong_kind_is_refused(part: ImagePart) -> None:
    with pytest.raises(BadRequest) as caught:
        body_of(Message("user", (part,)))
    assert caught.value.param == "messages[0]"


def test_documents_get_their_form_and_sound_is_refused() -> None:
    body = quiet(
        Message(
            "user",
            (
                FilePart(data="JVBERi0=", filename="a.pdf"),
                FilePart(data="data:application/pdf;base64,JVBERi0="),
                FilePart(data="aMOp", media_type="text/plain"),
                FilePart("file_1"),
                FilePart(data="https://example.org/a.pdf"),
            ),
        )
    )
    assert [block["source"]["type"] for block in body["messages"][0]["content"]] == ["base64", "base64", "text", "file", "url"]
    assert body["messages"][0]["content"][0]["title"] == "a.pdf"
    assert body["messages"][0]["content"][2]["source"]["data"] == "hé"
    with pytest.raises(NotSupported):
        body_of(Message("user", (AudioPart("AA==", "wav"),)))
    with pytest.raises(BadRequest, match="not taken"):
        body_of(Message("user", (FilePart(data="AA==", media_type="application/zip"),)))


@pytest.mark.behaviour("PARM-03")
def test_parameters_have_their_names() -> None:
    asked = normalise({"stop": "END", "top_k": 5, "top_p": 0.5, "temp": 0.3, "num_predict": 9}).generation
    body = quiet(generation=asked, user="u1", stream=True)
    wanted = {"stop_sequences": ["END"], "top_k": 5, "top_p": 0.5, "temperature": 0.3, "max_tokens": 9, "stream": True}
    assert {name: body[name] for name in wanted} == wanted
    assert body["metadata"] == {"user_id": "u1"}


def test_nothing_is_dropped_silently() -> None:
    generation = Generation(
        seed=1, frequency_penalty=0.1, presence_penalty=0.1, logprobs=True, top_logprobs=2, context_length=9, temperature=1.7
    )
    body, warnings = body_of(
        Message("user", (TextPart("hi", {"x_odd": 1}),), name="Ann", extra={"odd": 1}),
        generation=generation,
        response_format=ResponseFormat("json"),
        extra={"logit_bias": {}, "service_tier": "flex", "metadata": {"user_id": "u", "team": "t"}},
        tool_choice=ToolChoice("auto"),
    )
    named = {warning.partition(":")[0] for warning in warnings}
    assert named == {
        "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "context_length", "temperature",
        "response_format", "logit_bias", "service_tier", "metadata.team", "tool_choice", "messages[0].name", "messages[0].odd",
        "messages[0].x_odd",
    }  # fmt: skip
    assert body["temperature"] == 1.0
    assert set(body) == {"model", "max_tokens", "messages", "metadata", "temperature"}


def test_fields_of_the_format_itself_are_sent() -> None:
    extra = {"context_management": {"edits": []}, "cache_control": {"type": "ephemeral"}, "x_new": 1}
    body, warnings = body_of(extra=extra, quirks=MessagesQuirks(extra_fields=("x_*",)))
    assert warnings == []
    assert {name: body[name] for name in extra} == extra


def test_tools_and_the_choice_among_them() -> None:
    body = quiet(
        tools=(WEATHER, Tool("now")), tool_choice=ToolChoice("required"), generation=Generation(parallel_tool_calls=False)
    )
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        {"name": "now", "input_schema": {"type": "object"}},
    ]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    named = quiet(tools=(WEATHER,), tool_choice=ToolChoice("named", "get_weather"))
    assert named["tool_choice"] == {"type": "tool", "name": "get_weather"}
    assert quiet(tools=(WEATHER,), tool_choice=ToolChoice("none"))["tool_choice"] == {"type": "none"}
    only_one = quiet(tools=(WEATHER,), generation=Generation(parallel_tool_calls=False))
    assert only_one["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in quiet(tools=(WEATHER,), generation=Generation(parallel_tool_calls=True))


def test_a_schema_holds_the_answer_where_the_source_can() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = ResponseFormat("json_schema", schema)
    assert quiet(response_format=wanted)["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    body, warnings = body_of(response_format=wanted, quirks=MessagesQuirks(schemas=False))
    assert "output_config" not in body
    assert "response_format" in warnings[0]


def test_an_effort_becomes_a_budget_that_the_answer_has_room_for() -> None:
    body = quiet(generation=Generation(reasoning_effort="medium"))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert body["max_tokens"] == 4096 + 4096
    assert quiet(generation=Generation(reasoning_effort="high", max_tokens=3000))["thinking"]["budget_tokens"] == 2999
    body, warnings = body_of(generation=Generation(reasoning_effort="high", max_tokens=1000))
    assert "thinking" not in body
    assert "1024" in warnings[0]
    assert quiet(generation=Generation(reasoning_effort="none"))["thinking"] == {"type": "disabled"}


def test_an_effort_stays_a_word_where_the_source_has_words() -> None:
    words = MessagesQuirks(thinking="adaptive")
    body = quiet(generation=Generation(reasoning_effort="minimal"), quirks=words)
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})
    assert "thinking" not in body_of(generation=Generation(reasoning_effort="odd"), quirks=words)[0]
    body, warnings = body_of(generation=Generation(reasoning_effort="high"), quirks=MessagesQuirks(thinking="none"))
    assert "thinking" not in body
    assert warnings == ["reasoning_effort: left out, the source does not take it"]


def test_said_thinking_is_not_touched_and_bars_sampling() -> None:
    thinking = {"type": "enabled", "budget_tokens": 512}
    generation = Generation(reasoning_effort="high", temperature=0.2, top_k=3, max_tokens=600)
    body, warnings = body_of(generation=generation, extra={"thinking": thinking})
    assert body["thinking"] == thinking
    assert not {"temperature", "top_k"} & set(body)
    assert [warning.partition(":")[0] for warning in warnings] == ["temperature", "top_k"]
    assert quiet(generation=Generation(temperature=1.0), extra={"thinking": thinking})["temperature"] == 1.0


def test_models_without_sampling_get_none() -> None:
    body, warnings = body_of(generation=Generation(temperature=0.2, top_p=0.5), quirks=MessagesQuirks(sampling=False))
    assert not {"temperature", "top_p"} & set(body)
    assert len(warnings) == 2


def test_no_thinking_where_the_source_would_refuse_it() -> None:
    effort = Generation(reasoning_effort="high")
    used = Message("assistant", (ToolCallPart("a", "f", "{}"),))
    result = Message("tool", (ToolResultPart("a", (TextPart("1"),)),))
    body, warnings = body_of(HI, used, result, generation=effort, tools=(WEATHER,))
    assert "thinking" not in body
    assert "signed" in warnings[0]
    signed = msgspec.structs.replace(used, parts=(ReasoningPart("hm", "c2ln"), *used.parts))
    assert "thinking" in quiet(HI, signed, result, generation=effort, tools=(WEATHER,))
    body, warnings = body_of(generation=effort, tools=(WEATHER,), tool_choice=ToolChoice("required"))
    assert "thinking" not in body
    assert "prescribed" in warnings[0]


def test_a_count_asks_with_what_counts() -> None:
    request = ChatRequest((HI,), generation=Generation(temperature=0.1, max_tokens=5), tools=(WEATHER,), stream=True)
    body = msgspec.json.decode(encode_count(request, model="m"))
    assert set(body) == {"model", "messages", "tools"}


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(BadRequest, match="JSON"):
        encode_request(ChatRequest((text_message("user", "\ud800"),)), model="m")


TEXTS = st.text(max_size=12)
PARTS = st.one_of(
    st.builds(TextPart, TEXTS),
    st.builds(RefusalPart, TEXTS),
    st.builds(ReasoningPart, TEXTS, st.none() | TEXTS, st.booleans()),
    st.builds(ToolCallPart, TEXTS, TEXTS, TEXTS | st.just('{"a": [1]}')),
    st.builds(ToolResultPart, TEXTS, st.lists(st.builds(TextPart, TEXTS), max_size=2).map(tuple), st.none(), st.booleans()),
)
MESSAGES = st.builds(
    Message, st.sampled_from(["system", "developer", "user", "assistant", "tool"]), st.lists(PARTS, max_size=4).map(tuple)
)


@given(st.lists(MESSAGES, min_size=1, max_size=6).map(tuple))
@settings(max_examples=150)
def test_any_conversation_becomes_one_that_alternates(messages: tuple[Message, ...]) -> None:
    try:
        encoded, _ = encode_request(ChatRequest(messages), model="m")
    except BadRequest:
        return
    body = msgspec.json.decode(encoded)
    judge_request(body)
    roles = [turn["role"] for turn in body["messages"]]
    assert all(one != two for one, two in pairwise(roles))
    for turn in body["messages"]:
        kinds = [block["type"] for block in turn["content"]] if isinstance(turn["content"], list) else []
        assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")
        assert ("tool_result" in kinds) <= (turn["role"] == "user")
