"""Streams: parts found in deltas, faults told apart from ends, and bytes that clients understand."""

from typing import Any

import msgspec
import pytest

from jackfield.core.errors import JackfieldError, Malformed, RateLimited, StreamBroken, Unavailable
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verdict,
    VoiceEnded,
    VoiceStarted,
    fold_events,
)
from jackfield.core.messages import ReasoningPart, TextPart, ToolCallPart
from jackfield.core.usage import Usage
from jackfield.dialects.openai_chat import StreamDecoder, StreamEncoder, encode_stream_error
from jackfield.dialects.openai_chat_stream import DONE_EVENT, merge_delta


def data(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, **choice: Any) -> bytes:
    filled = {"index": 0, "delta": delta, "finish_reason": finish, **choice}
    return data({"id": "r", "created": 1, "model": "m", "choices": [filled]})


def call(index: int | None, arguments: str = "", name: str = "", id: str = "") -> dict[str, Any]:
    value: dict[str, Any] = {} if index is None else {"index": index}
    value |= {"id": id} if id else {}
    return value | {"function": {"arguments": arguments, **({"name": name} if name else {})}}


def decode(*chunks: bytes) -> list[Event]:
    decoder = StreamDecoder("p")
    return [event for part in chunks for event in decoder.feed(part)] + decoder.finish()


END = chunk({}, "stop")


def test_parts_change_with_the_kind_of_delta() -> None:
    parts = fold_events(
        decode(
            chunk({"role": "assistant", "content": ""}),
            chunk({"reasoning": "a"}),
            chunk({"content": "b"}),
            chunk({"reasoning": "c", "content": "d"}),
            END,
            DONE_EVENT,
        )
    ).message.parts
    assert parts == (ReasoningPart("a"), TextPart("b"), ReasoningPart("c"), TextPart("d"))


def test_tool_calls_may_alternate_and_come_without_numbers_or_ids() -> None:
    def calls(*chunks: bytes) -> list[tuple[str, str, str]]:
        return [(part.id, part.name, part.arguments) for part in fold_events(decode(*chunks, END)).message.tool_calls]

    assert calls(
        chunk({"tool_calls": [call(0, "", "f", "a"), call(1, "{", "g", "b")]}),
        chunk({"tool_calls": [call(0, "{"), call(1, "1}")]}),
        chunk({"tool_calls": [call(0, "0}")]}),
    ) == [("a", "f", "{0}"), ("b", "g", "{1}")]
    assert calls(
        chunk({"tool_calls": [call(None, "{", "f")]}),
        chunk({"tool_calls": [call(None, "}")]}),
        chunk({"tool_calls": [call(None, "", "g")]}),
    ) == [("call_r_0", "f", "{}"), ("call_r_1", "g", "")]
    assert calls(
        chunk({"tool_calls": [call(0, "", "", "a")]}),
        chunk({"tool_calls": [call(0, "{", "")]}),
        chunk({"tool_calls": [call(0, "}", "f")]}),
    ) == [("a", "f", "{}")]
    assert calls(chunk({"tool_calls": [call(0, "{}", "", "a"), 5]})) == [("a", "", "{}")]
    assert calls(chunk({"tool_calls": [call(0, "{", "f", "a")]}), chunk({"tool_calls": [call(0, "}", "f", "a")]})) == [
        ("a", "f", "{}")
    ]


def test_text_ends_where_a_call_begins_and_calls_end_at_the_end() -> None:
    events = decode(chunk({"content": "x"}), chunk({"tool_calls": [call(0, "{}", "f", "a")]}), chunk({"content": "y"}), END)
    assert events[1:] == [
        PartStarted(0, "text"),
        TextDelta(0, "x"),
        PartEnded(0),
        PartStarted(1, "tool_call", "a", "f"),
        ToolCallDelta(1, "{}"),
        PartStarted(2, "text"),
        TextDelta(2, "y"),
        PartEnded(2),
        PartEnded(1),
        Finished("tool_calls", "stop"),
    ]
    fold_events(events)


