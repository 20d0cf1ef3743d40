"""Streams for Messages clients: parts of any other dialect become blocks that nest, and the official client reads them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.messages_judge import accumulated
from jackfield.core.errors import (
    AuthFailed,
    BudgetSpent,
    JackfieldError,
    ModelNotFound,
    NotAllowed,
    Overloaded,
    RateLimited,
    StreamBroken,
    TimedOut,
)
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    VoiceEnded,
    VoiceStarted,
    fold_events,
    unfold,
)
from jackfield.core.messages import Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects.anthropic_messages import (
    STOP_EVENT,
    StreamDecoder,
    StreamEncoder,
    decode_reply,
    encode_error,
    encode_reply,
    encode_stream_error,
)


def encoded(*events: Event) -> bytes:
    encoder = StreamEncoder(id="msg_1", created=0, model="m")
    return b"".join(map(encoder.encode, events)) + encoder.end()


def decoded(stream: bytes) -> ChatReply:
    decoder = StreamDecoder("x")
    return fold_events(decoder.feed(stream) + decoder.finish())


def test_calls_that_are_written_side_by_side_become_blocks_one_after_the_other() -> None:
    stream = encoded(
        Started("m"),
        PartStarted(0, "text"),
        TextDelta(0, "Both."),
        PartEnded(0),
        PartStarted(1, "tool_call", "a", "f"),
        ToolCallDelta(1, '{"x":'),
        PartStarted(2, "tool_call", "b", "g"),
        ToolCallDelta(2, '{"y":'),
        ToolCallDelta(1, "1}"),
        ToolCallDelta(2, "2}"),
        PartEnded(1),
        PartEnded(2),
        UsageReported(Usage(10, 5, 4)),
        Finished("tool_calls"),
    )
    judged = accumulated(stream)
    assert [block.type for block in judged.content] == ["text", "tool_use", "tool_use"]
    assert [block.input for block in judged.content if block.type == "tool_use"] == [{"x": 1}, {"y": 2}]
    assert judged.stop_reason == "tool_use"
    assert (judged.usage.input_tokens, judged.usage.cache_read_input_tokens, judged.usage.output_tokens) == (6, 4, 5)
    places = [msgspec.json.decode(line[6:]).get("index") for line in stream.split(b"\n") if line.startswith(b"data: ")]
    told = [place for place in places if place is not None]
    assert told == sorted(told), "a block went on after the next had begun"


def test_what_waited_is_written_as_soon_as_its_turn_comes() -> None:
    encoder = StreamEncoder(id="msg_1", model="m")
    for event in (Started("m"), PartStarted(0, "tool_call", "a", "f"), PartStarted(1, "text")):
        encoder.encode(event)
    assert encoder.encode(TextDelta(1, "later")) == b""
    assert b"later" in encoder.encode(PartEnded(0))
    assert b"at once" in encoder.encode(TextDelta(1, "at once"))


def test_redacted_thinking_stands_in_the_event_that_opens_its_block() -> None:
    stream = encoded(
        Started("m"),
        PartStarted(0, "reasoning", is_redacted=True),
        ReasoningDelta(0, "", "cmVk"),
        PartEnded(0),
        PartStarted(1, "reasoning", is_redacted=True),
        PartEnded(1),
        PartStarted(2, "text"),
        TextDelta(2, "x"),
        PartEnded(2),
        Finished("stop"),
    )
    assert [block.type for block in accumulated(stream).content] == ["redacted_thinking", "text"]
    assert decoded(stream).message.parts == (ReasoningPart("", "cmVk", redacted=True), TextPart("x"))


def test_voices_have_no_bytes_and_the_end_is_one_event() -> None:
    encoder = StreamEncoder(id="msg_1", model="m")
    assert encoder.encode(VoiceStarted(1)) == encoder.encode(VoiceEnded(1)) == b""
    assert encoder.end() == STOP_EVENT == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@pytest.mark.parametrize(
    ("reason", "raw", "word"),
    [
        ("stop", None, "end_turn"),
        ("stop", "stop", "end_turn"),
        ("stop", "stop_sequence", "stop_sequence"),
        ("length", None, "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("tool_calls", None, "tool_use"),
        ("content_filter", None, "refusal"),
        ("other", "pause_turn", "pause_turn"),
        ("other", "eos", "end_turn"),
    ],
)
def test_reasons_have_their_words(reason: Any, raw: str | None, word: str) -> None:
    assert accumulated(encoded(Started("m"), Finished(reason, raw))).stop_reason == word
    reply = ChatReply(Message("assistant"), "m", reason, raw_finish_reason=raw)
    assert msgspec.json.decode(encode_reply(reply, id="x"))["stop_reason"] == word


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AuthFailed("no"), "authentication_error"),
        (NotAllowed("no"), "permission_error"),
        (BudgetSpent("no"), "billing_error"),
        (ModelNotFound("no"), "not_found_error"),
        (RateLimited("no"), "rate_limit_error"),
        (Overloaded("no"), "overloaded_error"),
        (TimedOut("no"), "timeout_error"),
        (StreamBroken("no"), "api_error"),
    ],
)
def test_errors_have_the_types_that_clients_know(error: JackfieldError, kind: str) -> None:
    error.request_id, error.provider = "req_1", "acme"
    value = msgspec.json.decode(encode_error(error))
    assert value["type"] == "error"
    assert value["error"]["type"] == kind
    assert value["error"]["message"] == "acme: no"
    assert value["request_id"] == "req_1"
    assert encode_stream_error(error).startswith(b"event: error\ndata: ")
    with pytest.raises(type(error) if kind != "api_error" else JackfieldError):
        decoded(StreamEncoder(id="x", model="m").error(error))


TEXTS = st.text(max_size=12)
PARTS = st.one_of(
    st.builds(TextPart, st.text(min_size=1, max_size=12)),
    st.builds(ReasoningPart, TEXTS, st.text(min_size=1, max_size=9)),
    st.builds(ReasoningPart, st.just(""), st.text(min_size=1, max_size=9), st.just(value=True)),
    st.builds(ToolCallPart, TEXTS, TEXTS, st.sampled_from(['{"a":1}', '{"b":[true,null]}', "{}"])),
)
USAGES = st.builds(lambda fresh, cached, said: Usage(fresh + cached, said, cached), *[st.integers(0, 10**6)] * 3)


@given(st.lists(PARTS, max_size=5).map(tuple), USAGES)
@settings(max_examples=150)
def test_any_answer_comes_back_from_bytes(parts: tuple[Part, ...], usage: Usage) -> None:
    called = any(isinstance(part, ToolCallPart) for part in parts)
    raw = "tool_use" if called else "end_turn"
    reply = ChatReply(Message("assistant", parts), "m", "tool_calls" if called else "stop", "msg_1", 0, usage, raw)
    assert decode_reply(encode_reply(reply, id="msg_1")) == reply
    if usage.prompt_tokens or usage.completion_tokens:
        assert decoded(encoded(*unfold(reply))) == reply


def test_a_refusal_is_text_and_a_part_without_a_form_is_left_out() -> None:
    parts: tuple[Part, ...] = (RefusalPart("no"), ReasoningPart("", None, redacted=True), TextPart(""))
    value = msgspec.json.decode(encode_reply(ChatReply(Message("assistant", parts), "m", "content_filter"), id="x"))
    assert value["content"] == [{"type": "text", "text": "no"}]
    assert value["usage"]["input_tokens"] == value["usage"]["output_tokens"] == 0


def test_a_restart_is_a_ping_that_says_so_and_the_official_client_reads_on() -> None:
    encoder = StreamEncoder(id="msg_1", model="m")
    begun: list[Event] = [Started("m"), PartStarted(0, "text"), TextDelta(0, "wrong")]
    rest: list[Event] = [TextDelta(0, "right"), PartEnded(0), Finished("stop")]
    mark = encoder.restarted(5)
    assert msgspec.json.decode(mark.partition(b"data: ")[2]) == {
        "type": "ping",
        "jackfield": {"restarted": True, "discard_chars": 5},
    }
    stream = b"".join(map(encoder.encode, begun)) + mark + b"".join(map(encoder.encode, rest)) + encoder.end()
    assert [block.model_dump()["text"] for block in accumulated(stream).content] == ["wrongright"]
    assert decoded(stream).message.text == "wrongright"
