"""Documented bytes of Cohere's chat API against the dialect, with Cohere's own client as the judge."""

from pathlib import Path

import msgspec
import pytest

from golden.cohere_judge import judge_request, judged_events, judged_reply
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    BudgetSpent,
    ContentRefused,
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
from jackfield.core.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, text_message
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.core.usage import Usage
from jackfield.dialects.cohere_chat import StreamDecoder, decode_error, decode_reply, encode_request

FILES = Path(__file__).parent / "cohere"
STREAMS = sorted(path for path in FILES.glob("*.sse") if not path.name.startswith("fault_"))


def name_of(path: Path) -> str:
    return path.name


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden", model="m")
    return decoder.feed(body) + decoder.finish()


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


@pytest.mark.behaviour("DIAL-04", "COH-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    assert fold_events(decode(path.read_bytes())) == decode_reply(path.with_suffix(".json").read_bytes(), model="m")


@pytest.mark.behaviour("COH-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_cohere_s_client_reads_the_streams_as_we_do(path: Path) -> None:
    body = path.read_bytes()
    message = fold_events(decode(body)).message
    contents = [event.delta.message.content for event in judged_events(body) if event.type == "content-delta"]
    assert "".join(content.text or "" for content in contents) == message.text
    plans = [event.delta.message.tool_plan for event in judged_events(body) if event.type == "tool-plan-delta"]
    thoughts = [part.text for part in message.parts if isinstance(part, ReasoningPart)]
    assert "".join([*(content.thinking or "" for content in contents), *plans]) == "".join(thoughts)
    starts = [event.delta.message.tool_calls for event in judged_events(body) if event.type == "tool-call-start"]
    assert [(call.id, call.function.name) for call in starts] == [(call.id, call.name) for call in message.tool_calls]


@pytest.mark.behaviour("COH-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_cohere_s_client_reads_the_answers_as_we_do(path: Path) -> None:
    body = path.with_suffix(".json").read_bytes()
    answer, reply = judged_reply(body), decode_reply(body, model="m")
    blocks = answer.message.content or []
    assert "".join(getattr(block, "text", "") for block in blocks) == reply.text
    calls = [(call.id, call.function.arguments) for call in answer.message.tool_calls or [] if call.function]
    assert calls == [(call.id, call.arguments) for call in reply.message.tool_calls]
    assert [cited.model_dump(exclude_none=True) for cited in answer.message.citations or []] == reply.message.extra.get(
        "citations", []
    )
    assert reply.usage is not None
    assert answer.usage is not None
    assert answer.usage.billed_units is not None
    assert answer.usage.billed_units.input_tokens == reply.usage.prompt_tokens


FULL = ChatRequest(
    messages=(
        text_message("system", "Be brief."),
        Message("user", (TextPart("What is this?"), ImagePart(data="iVBORw0KGgo=", media_type="image/png", detail="low"))),
        Message(
            "assistant",
            (ReasoningPart("I should look."), TextPart("Let me see."), ToolCallPart("t1", "get_weather", '{"city": "Paris"}')),
        ),
        Message("tool", (ToolResultPart("t1", (TextPart("sunny"),)),)),
        Message(
            "assistant", (ReasoningPart("Done."), TextPart("It is sunny.")), extra={"citations": [{"start": 6, "end": 11}]}
        ),
        text_message("user", "And now?"),
    ),
    generation=Generation(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=256,
        stop=("END",),
        seed=7,
        frequency_penalty=0.5,
        presence_penalty=0.0,
        logprobs=True,
        reasoning_effort="high",
    ),
    tools=(Tool("get_weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True),),
    tool_choice=ToolChoice("required"),
    response_format=ResponseFormat("json_schema", {"type": "object", "properties": {"a": {"type": "string"}}}, "answer"),
    stream=True,
    extra={
        "documents": [{"data": {"text": "a fact"}, "id": "doc:1"}],
        "citation_options": {"mode": "FAST"},
        "safety_mode": "STRICT",
        "priority": 3,
        "stream_options": {"include_usage": True},
    },
)


@pytest.mark.behaviour("PROV-29", "COH-01")
def test_the_full_request_is_as_documented_and_cohere_s_client_knows_every_field() -> None:
    body, warnings = encode_request(FULL, model="command-a-plus-05-2026")
    assert warnings == []
    assert msgspec.json.decode(body) == msgspec.json.decode((FILES / "request_full.json").read_bytes())
    judge_request(msgspec.json.decode(body))


@pytest.mark.behaviour("COH-02")
def test_billed_tokens_are_the_counts_and_cached_ones_are_part_of_the_prompt_once() -> None:
    usage = decode_reply((FILES / "stopped.json").read_bytes()).usage
    assert usage == Usage(1200, 4, 1024, 0, {"tokens": {"input_tokens": 1266, "output_tokens": 6}})


FAULTS: list[tuple[str, type[JackfieldError]]] = [
    ("fault_cut.sse", StreamBroken),
    ("fault_error.json", Unavailable),
    ("fault_error.sse", Unavailable),
    ("fault_garbage.sse", Malformed),
    ("fault_half_event.sse", StreamBroken),
    ("fault_message.json", Unavailable),
    ("fault_message.sse", RateLimited),
    ("fault_no_end.sse", StreamBroken),
    ("fault_nothing.json", Malformed),
    ("fault_orphan_call.sse", Malformed),
    ("fault_timeout.sse", TimedOut),
]


@pytest.mark.behaviour("COH-03")
@pytest.mark.parametrize(("name", "expected"), FAULTS, ids=[name for name, _ in FAULTS])
def test_an_answer_that_is_none_is_never_passed_off_as_one(name: str, expected: type[JackfieldError]) -> None:
    body = (FILES / name).read_bytes()
    with pytest.raises(expected) as raised:
        decode_reply(body, provider="golden") if name.endswith(".json") else decode(body)
    assert raised.value.provider == "golden"


def test_every_recorded_fault_is_in_the_table() -> None:
    assert {path.name for path in FILES.glob("fault_*")} == {name for name, _ in FAULTS}


ERRORS: list[tuple[str, int, type[JackfieldError]]] = [
    ("error_400.json", 400, BadRequest),
    ("error_400_calls.json", 400, BadRequest),
    ("error_400_context.json", 400, ContextOverflow),
    ("error_400_model.json", 400, ModelNotFound),
    ("error_400_output.json", 400, ContextOverflow),
    ("error_401.json", 401, AuthFailed),
    ("error_402.json", 402, BudgetSpent),
    ("error_404.json", 404, ModelNotFound),
    ("error_429.json", 429, RateLimited),
    ("error_429_month.json", 429, BudgetSpent),
    ("error_498.json", 498, ContentRefused),
    ("error_498_token.json", 498, AuthFailed),
    ("error_500.json", 500, Unavailable),
    ("error_503.json", 503, Overloaded),
    ("error_504.json", 504, TimedOut),
]


@pytest.mark.behaviour("COH-03")
@pytest.mark.parametrize(("name", "status", "expected"), ERRORS, ids=[name for name, *_ in ERRORS])
def test_an_error_maps_to_its_class(name: str, status: int, expected: type[JackfieldError]) -> None:
    error = decode_error(status, (FILES / name).read_bytes(), provider="golden", retry_after_s=3)
    assert type(error) is expected
    assert error.retry_after_s == 3


def test_every_recorded_error_is_in_the_table() -> None:
    assert {path.name for path in FILES.glob("error_*")} == {name for name, *_ in ERRORS}
