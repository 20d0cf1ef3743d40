"""Requests: every bad field is named, nothing good is lost, and nothing is dropped in silence."""

from typing import Any

import msgspec
import pytest

from jackfield.core.errors import BadRequest, JackfieldError, NotSupported
from jackfield.core.messages import Message, TextPart, format_messages, text_message
from jackfield.core.parameters import normalise
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.dialects.openai_chat import ChatQuirks, decode_request, encode_request, parse_fields

HELLO = [{"role": "user", "content": "hello"}]
LOOK = {"type": "function", "function": {"name": "look"}}


def decode(**body: Any) -> ChatRequest:
    return decode_request(parse_fields(msgspec.json.encode({"model": "m", "messages": HELLO, **body})))


def encode(quirks: ChatQuirks | None = None, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    request = ChatRequest(**{"messages": (text_message("user", "hello"),), **changes})
    body, warnings = encode_request(request, quirks or ChatQuirks(), model="m")
    decoded: dict[str, Any] = msgspec.json.decode(body)
    return decoded, warnings


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"  \n", "the body is empty"),
        (b"{", "not valid JSON at byte 1"),
        (b'{"model": tiny}', "not valid JSON at byte 11"),
        (b'{"a":1} x', "not valid JSON at byte 9"),
        (b'{"a":NaN}', "not valid JSON at byte 5"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"\xff":1}', "not valid"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        parse_fields(body)
    assert caught.value.status == 400


def test_of_a_field_given_twice_the_last_counts() -> None:
    assert bytes(parse_fields(b'{"n":1,"n":2}')["n"]) == b"2"


def test_a_broken_text_names_its_field() -> None:
    with pytest.raises(BadRequest) as caught:
        decode_request(parse_fields(b'{"messages":[],"user":"\xff"}'))
    assert caught.value.param == "user"


IMAGE = {"type": "image_url", "image_url": {"url": "u"}}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [*HELLO, {"role": "user"}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    (
        {"messages": [{"role": "user", "content": [IMAGE, {"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[1].image_url.url",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "messages[0].content[0].input_audio.data",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].file"),
    ({"messages": [{"role": "user", "content": "x", "name": 1}]}, "messages[0].name"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "assistant", "refusal": 1}]}, "messages[0].refusal"),
    ({"messages": [{"role": "assistant", "audio": {}}]}, "messages[0].audio.id"),
    ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "messages[0].tool_calls[0].function"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "a", "arguments": {}}}]}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": ""}}]}]},
        "messages[0].tool_calls[0].id",
    ),
    ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]}, "messages[0].tool_calls[0].type"),
    ({"messages": [{"role": "assistant", "function_call": {"name": "a"}}]}, "messages[0].function_call.arguments"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
    ({"model": 5}, "model"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
    ({"stop": 5}, "stop"),
    ({"stop": ["a", 5]}, "stop"),
    ({"seed": "x"}, "seed"),
    ({"frequency_penalty": 5}, "frequency_penalty"),
    ({"presence_penalty": -5}, "presence_penalty"),
    ({"logprobs": "yes"}, "logprobs"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ({"reasoning_effort": 1}, "reasoning_effort"),
    ({"n": 0}, "n"),
    ({"n": True}, "n"),
    ({"n": "2"}, "n"),
    ({"n": 2}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"user": 7}, "user"),
    ({"tools": {}}, "tools"),
    ({"tools": [1]}, "tools[0]"),
    ({"tools": [{}]}, "tools[0].type"),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
    ({"tools": [LOOK, {"type": "function", "function": {}}]}, "tools[1].function.name"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "a", "parameters": "x"}}]}, "tools[0].function.parameters"),
    ({"tools": [{"type": "function", "function": {"name": "a", "strict": "x"}}]}, "tools[0].function.strict"),
    ({"functions": [{}]}, "functions[0].name"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": 5}, "tool_choice"),
    ({"tool_choice": {}}, "tool_choice.type"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
    ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    ({"function_call": 5}, "function_call"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": []}}}, "response_format.json_schema.schema"),
]


@pytest.mark.behaviour("DIAL-08")
@pytest.mark.parametrize(("body", "param"), BAD, ids=[f"{param}-{index}" for index, (_, param) in enumerate(BAD)])
def test_a_bad_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(JackfieldError) as caught:
        decode(**body)
    assert isinstance(caught.value, BadRequest | NotSupported)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert param in caught.value.message


def test_messages_are_required() -> None:
    with pytest.raises(BadRequest) as caught:
        decode_request(parse_fields(b'{"model":"m"}'))
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    ("body", "error"),
    [({"n": 2}, NotSupported), ({"tools": [{"type": "custom"}]}, NotSupported), ({"n": 0}, BadRequest)],
)
def test_what_only_a_pass_through_can_carry_is_told_from_nonsense(body: dict[str, Any], error: type[JackfieldError]) -> None:
    with pytest.raises(error):
        decode(**body)


def test_null_counts_as_not_said() -> None:
    nothing = dict.fromkeys(
        ("temperature", "stop", "n", "tools", "tool_choice", "response_format", "stream", "stream_options", "user", "functions")
    )
    assert decode(**nothing) == decode()


def test_retired_functions_are_read_as_tools() -> None:
    request = decode(
        functions=[{"name": "look", "parameters": {"type": "object"}}],
        function_call={"name": "look"},
        messages=[
            *HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "a cat"},
        ],
    )
    assert request.tools == (Tool("look", parameters={"type": "object"}),)
    assert request.tool_choice == ToolChoice("named", "look")
    body = msgspec.json.decode(encode_request(request, ChatQuirks())[0])
    call, result = body["messages"][1:]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert result["role"] == "tool"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "look"}}, ToolChoice("named", "look")),
    ],
)
def test_tool_choices(given: Any, expected: ToolChoice) -> None:
    assert decode(tool_choice=given).tool_choice == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "text"}, ResponseFormat("text")),
        ({"type": "json_object", "schema": {"a": 1}}, ResponseFormat("json", extra={"schema": {"a": 1}})),
        ({"type": "json_schema", "schema": {"a": 1}}, ResponseFormat("json_schema", {"a": 1})),
        (
            {"type": "json_schema", "x": 1, "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True}},
            ResponseFormat("json_schema", {}, "n", True, {"description": "d", "response_format": {"x": 1}}),
        ),
    ],
)
def test_response_formats_keep_all_they_say(given: dict[str, Any], expected: ResponseFormat) -> None:
    assert decode(response_format=given).response_format == expected
    again = msgspec.json.decode(encode_request(decode(response_format=given), ChatQuirks())[0])
    assert decode(response_format=again["response_format"]).response_format in (expected, _named(expected))