def test_logprobs_without_text_wait_for_it() -> None:
    one, two = {"token": "\\xe2"}, {"token": "\\x82"}
    events = decode(
        chunk({"content": ""}, logprobs={"content": [one]}),
        chunk({"content": "€"}, logprobs={"content": [two]}),
        chunk({}, "stop", logprobs={"content": [one]}),
    )
    assert [event.logprobs for event in events if isinstance(event, TextDelta)] == [(one, two), (one,)]


def test_usage_and_leftovers_after_the_reason_are_kept() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    early = data({"id": "r", "model": "m", "fp": 1, "usage": None, "choices": [{"delta": {"content": "x"}, "stop_reason": 7}]})
    late = data({"id": "r", "model": "m", "fp": 1, "timings": {"n": 2}, "choices": [], "usage": usage})
    reply = fold_events(decode(early, END, late, DONE_EVENT))
    assert reply.usage == Usage(3, 1)
    assert reply.extra == {"fp": 1, "timings": {"n": 2}, "choices": [{"stop_reason": 7}]}


def test_of_several_usages_the_last_counts() -> None:
    body = [
        data({"id": "r", "choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 3, "completion_tokens": n}})
        for n in (1, 2)
    ]
    events = decode(*body, END)
    assert [event.usage.completion_tokens for event in events if isinstance(event, UsageReported)] == [2]


def test_other_choices_are_not_this_answers() -> None:
    both = {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}, "junk"]}
    assert fold_events(decode(data(both), END)).text == "yes"


def test_a_whole_message_in_place_of_a_delta_is_read() -> None:
    whole = {"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}
    assert fold_events(decode(data(whole))).text == "x"


@pytest.mark.parametrize("ending", [[END], [END, DONE_EVENT], [END, b"data: [DONE]"], [DONE_EVENT], [b": bye\n\n", END]])
def test_an_answer_that_was_told_to_be_whole_is_finished(ending: list[bytes]) -> None:
    events = decode(chunk({"content": "x"}), *ending)
    assert isinstance(events[-1], Finished)


def test_what_follows_the_end_mark_is_ignored() -> None:
    assert decode(chunk({"content": "x"}), END, DONE_EVENT, b"data: junk\n\n") == decode(chunk({"content": "x"}), END)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b": ping\n\n"],
        [chunk({"content": "x"})],
        [chunk({"content": "x"}), b'data: {"choices":[{"delta":{"con'],
        [DONE_EVENT],
    ],
)
def test_a_stream_that_was_cut_is_broken(chunks: list[bytes]) -> None:
    with pytest.raises(StreamBroken) as caught:
        decode(*chunks)
    assert caught.value.provider == "p"


@pytest.mark.parametrize("word", ["error", "abort"])
def test_an_abandoned_answer_is_broken(word: str) -> None:
    decoder = StreamDecoder("p")
    assert decoder.feed(chunk({"content": "x"}) + chunk({}, word))[-1] == TextDelta(0, "x")
    with pytest.raises(StreamBroken, match=word):
        decoder.finish()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (b"data: {oops}\n\n", Malformed),
        (b"data: [1]\n\n", Malformed),
        (b'data: {"a":"\xff"}\n\n', Malformed),
        (data({"error": {"message": "boom"}}), Unavailable),
        (data({"error": {"message": "slow down", "code": 429}}), RateLimited),
        (data({"error": {"message": "slow down", "type": "rate_limit_error"}}), RateLimited),
        (b'event: error\ndata: {"message":"boom"}\n\n', Unavailable),
        (data({"choices": [{"delta": {}, "error": {"message": "boom", "code": 502}}]}), Unavailable),
    ],
)
def test_a_fault_is_raised_after_the_events_before_it(fault: bytes, expected: type[JackfieldError]) -> None:
    decoder = StreamDecoder("p")
    events = decoder.feed(chunk({"content": "x"}) + fault + END)
    assert events[:3] == [Started("m", "r", 1), PartStarted(0, "text"), TextDelta(0, "x")]
    for _ in range(2):
        with pytest.raises(expected):
            decoder.feed(b"")
    with pytest.raises(expected):
        decoder.finish()


def test_a_fault_alone_is_raised_at_once() -> None:
    with pytest.raises(Unavailable):
        StreamDecoder("p").feed(data({"error": {"message": "boom"}}))


