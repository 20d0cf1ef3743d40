"""Documented bytes of Gemini's and Vertex's answers against the dialect, with Google's own SDK types as judges."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.genai import types

from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
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
from jackfield.core.events import ChatReply, Event, fold_events, unfold
from jackfield.core.messages import ReasoningPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects.gemini import (
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_error,
    decode_reply,
    decode_request,
    encode_error,
    encode_reply,
    encode_request,
)
from jackfield.dialects.gemini_framing import ObjectDecoder

FILES = Path(__file__).parent / "gemini"
STREAMS = sorted(path for path in FILES.glob("*.sse") if not path.name.startswith("fault_"))
REPLIES = sorted(
    path
    for path in FILES.glob("*.json")
    if not path.name.startswith(("error_", "request_", "fault_")) and not path.name.endswith(".events.json")
)
TWINS = [path for path in STREAMS if path.with_suffix(".json").exists()]


def name_of(path: Path) -> str:
    return path.name


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden")
    return decoder.feed(body) + decoder.finish()


def encoded(events: list[Event], form: Any = "sse") -> bytes:
    encoder = StreamEncoder(id="r1", created=0, model="gemini-2.5-flash", form=form)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def judged(body: bytes) -> types.GenerateContentResponse:
    """Google's type of an answer: it forbids fields it does not know."""
    return types.GenerateContentResponse.model_validate_json(body)


def judged_stream(stream: bytes) -> tuple[str, list[tuple[str | None, Any]], str, types.GenerateContentResponse]:
    """Text, calls and finish reason of all objects as the SDK reads them, and the last object."""
    frames = ObjectDecoder()
    chunks = [judged(data) for data in frames.feed(stream) + frames.finish()]
    parts = [part for chunk in chunks for part in _parts(chunk)]
    text = "".join(part.text for part in parts if part.text and not part.thought)
    calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
    return text, calls, str(chunks[-1].candidates and chunks[-1].candidates[0].finish_reason), chunks[-1]


def _parts(answer: types.GenerateContentResponse) -> list[types.Part]:
    content = answer.candidates[0].content if answer.candidates else None
    return list(content.parts or []) if content else []


def calls_of(reply: ChatReply) -> list[tuple[str, Any]]:
    return [(call.name, msgspec.json.decode(call.arguments)) for call in reply.message.tool_calls]


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_decodes_to_the_recorded_events(path: Path) -> None:
    assert decode(path.read_bytes()) == msgspec.json.decode(path.with_suffix(".events.json").read_bytes(), type=list[Event])


@pytest.mark.behaviour("DIAL-01")
@pytest.mark.parametrize("path", [*STREAMS, FILES / "text.array"], ids=name_of)
def test_a_stream_cut_at_any_byte_gives_the_same_events(path: Path) -> None:
    body = path.read_bytes()
    whole = decode(body)
    for cut in range(len(body)):
        decoder = StreamDecoder("golden")
        assert decoder.feed(body[:cut]) + decoder.feed(body[cut:]) + decoder.finish() == whole
    decoder = StreamDecoder("golden")
    single = [event for at in range(len(body)) for event in decoder.feed(body[at : at + 1])]
    assert single + decoder.finish() == whole


def test_both_forms_of_a_stream_tell_the_same() -> None:
    array = (FILES / "text.array").read_bytes()
    assert decode(array) == decode((FILES / "text.sse").read_bytes())
    assert decode_reply(array) == fold_events(decode(array))


@pytest.mark.behaviour("DIAL-02")
@pytest.mark.parametrize("path", [*STREAMS, FILES / "text.array"], ids=name_of)
def test_the_relay_changes_no_byte_and_reads_as_the_decoder_does(path: Path) -> None:
    body = path.read_bytes()
    relay = StreamRelay(provider="golden")
    assert b"".join(relay.feed(body[at : at + 7]) for at in range(0, len(body), 7)) + relay.finish() == body
    reply = fold_events(decode(body))
    assert (relay.finished, relay.has_content, relay.error, relay.usage) == (True, True, None, reply.usage)
    by_event = StreamRelay(provider="golden")
    events = [event + b"\r\n\r\n" for event in body.removesuffix(b"\r\n\r\n").split(b"\r\n\r\n")]
    assert [by_event.feed(event) for event in events] == events
    if path.suffix == ".sse":
        assert (by_event.finished, by_event.has_content, by_event.error, by_event.usage) == (True, True, None, reply.usage)