def _named(response_format: ResponseFormat) -> ResponseFormat:
    return msgspec.structs.replace(response_format, name=response_format.name or "answer")


@pytest.mark.behaviour("PARM-01", "PARM-02", "PARM-03", "PARM-06", "PARM-07")
@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"temperature": 0.2}, "temperature", 0.2),
        ({"temp": 0.2}, "temperature", 0.2),
        ({"max_length": 9}, "max_tokens", 9),
        ({"num_predict": 9}, "max_tokens", 9),
        ({"max_new_tokens": 9}, "max_tokens", 9),
        ({"n_predict": 9}, "max_tokens", 9),
        ({"stop_sequences": ["END"]}, "stop", ["END"]),
        ({"stop": "END"}, "stop", ["END"]),
        ({"nucleus_sampling": 0.9}, "top_p", 0.9),
        ({"seed": 3}, "seed", 3),
        ({"reasoning_effort": "low"}, "reasoning_effort", "low"),
    ],
)
def test_parameters_arrive_under_their_native_names(given: dict[str, Any], name: str, expected: Any) -> None:
    body, warnings = encode(generation=normalise(given).generation)
    assert body[name] == expected
    assert set(body) == {"model", "messages", name}
    assert warnings == []


@pytest.mark.behaviour("PARM-04")
def test_a_system_prompt_is_the_first_message() -> None:
    request = ChatRequest(messages=format_messages("hi", normalise({"system": "Be brief."}).system_prompt))
    body = msgspec.json.decode(encode_request(request, ChatQuirks())[0])
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


@pytest.mark.behaviour("PARM-05")
@pytest.mark.parametrize("given", [{"format": "json"}, {"response_format": {"type": "json_object"}}])
def test_the_json_format_asks_for_a_json_object(given: dict[str, Any]) -> None:
    body, _ = encode(response_format=normalise(given).response_format)
    assert body["response_format"] == {"type": "json_object"}