def test_an_error_without_its_last_newline_is_still_an_error() -> None:
    decoder = StreamDecoder("p")
    decoder.feed(chunk({"content": "x"}) + b'data: {"error":{"message":"boom"}}')
    with pytest.raises(Unavailable, match="boom"):
        decoder.finish()


def test_leftovers_of_deltas_grow_together() -> None:
    into: dict[str, Any] = {"audio": {"id": "a", "data": "AA"}, "notes": [1], "n": 1}
    merge_delta(into, {"audio": {"id": "a", "data": "BB", "expires_at": 5}, "notes": [2], "n": 2, "new": "x"})
    assert into == {"audio": {"id": "a", "data": "AABB", "expires_at": 5}, "notes": [1, 2], "n": 2, "new": "x"}


def encoder(*, include_usage: bool = False) -> StreamEncoder:
    return StreamEncoder(id="r", created=1, model="m", include_usage=include_usage)


def test_the_first_bytes_name_the_role() -> None:
    first = msgspec.json.decode(encoder().encode(Started("theirs", "x"))[6:])
    assert (first["id"], first["model"], first["created"], first["object"]) == ("r", "m", 1, "chat.completion.chunk")
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_events_without_bytes_have_none() -> None:
    silent: list[Event] = [
        PartStarted(0, "text"),
        TextDelta(0, ""),
        PartEnded(0),
        PartStarted(1, "reasoning", is_redacted=True),
        ReasoningDelta(1, "opaque"),
        ToolCallDelta(2, ""),
        UsageReported(Usage(1, 1)),
        VoiceStarted(0),
        VoiceEnded(0),
        Verdict("vote"),
    ]
    made = encoder()
    made.encode(Started("m"))
    assert [made.encode(event) for event in silent] == [b""] * len(silent)


def test_usage_is_shown_when_asked_for_and_known() -> None:
    for asked, known, shown in ((True, True, True), (False, True, False), (True, False, False)):
        made = encoder(include_usage=asked)
        if known:
            made.encode(UsageReported(Usage(3, 4, 1, 2)))
        end = made.end()
        assert end.endswith(b"data: [DONE]\n\n")
        assert (b'"choices":[],"usage":{"prompt_tokens":3' in end) is shown


def test_a_reasoning_signature_arrives() -> None:
    made = encoder()
    events: list[Event] = [
        Started("m"),
        PartStarted(0, "reasoning"),
        ReasoningDelta(0, "a"),
        ReasoningDelta(0, "", "s"),
        PartEnded(0),
        Finished("stop"),
    ]
    sent = b"".join(map(made.encode, events))
    assert fold_events(decode(sent)).message.parts == (ReasoningPart("a", "s"),)


def test_every_chunk_carries_the_fingerprint() -> None:
    made = encoder()
    extra = {"system_fingerprint": "fp", "timings": {"n": 1}}
    sent = [
        made.encode(event) for event in (Started("m", extra=extra), PartStarted(0, "text"), TextDelta(0, "x"), Finished("stop"))
    ]
    assert [b'"system_fingerprint":"fp"' in part for part in sent] == [True, False, True, True]
    assert [b"timings" in part for part in sent] == [True, False, False, False]


def test_a_failed_stream_never_looks_finished() -> None:
    error = RateLimited("slow down", provider="p", request_id="q")
    sent = encoder().error(error)
    assert sent == encode_stream_error(error)
    assert b"[DONE]" not in sent
    decoder = StreamDecoder("us")
    decoder.feed(chunk({"content": "x"}))
    with pytest.raises(RateLimited, match="slow down"):
        decoder.feed(sent)


def test_tool_calls_are_numbered_from_zero_whatever_stands_before_them() -> None:
    made = encoder()
    events: list[Event] = [
        PartStarted(0, "text"),
        TextDelta(0, "x"),
        PartStarted(3, "tool_call", "a", "f"),
        PartStarted(5, "tool_call", "b", "g"),
        ToolCallDelta(5, "{}"),
    ]
    sent = [made.encode(event) for event in events]
    assert [msgspec.json.decode(part[6:])["choices"][0]["delta"]["tool_calls"][0]["index"] for part in sent[2:]] == [0, 1, 1]
    assert ToolCallPart("b", "g", "{}") in fold_events(decode(*sent, END)).message.parts