@pytest.mark.behaviour("DIAL-04")
@pytest.mark.parametrize("path", TWINS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    assert fold_events(decode(path.read_bytes())) == decode_reply(path.with_suffix(".json").read_bytes())


@pytest.mark.behaviour("GEM-01")
@pytest.mark.parametrize("path", [*STREAMS, *REPLIES], ids=name_of)
def test_google_s_own_types_accept_the_files_that_we_learn_from(path: Path) -> None:
    frames = ObjectDecoder()
    body = path.read_bytes()
    for data in frames.feed(body) + frames.finish() if path.suffix == ".sse" else [body]:
        judged(data)


@pytest.mark.behaviour("GEM-01")
@pytest.mark.parametrize("form", ["sse", "array"])
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_google_s_own_types_read_our_streams_as_we_do(path: Path, form: str) -> None:
    events = decode(path.read_bytes())
    reply = fold_events(events)
    text, calls, reason, last = judged_stream(encoded(events, form))
    assert (text, calls) == (reply.text, calls_of(reply))
    assert reason.endswith({"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS"}.get(reply.finish_reason, "SAFETY"))
    assert last.usage_metadata is not None
    assert reply.usage is not None
    assert last.usage_metadata.total_token_count == reply.usage.total_tokens


@pytest.mark.behaviour("GEM-01")
@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_google_s_own_types_accept_our_replies(path: Path) -> None:
    reply = decode_reply(path.read_bytes())
    answer = judged(encode_reply(reply, id="r1", created=0))
    said = "".join(part.text for part in _parts(answer) if part.text and not part.thought)
    assert said == reply.text
    assert [(part.function_call.name, part.function_call.args) for part in _parts(answer) if part.function_call] == calls_of(
        reply
    )
    original = judged(path.read_bytes())
    counted = ("prompt_token_count", "cached_content_token_count", "thoughts_token_count", "total_token_count")
    for name in counted:
        assert getattr(answer.usage_metadata, name) == getattr(original.usage_metadata, name)


@pytest.mark.behaviour("DIAL-03")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_events_survive_encoding_and_decoding(path: Path) -> None:
    events = decode(path.read_bytes())
    back = fold_events(decode(encoded(events)))
    reply = fold_events(events)
    assert (back.message, back.finish_reason, back.raw_finish_reason) == (
        reply.message,
        reply.finish_reason,
        reply.raw_finish_reason,
    )
    assert back.usage == reply.usage


@pytest.mark.behaviour("DIAL-03", "DIAL-07")
@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_a_reply_survives_encoding_and_decoding(path: Path) -> None:
    reply = decode_reply(path.read_bytes())
    again = decode_reply(encode_reply(reply, id=reply.id, created=0))
    assert again == msgspec.structs.replace(reply, created=0)
    assert fold_events(decode(encoded(unfold(reply)))).message == reply.message


@pytest.mark.behaviour("GEM-02")
def test_tokens_from_the_cache_and_thoughts_are_counted_once() -> None:
    usage = decode_reply((FILES / "thinking.json").read_bytes()).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.cached_tokens) == (1300, 1024)
    assert (usage.completion_tokens, usage.reasoning_tokens, usage.total_tokens) == (39, 31, 1339)
    inclusive = decode_reply((FILES / "inclusive_thoughts.json").read_bytes()).usage
    assert inclusive is not None
    assert (inclusive.completion_tokens, inclusive.reasoning_tokens, inclusive.total_tokens) == (50, 45, 60)
    grounded = decode_reply((FILES / "grounded.json").read_bytes()).usage
    assert grounded is not None
    assert (grounded.prompt_tokens, grounded.total_tokens) == (25, 28)


@pytest.mark.behaviour("GEM-03")
def test_signatures_come_back_byte_for_byte_where_they_were() -> None:
    reply = decode_reply((FILES / "tools.json").read_bytes())
    body, warnings = encode_request(_asked_again(reply), model="gemini-2.5-flash")
    (turn,) = [content for content in msgspec.json.decode(body)["contents"] if content["role"] == "model"]
    original = msgspec.json.decode((FILES / "tools.json").read_bytes())["candidates"][0]["content"]["parts"]
    assert [part.get("thoughtSignature") for part in turn["parts"]] == [part.get("thoughtSignature") for part in original]
    assert warnings == []


@pytest.mark.behaviour("GEM-03")
def test_a_call_without_a_signature_is_marked_where_the_model_would_refuse_it() -> None:
    reply = decode_reply((FILES / "tools.json").read_bytes())
    calls = tuple(msgspec.structs.replace(call, extra={}) for call in reply.message.tool_calls)
    bare = msgspec.structs.replace(reply, message=msgspec.structs.replace(reply.message, parts=calls))
    for model, expected in (("gemini-2.5-flash", None), ("gemini-3-pro-preview", "skip_thought_signature_validator")):
        body, _ = encode_request(_asked_again(bare), model=model)
        first, second = msgspec.json.decode(body)["contents"][1]["parts"]
        assert (first.get("thoughtSignature"), second.get("thoughtSignature")) == (expected, None)


def _asked_again(reply: ChatReply) -> Any:
    fields = {"contents": [{"role": "user", "parts": [{"text": "What is the weather?"}]}]}
    request = decode_request({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()})
    return msgspec.structs.replace(request, messages=(*request.messages, reply.message))


