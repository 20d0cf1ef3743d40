"""Recorded and documented bytes of Ollama's API against the dialect, with the official client's own types as judges."""

from pathlib import Path
from typing import Any

import msgspec
import ollama as official
import pytest
from ollama._types import ChatRequest as OfficialChat
from ollama._types import GenerateRequest as OfficialGenerate

from jackfield.core.errors import (
    AuthFailed,
    ContextOverflow,
    JackfieldError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    StreamBroken,
    ToolCallParseError,
    Unavailable,
)
from jackfield.core.events import ChatReply, Event, UsageReported, fold_events, unfold
from jackfield.core.messages import ReasoningPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects.ndjson import NdjsonDecoder
from jackfield.dialects.ollama import (
    Form,
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_error,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    form_of,
    is_empty,
    reply_usage,
)

FILES = Path(__file__).parent / "ollama"
STREAMS = sorted(path for path in FILES.glob("*.ndjson") if not path.name.startswith("fault_"))
REPLIES = sorted(
    path for path in FILES.glob("*.json") if not path.name.startswith(("error_", "request_")) and ".events" not in path.name
)
TWINS = [path for path in STREAMS if path.with_suffix(".json").exists()]
CLEAN = [path for path in STREAMS if not path.name.startswith(("repaired_line", "lemonade_"))]
Answer = official.ChatResponse | official.GenerateResponse


def name_of(path: Path) -> str:
    return path.name


def form_of_file(path: Path) -> Form:
    return "generate" if "generate" in path.name else "chat"


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden")
    return decoder.feed(body) + decoder.finish()


def encoded(events: list[Event], form: Form = "chat") -> bytes:
    encoder = StreamEncoder(id="r1", created=1_760_742_847, model="llama3.2", form=form)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def judged(line: bytes, form: Form) -> Answer:
    kind = official.ChatResponse if form == "chat" else official.GenerateResponse
    return kind.model_validate_json(line, strict=True)


def lines_of(body: bytes) -> list[bytes]:
    decoder = NdjsonDecoder()
    return decoder.feed(body) + decoder.finish()


def judged_stream(body: bytes, form: Form) -> tuple[str, str, list[tuple[str, Any]], Answer]:
    """Text, thoughts and calls of all lines as the official client reads them, and the last line."""
    answers = [judged(line, form) for line in lines_of(body)]
    said: list[Any] = [answer.message if isinstance(answer, official.ChatResponse) else answer for answer in answers]
    text = "".join((part.content if form == "chat" else part.response) or "" for part in said)
    thoughts = "".join(part.thinking or "" for part in said)
    calls = [
        (call.function.name, dict(call.function.arguments)) for part in said for call in getattr(part, "tool_calls", None) or ()
    ]
    return text, thoughts, calls, answers[-1]


def calls_of(reply: ChatReply) -> list[tuple[str, Any]]:
    return [(call.name, msgspec.json.decode(call.arguments)) for call in reply.message.tool_calls]


def thoughts_of(reply: ChatReply) -> str:
    return "".join(part.text for part in reply.message.parts if isinstance(part, ReasoningPart))


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_decodes_to_the_recorded_events(path: Path) -> None:
    assert decode(path.read_bytes()) == msgspec.json.decode(path.with_suffix(".events.json").read_bytes(), type=list[Event])


