"""Documented bytes of Amazon Bedrock's Converse API against the dialect, with botocore as the judge."""

import base64
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.eventstream import EventStream, EventStreamBuffer
from botocore.exceptions import EventStreamError
from botocore.model import OperationModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session
from botocore.validate import ParamValidator

from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    JackfieldError,
    Malformed,
    ModelNotFound,
    Overloaded,
    RateLimited,
    StreamBroken,
    TimedOut,
    Unavailable,
)
from jackfield.core.events import Event, fold_events
from jackfield.core.messages import (
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
from jackfield.dialects.bedrock_converse import StreamDecoder, decode_error, decode_reply, encode_count, encode_request
from jackfield.dialects.event_stream import EventStreamDecoder

FILES = Path(__file__).parent / "bedrock"
STREAMS = sorted(path for path in FILES.glob("*.eventstream") if not path.name.startswith("fault_"))
REPLIES = sorted(
    path
    for path in FILES.glob("*.json")
    if not path.name.startswith(("error_", "request_", "fault_")) and not path.name.endswith(".events.json")
)


def name_of(path: Path) -> str:
    return path.name


@cache
def operation(name: str) -> OperationModel:
    return get_session().get_service_model("bedrock-runtime").operation_model(name)


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden", model="m")
    return decoder.feed(body) + decoder.finish()


class _Raw:
    """What botocore wants of an HTTP answer's body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        for at in range(0, len(self._body), 64):
            yield self._body[at : at + 64]

    def close(self) -> None: ...


def judged_events(body: bytes) -> list[dict[str, Any]]:
    """The stream as botocore parses it: each event by its shape."""
    output: Any = operation("ConverseStream").output_shape
    parser: Any = create_parser("rest-json")
    stream: Any = EventStream(_Raw(body), output.members["stream"], parser._event_stream_parser, "ConverseStream")
    return list(stream)


def judged_reply(body: bytes) -> dict[str, Any]:
    parser: Any = create_parser("rest-json")
    found: dict[str, Any] = parser.parse({"status_code": 200, "headers": {}, "body": body}, operation("Converse").output_shape)
    return found


def judge_request(body: bytes, name: str = "Converse") -> None:
    """The body's fields by the service model, and the body that botocore itself makes of them."""
    params = {"modelId": "anthropic.claude-x-v1:0", **msgspec.json.decode(body)}
    shape: Any = operation(name).input_shape
    report: Any = ParamValidator().validate(params, shape)
    assert not report.has_errors(), report.generate_report()
    made: Any = create_serializer("rest-json").serialize_to_request(_with_bytes(params), operation(name))
    assert msgspec.json.decode(made["body"]) == msgspec.json.decode(body)


def _with_bytes(value: Any) -> Any:
    """botocore takes bytes where the wire has base64."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item) if name in ("bytes", "redactedContent") else _with_bytes(item)
            for name, item in value.items()
        }
    return [_with_bytes(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_decodes_to_the_recorded_events(path: Path) -> None:
    assert decode(path.read_bytes()) == msgspec.json.decode(path.with_suffix(".events.json").read_bytes(), type=list[Event])


@pytest.mark.behaviour("DIAL-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_cut_at_any_byte_gives_the_same_events(path: Path) -> None:
    body = path.read_bytes()
    whole = decode(body)
    for cut in range(len(body)):
        decoder = StreamDecoder("golden", model="m")
        assert decoder.feed(body[:cut]) + decoder.feed(body[cut:]) + decoder.finish() == whole
    decoder = StreamDecoder("golden", model="m")
    assert [event for at in range(len(body)) for event in decoder.feed(body[at : at + 1])] + decoder.finish() == whole


@pytest.mark.behaviour("DIAL-04")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    assert fold_events(decode(path.read_bytes())) == decode_reply(path.with_suffix(".json").read_bytes(), model="m")


@pytest.mark.behaviour("BEDR-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_botocore_reads_the_streams_as_we_do(path: Path) -> None:
    body = path.read_bytes()
    reply = fold_events(decode(body))
    events = judged_events(body)
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta.get("text", "") for delta in deltas) == reply.text
    assert "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta) == "".join(
        call.arguments for call in reply.message.tool_calls
    )
    usage = events[-1]["metadata"]["usage"]
    assert reply.usage is not None
    assert usage["totalTokens"] == reply.usage.total_tokens
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    assert [message.payload for message in buffer] == [message.payload for message in EventStreamDecoder().feed(body)]


@pytest.mark.behaviour("BEDR-01")
@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_botocore_reads_the_answers_as_we_do(path: Path) -> None:
    answer = judged_reply(path.read_bytes())
    reply = decode_reply(path.read_bytes(), model="m")
    blocks = answer["output"]["message"]["content"]
    assert "".join(block.get("text", "") for block in blocks) == reply.text
    assert [(block["toolUse"]["toolUseId"], block["toolUse"]["input"]) for block in blocks if "toolUse" in block] == [
        (call.id, msgspec.json.decode(call.arguments)) for call in reply.message.tool_calls
    ]
    assert reply.usage is not None
    assert answer["usage"]["totalTokens"] == reply.usage.total_tokens


FULL = ChatRequest(
    messages=(
        text_message("system", "Be brief."),
        Message(
            "user",
            (
                TextPart("What is this?"),
                ImagePart(data="iVBORw0KGgo=", media_type="image/png"),
                FilePart(data="data:application/pdf;base64,JVBERi0=", filename="report_2026.pdf", extra={"cache_control": {}}),
            ),
        ),
        Message(
            "assistant",
            (
                ReasoningPart("I should look.", "ErcBCkgIBRABGAIiQG+opaque/bytes=="),
                ToolCallPart("t1", "get_weather", '{"city": "Paris"}'),
            ),
        ),
        Message("tool", (ToolResultPart("t1", (TextPart("no such city"),), is_error=True),)),
        text_message("user", "And now?"),
    ),
    generation=Generation(temperature=0.5, top_p=0.9, top_k=40, max_tokens=256, stop=("END",), reasoning_effort="high"),
    tools=(
        Tool(
            "get_weather", "The weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True
        ),
    ),
    tool_choice=ToolChoice("named", "get_weather"),
    response_format=ResponseFormat("json_schema", {"type": "object"}, "answer"),
    extra={
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
    },
)


@pytest.mark.behaviour("BEDR-01")
def test_the_full_request_is_as_documented_and_botocore_would_send_the_same() -> None:
    full = msgspec.structs.replace(FULL, messages=_with_cache_point(FULL.messages))
    body, warnings = encode_request(full, model="us.anthropic.claude-x-v1:0")
    assert warnings == []
    assert msgspec.json.decode(body) == msgspec.json.decode((FILES / "request_full.json").read_bytes())
    judge_request(body)
    judge_request(body, "ConverseStream")
    judge_request(encode_count(body), "CountTokens")


def _with_cache_point(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    system, user, *rest = messages
    file = msgspec.structs.replace(user.parts[-1], extra={"cache_control": {"type": "ephemeral"}})
    return (system, msgspec.structs.replace(user, parts=(*user.parts[:-1], file)), *rest)


@pytest.mark.behaviour("BEDR-02")
def test_roles_alternate_blank_texts_are_left_out_and_called_tools_are_declared() -> None:
    request = ChatRequest(
        (
            text_message("user", "one"),
            text_message("user", "two"),
            Message("assistant", (TextPart(" \n"), ToolCallPart("call:1/x", "f", "{}"))),
            Message("tool", (ToolResultPart("call:1/x", (TextPart("done"),)),)),
            text_message("user", "three"),
        )
    )
    body, warnings = encode_request(request, model="amazon.nova-lite-v1:0")
    judge_request(body)
    sent = msgspec.json.decode(body)
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert [len(turn["content"]) for turn in sent["messages"]] == [2, 1, 2]
    assert sent["messages"][1]["content"][0]["toolUse"]["toolUseId"] == "call:1_x"
    assert sent["toolConfig"]["tools"][0]["toolSpec"]["name"] == "f"
    assert warnings == []


@pytest.mark.behaviour("BEDR-02")
def test_what_has_no_place_is_named_never_dropped_in_silence() -> None:
    request = ChatRequest(
        (Message("user", (TextPart("hi", {"mark": 1}),), name="ann", extra={"x": 1}),),
        generation=Generation(seed=1, top_k=5, frequency_penalty=0.5, logprobs=True, parallel_tool_calls=False),
        response_format=ResponseFormat("json"),
        tool_choice=ToolChoice("none"),
        user="u",
        extra={"repeat_penalty": 1.1, "stream_options": {}},
    )
    _, warnings = encode_request(request, model="amazon.nova-lite-v1:0")
    told = " ".join(warnings)
    for name in (
        "name", "x:", "mark", "seed", "top_k", "frequency_penalty", "logprobs", "parallel_tool_calls", "response_format",
        "user", "repeat_penalty",
    ):  # fmt: skip
        assert name in told
    assert len(warnings) == 11


@pytest.mark.behaviour("BEDR-03")
def test_cached_tokens_are_part_of_the_prompt_once() -> None:
    usage = decode_reply((FILES / "thinking.json").read_bytes()).usage
    assert usage == Usage(1364, 55, 1024, 0, {"cache_creation_input_tokens": 300})
    assert usage is not None
    assert usage.total_tokens == 1419


FAULTS: list[tuple[str, type[JackfieldError]]] = [
    ("fault_cut.eventstream", StreamBroken),
    ("fault_damaged.eventstream", Malformed),
    ("fault_error.eventstream", Unavailable),
    ("fault_malformed.json", Malformed),
    ("fault_model.eventstream", Unavailable),
    ("fault_throttled.eventstream", RateLimited),
]


@pytest.mark.behaviour("BEDR-04")
@pytest.mark.parametrize(("name", "expected"), FAULTS, ids=[name for name, _ in FAULTS])
def test_an_answer_that_is_none_is_never_passed_off_as_one(name: str, expected: type[JackfieldError]) -> None:
    body = (FILES / name).read_bytes()
    with pytest.raises(expected) as raised:
        decode_reply(body, provider="golden") if name.endswith(".json") else decode(body)
    assert raised.value.provider == "golden"


def test_botocore_raises_where_we_do() -> None:
    with pytest.raises(EventStreamError):
        judged_events((FILES / "fault_throttled.eventstream").read_bytes())


ERRORS: list[tuple[str, int, str, type[JackfieldError]]] = [
    ("error_400.json", 400, "ValidationException", BadRequest),
    ("error_400_context.json", 400, "ValidationException", ContextOverflow),
    ("error_400_model.json", 400, "ValidationException", ModelNotFound),
    ("error_400_profile.json", 400, "ValidationException", ModelNotFound),
    ("error_403.json", 403, "AccessDeniedException", AuthFailed),
    ("error_403_token.json", 403, "UnrecognizedClientException", AuthFailed),
    ("error_404.json", 404, "ResourceNotFoundException", ModelNotFound),
    ("error_408.json", 408, "ModelTimeoutException", TimedOut),
    ("error_424.json", 424, "ModelErrorException", Unavailable),
    ("error_429.json", 429, "ThrottlingException", RateLimited),
    ("error_503.json", 503, "ServiceUnavailableException", Overloaded),
]


@pytest.mark.behaviour("BEDR-04")
@pytest.mark.parametrize(("name", "status", "kind", "expected"), ERRORS, ids=[name for name, *_ in ERRORS])
def test_an_error_maps_to_its_class(name: str, status: int, kind: str, expected: type[JackfieldError]) -> None:
    body = (FILES / name).read_bytes()
    told = f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    assert type(decode_error(status, body, provider="golden", kind=told)) is expected
    typed = msgspec.json.encode({"__type": f"com.amazon.coral#{kind}", **msgspec.json.decode(body)})
    assert type(decode_error(status, typed, provider="golden")) is expected


def test_every_recorded_error_is_in_the_table() -> None:
    assert {path.name for path in FILES.glob("error_*")} == {name for name, *_ in ERRORS}