@pytest.mark.behaviour("GEM-01", "DIAL-07")
def test_the_full_request_passes_both_ways_and_google_s_types_accept_it() -> None:
    body = (FILES / "request_full.json").read_bytes()
    request = decode_request(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
    sent, warnings = encode_request(request, model="gemini-2.5-pro")
    assert warnings == []
    assert msgspec.json.decode(sent) == msgspec.json.decode(body)
    judge_request(msgspec.json.decode(sent))


def judge_request(body: dict[str, Any]) -> None:
    """Every part of a body by Google's own types, which forbid unknown fields; only the frame is ours."""
    known = {"contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent"}
    assert body.keys() <= known
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    for setting in body.get("safetySettings", ()):
        types.SafetySetting.model_validate(setting)
    types.Content.model_validate(body.get("systemInstruction", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))


def test_the_parts_of_an_answer_are_what_they_say() -> None:
    assert [type(part) for part in decode_reply((FILES / "thinking.json").read_bytes()).message.parts] == [
        ReasoningPart,
        TextPart,
        TextPart,
    ]
    tools = decode_reply((FILES / "tools.json").read_bytes())
    assert tools.message.tool_calls[1] == ToolCallPart("call_rZb4aLW8Bd2mvdIP8s-R6Ak_1", "get_time", "{}")
    image = decode_reply((FILES / "image.json").read_bytes())
    assert image.message.extra["images"][0]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    entries = decode_reply((FILES / "logprobs.json").read_bytes()).logprobs
    assert [(entry["token"], len(entry["top_logprobs"])) for entry in entries] == [("po", 2), ("ng", 1)]
    vertex = decode_reply((FILES / "vertex.json").read_bytes())
    assert (vertex.created, vertex.usage and vertex.usage.extra["trafficType"]) == (1772359200, "ON_DEMAND")


FAULTS: list[tuple[str, type[JackfieldError]]] = [
    ("fault_blocked.json", ContentRefused),
    ("fault_blocked.sse", ContentRefused),
    ("fault_call.json", Malformed),
    ("fault_call.sse", Malformed),
    ("fault_cut.sse", StreamBroken),
    ("fault_overloaded.sse", Overloaded),
]


@pytest.mark.behaviour("GEM-04")
@pytest.mark.parametrize(("name", "expected"), FAULTS, ids=[name for name, _ in FAULTS])
def test_an_answer_that_is_none_is_never_passed_off_as_one(name: str, expected: type[JackfieldError]) -> None:
    body = (FILES / name).read_bytes()
    with pytest.raises(expected) as raised:
        decode_reply(body, provider="golden") if name.endswith(".json") else decode(body)
    assert raised.value.provider == "golden"
    if name.endswith(".sse"):
        relay = StreamRelay(provider="golden")
        assert relay.feed(body) + relay.finish() == body
        assert not relay.finished
        assert expected is StreamBroken or type(relay.error) is expected


ERRORS: list[tuple[str, int, type[JackfieldError]]] = [
    ("error_400_context.json", 400, ContextOverflow),
    ("error_400_field.json", 400, BadRequest),
    ("error_400_key.json", 400, AuthFailed),
    ("error_400_place.json", 400, AuthFailed),
    ("error_403.json", 403, AuthFailed),
    ("error_403_array.json", 403, AuthFailed),
    ("error_404_model.json", 404, ModelNotFound),
    ("error_429.json", 429, RateLimited),
    ("error_500.json", 500, Unavailable),
    ("error_503.json", 503, Overloaded),
    ("error_504.json", 504, TimedOut),
]


@pytest.mark.behaviour("GEM-04")
@pytest.mark.parametrize(("name", "status", "expected"), ERRORS, ids=[name for name, _, _ in ERRORS])
def test_an_error_body_maps_to_its_class(name: str, status: int, expected: type[JackfieldError]) -> None:
    error = decode_error(status, (FILES / name).read_bytes(), provider="golden")
    assert type(error) is expected
    assert error.provider == "golden"
    assert len(error.message) > 10


def test_what_an_error_s_details_say_is_kept() -> None:
    limited = decode_error(429, (FILES / "error_429.json").read_bytes(), provider="golden")
    assert limited.retry_after_s == 34.5
    named = decode_error(400, (FILES / "error_400_field.json").read_bytes(), provider="golden")
    assert named.param == "generation_config"


@pytest.mark.parametrize("path", sorted(FILES.glob("error_*")), ids=name_of)
def test_every_recorded_error_is_in_the_table_and_is_read_as_it_is_written(path: Path) -> None:
    (_, status, _) = next(entry for entry in ERRORS if entry[0] == path.name)
    error = decode_error(status, path.read_bytes(), provider="")
    again = decode_error(error.status, encode_error(error), provider="")
    assert (type(again), again.retry_after_s, again.param) == (type(error), error.retry_after_s, error.param)


def test_a_count_of_nothing_is_no_usage() -> None:
    assert decode_reply(b'{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{}}').usage is None
    assert decode_reply((FILES / "thoughts_only.json").read_bytes()).usage == Usage(
        9, 64, 0, 64, {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]}
    )