@pytest.mark.behaviour("DIAL-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_cut_at_any_byte_gives_the_same_events(path: Path) -> None:
    body = path.read_bytes()
    whole = decode(body)
    for cut in range(len(body)):
        decoder = StreamDecoder("golden")
        assert decoder.feed(body[:cut]) + decoder.feed(body[cut:]) + decoder.finish() == whole
    decoder = StreamDecoder("golden")
    single = [event for at in range(len(body)) for event in decoder.feed(body[at : at + 1])]
    assert single + decoder.finish() == whole


@pytest.mark.behaviour("DIAL-02")
@pytest.mark.parametrize("path", CLEAN, ids=name_of)
def test_the_relay_changes_no_byte_and_reads_as_the_decoder_does(path: Path) -> None:
    body = path.read_bytes()
    reply = fold_events(decode(body))
    for size in (1, 7, len(body)):
        relay = StreamRelay(provider="golden")
        assert b"".join(relay.feed(body[at : at + size]) for at in range(0, len(body), size)) + relay.finish() == body
        told = (relay.done, relay.finished, relay.has_content, relay.error, relay.usage)
        assert told == (True, True, True, None, reply.usage)
        assert relay.pieces == body.count(b"\n") - 1


@pytest.mark.parametrize("name", ["lemonade_chat.ndjson", "lemonade_generate.ndjson"])
def test_of_two_ends_the_client_gets_the_one_with_counts(name: str) -> None:
    body = (FILES / name).read_bytes()
    reply = fold_events(decode(body))
    for size in (1, 50, len(body)):
        relay = StreamRelay()
        out = b"".join(relay.feed(body[at : at + size]) for at in range(0, len(body), size)) + relay.finish()
        ends = [line for line in lines_of(out) if b'"done":true' in line]
        assert len(ends) == 1
        assert b"eval_count" in ends[0]
        assert (relay.done, relay.usage, relay.error) == (True, reply.usage, None)
        assert fold_events(decode(out)).text == reply.text


def test_an_end_without_counts_is_sent_on_when_no_other_comes() -> None:
    line = b'{"model":"m","message":{"role":"assistant","content":"hi"},"done":true}\n'
    relay = StreamRelay()
    assert relay.feed(line) == b""
    assert (relay.finished, relay.done) == (True, False)
    assert relay.finish() == line


@pytest.mark.behaviour("DIAL-04")
@pytest.mark.parametrize("path", TWINS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    plain = path.with_suffix(".json").read_bytes()
    assert fold_events(decode(path.read_bytes())) == decode_reply(plain)
    assert decode_reply(path.read_bytes()) == decode_reply(plain), "a body with the lines of a stream is a whole answer too"
    assert reply_usage(plain) == decode_reply(plain).usage
    assert not is_empty(plain)


@pytest.mark.behaviour("LOCL-12")
@pytest.mark.parametrize("path", [*CLEAN, *REPLIES], ids=name_of)
def test_the_official_types_accept_the_files_that_we_learn_from(path: Path) -> None:
    if path.name != "repaired_text.ndjson":
        for line in lines_of(path.read_bytes()) if path.suffix == ".ndjson" else [path.read_bytes()]:
            judged(line, form_of_file(path))


@pytest.mark.behaviour("LOCL-12")
@pytest.mark.parametrize("form", ["chat", "generate"])
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_official_types_read_our_streams_as_we_do(path: Path, form: Form) -> None:
    reply = fold_events(decode(path.read_bytes()))
    text, thoughts, calls, last = judged_stream(encoded(decode(path.read_bytes()), form), form)
    assert (text, thoughts) == (reply.text, thoughts_of(reply))
    assert calls == (calls_of(reply) if form == "chat" else [])
    assert (last.done, last.done_reason) == (True, "length" if reply.finish_reason == "length" else "stop")
    if reply.usage is not None:
        assert (last.prompt_eval_count, last.eval_count) == (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    assert last.total_duration == reply.extra.get("total_duration")


@pytest.mark.behaviour("LOCL-12")
@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_the_official_types_accept_our_replies(path: Path) -> None:
    form, reply = form_of_file(path), decode_reply(path.read_bytes())
    body = encode_reply(reply, id="r1", created=reply.created, form=form)
    assert judged_stream(body, form)[:2] == (reply.text, thoughts_of(reply))
    assert judged(body, form).eval_duration == judged(path.read_bytes(), form).eval_duration


@pytest.mark.behaviour("DIAL-03")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_events_survive_encoding_and_decoding(path: Path) -> None:
    reply = fold_events(decode(path.read_bytes()))
    back = fold_events(decode(encoded(decode(path.read_bytes()), form_of_file(path))))
    assert (back.message, back.finish_reason, back.usage, back.extra) == (
        reply.message,
        reply.finish_reason,
        reply.usage,
        reply.extra,
    )


@pytest.mark.behaviour("DIAL-03", "DIAL-07")
@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_a_reply_survives_encoding_and_decoding(path: Path) -> None:
    reply, form = decode_reply(path.read_bytes()), form_of_file(path)
    assert decode_reply(encode_reply(reply, id="", created=reply.created, form=form)) == reply
    assert fold_events(decode(encoded(unfold(reply), form))).message == reply.message


@pytest.mark.parametrize(("name", "form"), [("request_full.json", "chat"), ("request_generate.json", "generate")])
@pytest.mark.behaviour("LOCL-12", "DIAL-07")
def test_the_full_request_passes_both_ways_and_the_official_types_accept_it(name: str, form: Form) -> None:
    body = (FILES / name).read_bytes()
    request = decode_request(msgspec.json.decode(body, type=dict[str, msgspec.Raw]), form=form)
    assert form_of(request) == form
    sent, warnings = encode_request(request, model="llama3.2")
    assert warnings == []
    assert msgspec.json.decode(sent) == msgspec.json.decode(body)
    judge = OfficialChat if form == "chat" else OfficialGenerate
    assert judge.model_validate(_with_images(msgspec.json.decode(sent)), extra="forbid").model == "llama3.2"
    for message in msgspec.json.decode(sent).get("messages", ()):
        official.Message.model_validate(_with_images(message))


def _with_images(owner: dict[str, Any]) -> dict[str, Any]:
    """The official client wraps images on their way in and unwraps them on their way out."""
    return owner | {"images": [{"value": image} for image in owner["images"]]} if "images" in owner else owner


def test_the_parts_of_an_answer_are_what_they_say() -> None:
    tools = decode_reply((FILES / "tools.json").read_bytes())
    assert [type(part) for part in tools.message.parts] == [ReasoningPart, ToolCallPart, ToolCallPart]
    assert tools.finish_reason == "tool_calls", "Ollama itself says stop"
    assert len({call.id for call in tools.message.tool_calls}) == 2
    old = decode_reply((FILES / "old.json").read_bytes())
    assert (old.finish_reason, old.usage) == ("stop", Usage(0, 2))
    assert [type(part) for part in decode_reply((FILES / "generate.json").read_bytes()).message.parts] == [
        ReasoningPart,
        TextPart,
    ]
    assert decode_reply((FILES / "generate.json").read_bytes()).extra["context"] == [1, 2, 3]


def test_counts_of_zero_are_no_counts() -> None:
    assert not any(isinstance(event, UsageReported) for event in decode((FILES / "lemonade_chat.ndjson").read_bytes()))


@pytest.mark.behaviour("PARM-12")
@pytest.mark.parametrize("name", ["repaired_line.ndjson", "repaired_text.ndjson"])
def test_a_tool_call_with_a_slight_fault_is_repaired(name: str) -> None:
    reply = fold_events(decode((FILES / name).read_bytes()))
    assert calls_of(reply) == [("get_weather", {"city": "Paris"})]
    assert decode_reply((FILES / name).read_bytes()) == reply


FAULTS: list[tuple[str, type[JackfieldError]]] = [
    ("fault_call.ndjson", ToolCallParseError),
    ("fault_call_line.ndjson", ToolCallParseError),
    ("fault_call_error.ndjson", ToolCallParseError),
    ("fault_cut.ndjson", StreamBroken),
    ("fault_half_line.ndjson", StreamBroken),
    ("fault_error.ndjson", Unavailable),
]


@pytest.mark.parametrize(("name", "expected"), FAULTS, ids=[name for name, _ in FAULTS])
def test_an_answer_that_is_none_is_never_passed_off_as_one(name: str, expected: type[JackfieldError]) -> None:
    body = (FILES / name).read_bytes()
    with pytest.raises(expected) as raised:
        decode(body)
    assert raised.value.provider == "golden"
    assert type(raised.value) is expected
    assert "oh dear" not in str(raised.value)
    relay = StreamRelay(provider="golden")
    relay.feed(body)
    relay.finish()
    assert relay.done == (name == "fault_call.ndjson"), "whose lines are whole: the client will see its call as it came"


ERRORS: list[tuple[str, int, type[JackfieldError]]] = [
    ("error_400_tools.json", 400, NotSupported),
    ("error_400_context.json", 400, ContextOverflow),
    ("error_401.json", 401, AuthFailed),
    ("error_404_model.json", 404, ModelNotFound),
    ("error_429.json", 429, RateLimited),
    ("error_500_memory.json", 500, Unavailable),
    ("error_500_call.json", 500, ToolCallParseError),
    ("error_503.json", 503, Overloaded),
]


@pytest.mark.parametrize(("name", "status", "expected"), ERRORS, ids=[name for name, _, _ in ERRORS])
def test_an_error_body_maps_to_its_class(name: str, status: int, expected: type[JackfieldError]) -> None:
    error = decode_error(status, (FILES / name).read_bytes(), provider="golden")
    assert type(error) is expected
    assert error.provider == "golden"
    assert len(error.message) > 10