@pytest.mark.behaviour("PARM-08", "PARM-09")
@pytest.mark.parametrize("name", ["context", "context_length", "ctx_size", "num_ctx", "n_ctx"])
def test_a_context_length_has_no_name_here_and_is_reported(name: str) -> None:
    body, warnings = encode(ChatQuirks(extra_fields=("*",)), generation=normalise({name: 4096}).generation)
    assert set(body) == {"model", "messages"}
    assert [warning.partition(":")[0] for warning in warnings] == ["context_length"]


@pytest.mark.behaviour("PARM-09")
def test_unknown_parameters_are_sent_where_the_source_takes_them_and_reported_where_not() -> None:
    parameters = normalise({"repeat_penalty": 1.1, "top_k": 40, "logit_bias": {"1": 2}})
    unknown: dict[str, Any] = {"generation": parameters.generation, "extra": parameters.unknown}
    body, warnings = encode(**unknown)
    assert body["logit_bias"] == {"1": 2}
    assert "repeat_penalty" not in body
    assert "top_k" not in body
    assert sorted(warning.partition(":")[0] for warning in warnings) == ["repeat_penalty", "top_k"]
    body, warnings = encode(ChatQuirks(extra_fields=("repeat_*", "top_k")), **unknown)
    assert (body["repeat_penalty"], body["top_k"]) == (1.1, 40)
    assert warnings == []


@pytest.mark.behaviour("PARM-02")
@pytest.mark.parametrize(
    ("quirks", "name"),
    [
        (ChatQuirks(), "max_tokens"),
        (ChatQuirks(max_tokens_field="max_completion_tokens"), "max_completion_tokens"),
        (ChatQuirks(reasoning_models=("m",)), "max_completion_tokens"),
    ],
)
def test_the_token_limit_takes_the_sources_name(quirks: ChatQuirks, name: str) -> None:
    body, _ = encode(quirks, generation=Generation(max_tokens=5))
    assert body[name] == 5


@pytest.mark.behaviour("PROV-02", "PARM-09")
def test_reasoning_models_are_spared_what_they_refuse_and_it_is_reported() -> None:
    generation = Generation(temperature=0.5, top_p=0.5, presence_penalty=1, frequency_penalty=1, seed=1)
    body, warnings = encode(ChatQuirks(reasoning_models=("m*",)), generation=generation)
    assert set(body) == {"model", "messages", "seed"}
    assert len(warnings) == 4


def test_quirks_drop_what_the_source_refuses_and_say_so() -> None:
    quirks = ChatQuirks(tool_choice=False, drop_fields=("seed", "user"))
    tools = {"tools": (Tool("look"),), "tool_choice": ToolChoice("auto"), "generation": Generation(seed=1)}
    body, warnings = encode(quirks, **tools)
    assert set(body) == {"model", "messages", "tools"}
    assert [warning.partition(":")[0] for warning in warnings] == ["tool_choice", "seed"]


def test_a_source_that_goes_on_only_when_told_is_told_where_the_assistant_has_begun() -> None:
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    wants_it = ChatQuirks(continue_final_message=True, extra_fields=("*",))
    begun = (text_message("user", "Hello"), text_message("assistant", "Well"))
    assert flags.items() <= encode(wants_it, messages=begun)[0].items()
    assert not flags.keys() & encode(wants_it)[0].keys()
    assert not flags.keys() & encode(messages=begun)[0].keys()
    assert encode(wants_it, messages=begun, extra={"continue_final_message": False})[0]["continue_final_message"] is False


def test_a_stream_asks_for_usage_where_the_source_can_give_it() -> None:
    options = {"stream_options": {"include_obfuscation": False}}
    assert encode(stream=True, extra=options)[0]["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert "stream_options" not in encode(ChatQuirks(stream_usage=False), stream=True)[0]
    assert "stream_options" not in encode(extra=options)[0]


def test_the_argument_model_outweighs_the_requests() -> None:
    request = ChatRequest(messages=(text_message("user", "x"),), model="theirs")
    assert msgspec.json.decode(encode_request(request, ChatQuirks())[0])["model"] == "theirs"
    assert msgspec.json.decode(encode_request(request, ChatQuirks(), model="ours")[0])["model"] == "ours"
    nameless = ChatRequest(messages=(Message("user", (TextPart("x"),)),))
    assert "model" not in msgspec.json.decode(encode_request(nameless, ChatQuirks())[0])


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="cannot be written as JSON"):
        encode(user=value) if isinstance(value, str) else encode(extra={"metadata": value})
