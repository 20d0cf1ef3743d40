"""What is peculiar to Responses streams: order, numbers, ends and errors, and answers of other dialects told as one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from golden.test_openai_responses import accumulated, encoded
from jackfield.core.errors import Malformed, RateLimited, StreamBroken, Unavailable
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Started,
    TextDelta,
    fold_events,
    unfold,
)
from jackfield.core.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat
from jackfield.dialects.openai_responses import (
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_reply,
    encode_reply,
    encode_stream_error,
    failed_response,
    is_empty,
    reply_error,
    splice_request,
)
from jackfield.dialects.sse import SseDecoder, encode


def kinds(stream: bytes) -> list[str]:
    return [event.event or "" for event in SseDecoder().feed(stream)]


def event(kind: str, **fields: Any) -> bytes:
    return encode(msgspec.json.encode({"type": kind, "sequence_number": 0, **fields}), kind)


def test_an_answer_with_everything_is_told_in_the_documented_order() -> None:
    reply = ChatReply(
        Message("assistant", (ReasoningPart("hm", "sig"), TextPart("a"), RefusalPart("b"), ToolCallPart("c", "f", "{}"))),
        "m",
        "tool_calls",
        usage=Usage(1, 2),
    )
    stream = encoded(unfold(reply))
    assert kinds(stream) == [
        "response.created", "response.in_progress",
        "response.output_item.added", "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done", "response.reasoning_summary_part.done", "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.done", "response.content_part.done",
        "response.content_part.added", "response.refusal.delta", "response.refusal.done", "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
        "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert [item.type for item in accumulated(stream).output] == ["reasoning", "message", "function_call"]


_PARTS = st.lists(
    st.one_of(
        st.builds(TextPart, st.text(max_size=12)),
        st.builds(RefusalPart, st.text(min_size=1, max_size=12)),
        st.builds(ReasoningPart, st.text(min_size=1, max_size=12), st.none() | st.text(min_size=1, max_size=5)),
        st.builds(ToolCallPart, st.uuids().map(str), st.just("f"), st.text(max_size=12)),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(_PARTS, st.sampled_from(["stop", "length"]), st.data())
def test_any_answer_survives_both_forms_and_any_cut(parts: list[Any], reason: Any, data: st.DataObject) -> None:
    called = any(isinstance(part, ToolCallPart) for part in parts)
    reply = ChatReply(
        Message("assistant", tuple(parts)),
        "m",
        "tool_calls" if called and reason == "stop" else reason,
        usage=Usage(3, 4, 1, 2),
    )
    plain = decode_reply(encode_reply(reply, id="resp_1", created=5))
    stream = encoded(unfold(reply))
    cut = data.draw(st.integers(0, len(stream)))
    decoder = StreamDecoder()
    streamed = fold_events(decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) + decoder.finish())
    assert [_words(part) for part in plain.message.parts] == [_words(part) for part in parts]
    assert [_words(part) for part in streamed.message.parts] == [_words(part) for part in parts]
    assert plain.finish_reason == streamed.finish_reason == reply.finish_reason
    assert plain.usage is not None
    assert plain.usage.total_tokens == 7


def _words(part: Any) -> Any:
    return msgspec.structs.replace(part, extra={})


def test_calls_told_in_turns_keep_their_own_arguments() -> None:
    chunks = [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "2"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "3"}}]},
    ]
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    body = b"".join(
        encode(msgspec.json.encode({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
        for delta in chunks
    )
    body += encode(msgspec.json.encode({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}))
    decoder = openai_chat.StreamDecoder()
    told = accumulated(encoded(decoder.feed(body) + decoder.finish()))
    assert [(item.call_id, item.arguments) for item in told.output if item.type == "function_call"] == [("a", "13"), ("b", "2")]


def test_a_text_without_deltas_is_taken_from_its_end() -> None:
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": "late", "annotations": []}
    body = event("response.created", response={"id": "r", "model": "m", "status": "in_progress"})
    body += event("response.output_item.done", output_index=0, item={**item, "content": [part]})
    body += event("response.completed", response={"id": "r", "model": "m", "status": "completed", "output": []})
    decoder = StreamDecoder()
    assert fold_events(decoder.feed(body) + decoder.finish()).text == "late"


def test_a_stream_without_its_end_is_broken_and_one_cut_in_an_event_too() -> None:
    body = event("response.created", response={"id": "r", "model": "m"})
    for cut in (body, body + b'data: {"type":"respo'):
        decoder = StreamDecoder("p")
        decoder.feed(cut)
        with pytest.raises(StreamBroken):
            decoder.finish()


@pytest.mark.parametrize("body", [b"data: [1]\n\n", b"data: {nope\n\n"])
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        StreamDecoder("p").feed(body)
    relay = StreamRelay(provider="p")
    relay.feed(body)
    assert isinstance(relay.error, Malformed)


def test_the_relay_tells_the_first_words_from_the_frame_around_them() -> None:
    relay = StreamRelay()
    said = []
    for kind, fields in (
        ("response.created", {"response": {}}),
        ("response.output_item.added", {"output_index": 0, "item": {"type": "message"}}),
        ("response.output_text.delta", {"delta": "x"}),
        ("response.completed", {"response": {"status": "cancelled"}}),
    ):
        relay.feed(event(kind, **fields))
        said.append(relay.has_content)
    assert said == [False, False, True, True]
    assert isinstance(relay.error, StreamBroken)
    assert not relay.finished


def test_an_error_is_told_where_both_kinds_of_clients_look() -> None:
    encoder = StreamEncoder(id="resp_1", created=1, model="m")
    value = msgspec.json.decode(SseDecoder().feed(encoder.error(RateLimited("slow down")))[0].data)
    assert (value["type"], value["code"], value["error"]["code"]) == ("error", "rate_limit_exceeded", "rate_limit_exceeded")
    with pytest.raises(RateLimited):
        StreamDecoder("p").feed(encode_stream_error(RateLimited("slow down")))


@pytest.mark.parametrize(("error", "code"), [(RateLimited("x"), "rate_limit_exceeded"), (Unavailable("x"), "server_error")])
def test_a_response_that_failed_is_one_by_the_official_type(error: Any, code: str) -> None:
    failed = failed_response(error, id="resp_1", created=1, model="m")
    assert Response.model_validate(failed).error is not None
    assert failed["error"]["code"] == code
    with pytest.raises(type(error)):
        decode_reply(msgspec.json.encode(failed))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"output":[]}', True),
        (b'{"output":[{"type":"reasoning","summary":[]}]}', True),
        (b'{"output":[{"type":"message","content":[{"type":"output_text","text":""}]}]}', True),
        (b'{"output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}]}', False),
        (b'{"output":[{"type":"function_call","call_id":"a","name":"f","arguments":""}]}', False),
        (b'{"output":[{"type":"web_search_call","id":"w"}]}', False),
        (b"[]", True),
        (b"nope", True),
    ],
)
def test_an_answer_that_says_nothing_is_empty(body: bytes, expected: bool) -> None:
    assert is_empty(body) is expected


def test_a_good_body_may_be_an_error() -> None:
    assert isinstance(reply_error(b"<html>"), Malformed)
    assert isinstance(reply_error(b'{"error":{"code":"server_error","message":"x"}}'), Unavailable)
    assert reply_error(b'{"object":"response","status":"completed","error":null,"output":[]}') is None
    with pytest.raises(Malformed):
        decode_reply(b'{"status":"queued","output":[]}')


def test_only_the_model_is_replaced_in_what_passes_through() -> None:
    fields = {"model": msgspec.Raw(b'"slot-1"'), "input": msgspec.Raw(b'"x"'), "temperature": msgspec.Raw(b"1.50")}
    assert splice_request(fields, model="gpt-5", stream=True) == b'{"model":"gpt-5","input":"x","temperature":1.50}'
    assert splice_request(fields, model=None, stream=False) == b'{"model":"slot-1","input":"x","temperature":1.50}'


@pytest.mark.parametrize("is_open", [True, False], ids=["part open", "part ended"])
def test_after_a_restart_the_closing_event_holds_the_new_text_alone(is_open: bool) -> None:
    """The event is one that OpenAI's client knows and does nothing about; the numbers go on."""
    encoder = StreamEncoder(id="resp_1", created=0, model="m")
    begun: list[Event] = [Started("m"), PartStarted(0, "text"), TextDelta(0, "wrong")]
    if is_open:
        rest: list[Event] = [TextDelta(0, "right"), PartEnded(0), Finished("stop")]
    else:
        begun.append(PartEnded(0))
        rest = [PartStarted(1, "text"), TextDelta(1, "right"), PartEnded(1), Finished("stop")]
    stream = b"".join(map(encoder.encode, begun)) + encoder.restarted(5)
    mark = [msgspec.json.decode(event.data) for event in SseDecoder().feed(stream)][-1]
    assert (mark["type"], mark["jackfield"]) == ("response.in_progress", {"restarted": True, "discard_chars": 5})
    stream += b"".join(map(encoder.encode, rest)) + encoder.end()
    assert accumulated(stream).output_text == "right"


@pytest.mark.parametrize("size", [1, 9, 100_000])
def test_pieces_count_the_events_with_content_however_they_are_cut(size: int) -> None:
    said = [TextDelta(0, word) for word in ("one ", "two ", "three")]
    stream = encoded([Started("m"), PartStarted(0, "text"), *said, PartEnded(0), Finished("stop")])
    relay = StreamRelay()
    for at in range(0, len(stream), size):
        relay.feed(stream[at : at + size])
    assert relay.pieces >= len(said)
    assert relay.pieces - len(said) <= 1  # the text told once more as a whole
