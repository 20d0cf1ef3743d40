"""Whole replies: lenient in, exact out."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import JackfieldError, Malformed, Overloaded, StreamBroken, Unavailable
from jackfield.core.events import ChatReply, FinishReason
from jackfield.core.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat_reply
from jackfield.dialects.openai_chat import decode_reply, encode_reply, reply_error

CALL = ToolCallPart("c1", "f", "{}")


def wire(message: dict[str, Any], **choice: Any) -> bytes:
    filled = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **choice}
    return msgspec.json.encode({"id": "r1", "created": 7, "model": "m", "choices": [filled]})


def encoded(*parts: Any, **changes: Any) -> dict[str, Any]:
    reply = ChatReply(**{"message": Message("assistant", parts), "model": "m", "finish_reason": "stop", **changes})
    body: dict[str, Any] = msgspec.json.decode(encode_reply(reply, id="r1", created=7))
    return body


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "hi"}, (TextPart("hi"),)),
        ({"content": ""}, ()),
        ({"content": None}, ()),
        ({}, ()),
        ({"content": None, "refusal": "no"}, (RefusalPart("no"),)),
        ({"content": "4", "reasoning_content": "2+2"}, (ReasoningPart("2+2"), TextPart("4"))),
        ({"content": "4", "reasoning": "2+2"}, (ReasoningPart("2+2"), TextPart("4"))),
        ({"content": "4", "reasoning": "2+2", "reasoning_content": "2+2"}, (ReasoningPart("2+2"), TextPart("4"))),
        ({"content": "4", "reasoning_content": "2+2", "reasoning_signature": "s"}, (ReasoningPart("2+2", "s"), TextPart("4"))),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}]}, (TextPart("a"),)),
        (
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]},
            (ReasoningPart("hm"), TextPart("a")),
        ),
    ],
)
def test_messages_are_read_into_parts(message: dict[str, Any], parts: tuple[Any, ...]) -> None:
    reply = decode_reply(wire(message))
    assert reply.message == Message("assistant", parts)
    assert (reply.id, reply.created, reply.model, reply.finish_reason) == ("r1", 7, "m", "stop")


def test_a_sources_own_reasoning_field_is_read_first() -> None:
    message = {"content": "4", "thoughts": "2+2", "reasoning": "other"}
    reply = decode_reply(wire(message), reasoning_field="thoughts")
    assert reply.message.parts[0] == ReasoningPart("2+2")
    assert reply.message.extra == {"reasoning": "other"}


def test_unknown_content_parts_are_kept() -> None:
    part = {"type": "hologram", "data": "x"}
    assert decode_reply(wire({"content": [part, 5]})).message.extra == {"content_parts": [part, 5]}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}, CALL),
        ({"function": {"name": "f", "arguments": "{}"}}, ToolCallPart("call_r1_0", "f", "{}")),
        ({"id": "", "function": {"name": "f", "arguments": {"a": 1}}}, ToolCallPart("call_r1_0", "f", '{"a":1}')),
        ({"id": "c1", "function": {"name": "f"}}, ToolCallPart("c1", "f", "")),
        (
            {"id": "c1", "index": 0, "function": {"name": "f", "arguments": "", "x": 1}, "y": 2},
            ToolCallPart("c1", "f", "", {"y": 2, "function": {"x": 1}}),
        ),
        ({"id": "c1"}, ToolCallPart("c1", "", "")),
    ],
)
def test_tool_calls_as_servers_write_them(call: dict[str, Any], expected: ToolCallPart) -> None:
    assert decode_reply(wire({"tool_calls": [call, "junk"]})).message.parts == (expected,)


@pytest.mark.parametrize(
    ("told", "calls", "reason", "raw"),
    [
        ("stop", False, "stop", None),
        ("length", False, "length", None),
        ("MAX_TOKENS", False, "length", "MAX_TOKENS"),
        ("eos", False, "stop", "eos"),
        ("content_filter", False, "content_filter", None),
        ("tool_calls", True, "tool_calls", None),
        ("stop", True, "tool_calls", "stop"),
        ("length", True, "length", None),
        ("weird", False, "other", "weird"),
        (None, False, "other", None),
        (None, True, "tool_calls", None),
    ],
)
def test_why_it_ended(told: str | None, calls: bool, reason: FinishReason, raw: str | None) -> None:
    message = {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]} if calls else {"content": "x"}
    reply = decode_reply(wire(message, finish_reason=told))
    assert (reply.finish_reason, reply.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize("word", ["error", "abort"])
def test_an_abandoned_answer_is_never_passed_off_as_whole(word: str) -> None:
    with pytest.raises(StreamBroken, match=word):
        decode_reply(wire({"content": "half"}, finish_reason=word))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>login</html>",
        b"[]",
        b"{}",
        b'{"choices":null}',
        b'{"choices":[]}',
        b'{"choices":[5]}',
        b'{"choices":[{"message":null}]}',
        b'{"choices":[{}]}',
        b'{"choices":[{"message":"' + b"\xff" + b'"}]}',
    ],
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode_reply(body, provider="p")
    assert caught.value.provider == "p"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"message":"Loading model","code":503}}', Overloaded),
        (b'{"error":{"message":"boom"}}', Unavailable),
        (b'{"object":"error","message":"boom","code":500}', Unavailable),
        (b"<html>", Malformed),
        (b"[]", Malformed),
    ],
)
def test_an_error_with_a_good_status_is_an_error(body: bytes, expected: type[JackfieldError]) -> None:
    error = reply_error(body, provider="p")
    assert type(error) is expected
    with pytest.raises(expected):
        decode_reply(body)


@pytest.mark.parametrize(
    "body",
    [
        wire({"content": "x"}),
        wire({"content": "x"}) + b"\n",
        wire({"content": "error"}),
        wire({"content": '"error": {}'}),
        b'{"error":null}',
    ],
)
def test_a_good_reply_is_no_error(body: bytes) -> None:
    assert reply_error(body) is None


def test_text_is_there_unless_the_answer_is_something_else() -> None:
    assert encoded()["choices"][0]["message"] == {"role": "assistant", "content": "", "refusal": None}
    assert encoded(CALL)["choices"][0]["message"]["content"] is None
    assert encoded(RefusalPart("no"))["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}
    assert encoded(TextPart("a"), TextPart("b"))["choices"][0]["message"]["content"] == "ab"


def test_reasoning_is_shown_unless_it_is_withheld() -> None:
    message = encoded(ReasoningPart("2+2", "s"), TextPart("4"))["choices"][0]["message"]
    assert (message["reasoning_content"], message["reasoning_signature"]) == ("2+2", "s")
    assert "reasoning_content" not in encoded(ReasoningPart("zzz", redacted=True), TextPart("4"))["choices"][0]["message"]


@pytest.mark.parametrize(
    ("reason", "word"), [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("other", "stop")]
)
def test_the_reason_takes_openais_word(reason: FinishReason, word: str) -> None:
    assert encoded(finish_reason=reason)["choices"][0]["finish_reason"] == word


def test_logprobs_go_where_their_text_is() -> None:
    entry = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}
    assert encoded(TextPart("a"), logprobs=(entry,))["choices"][0]["logprobs"] == {"content": [entry], "refusal": None}
    assert encoded(RefusalPart("a"), logprobs=(entry,))["choices"][0]["logprobs"] == {"content": None, "refusal": [entry]}
    assert encoded(TextPart("a"))["choices"][0]["logprobs"] is None
    decoded = decode_reply(
        wire({"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]}, logprobs={"content": [entry]})
    )
    assert decoded.message.parts == (CALL, TextPart(""))
    assert decoded.logprobs == (entry,)


def test_leftovers_return_to_their_places_and_replace_nothing() -> None:
    extra = {"timings": {"n": 1}, "id": "theirs", "choices": [{"stop_reason": 5, "index": 9}]}
    body = encoded(TextPart("a"), extra=extra, usage=Usage(1, 2))
    assert (body["timings"], body["id"], body["choices"][0]["stop_reason"], body["choices"][0]["index"]) == (
        {"n": 1},
        "r1",
        5,
        0,
    )
    assert body["usage"]["total_tokens"] == 3


ANY_VALUE: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "a", [], {}, [{}], {"a": None}, 0, False, [{"type": "text", "text": "b"}]]
)
ANY_FIELD = st.sampled_from(
    ["content", "refusal", "reasoning", "reasoning_signature", "tool_calls", "function_call", "own", "role"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(ANY_FIELD, ANY_VALUE, max_size=5), st.sampled_from([{}, {"content": "hi"}]))
def test_a_plain_message_is_read_as_every_message_is(fields: dict[str, Any], plain: dict[str, Any]) -> None:
    body = wire({**fields, **plain})
    quick = decode_reply(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_chat_reply, "_is_plain", lambda message: False)
        assert decode_reply(body) == quick
