"""Events read as repeats of the one before are the events that reading them in full gives."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import JackfieldError
from jackfield.core.events import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta
from jackfield.dialects import openai_chat_stream
from jackfield.dialects.openai_chat import StreamDecoder
from jackfield.dialects.openai_chat_repeat import Repeat, repeat_of

TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", " b", '"', "\\", "\n", "é", "\u2028", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
    ),
    st.sampled_from(
        ['"},"finish_reason":null}]}', '"content":"x"', '","content":"', "[DONE]", "data: {}\n\n", "other", "another"]
    ),
    st.text(max_size=6),
)
DELTAS = st.one_of(
    TEXTS.map(lambda text: {"content": text}),
    TEXTS.map(lambda text: {"role": "assistant", "content": text, "reasoning_content": None}),
    TEXTS.map(lambda text: {"reasoning_content": text}),
    TEXTS.map(lambda text: {"reasoning": text, "content": None}),
    TEXTS.map(lambda text: {"refusal": text}),
    TEXTS.map(lambda text: {"content": "x", "unknown": text}),
    TEXTS.map(lambda text: {'a"content': text}),
    TEXTS.map(lambda text: {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": text}}]}),
    TEXTS.map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
    TEXTS.map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}, "extra": text}]}),
    TEXTS.map(lambda text: {"tool_calls": [{"function": {"arguments": text}}]}),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    delta = draw(DELTAS)
    choice: dict[str, Any] = {"index": draw(st.sampled_from([0, 0, 0, 0, 1])), "delta": delta, "finish_reason": None}
    choice |= draw(st.sampled_from([{}, {}, {}, {"logprobs": None}, {"logprobs": {"content": [{"token": "t"}]}}, {"own": "o"}]))
    value: dict[str, Any] = {"id": "r", "model": "m", "choices": [choice]}
    value |= draw(
        st.sampled_from([{}, {}, {}, {"usage": None}, {"usage": {"prompt_tokens": 1}}, {"own": 1}, {"own": 2}, {"error": "e"}])
    )
    if draw(st.integers(0, 2)) == 0:
        value = {"obfuscation": "a", **value} if draw(st.integers(0, 4)) == 0 else {**value, "obfuscation": draw(TEXTS)}
    dumped = json.dumps(
        value, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])), allow_nan=False
    )
    start = draw(st.sampled_from(["data: ", "data: ", "data: ", "data:", ": note\n\ndata: ", "event: message\ndata: "]))
    end = draw(st.sampled_from(["\n\n", "\n\n", "\n\n", "\n\n", "\r\n\r\n", " \n\n", "\r\r"]))
    return (start + dumped + end).encode("utf-8", "surrogatepass")


BETWEEN = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"event: error\n",
            b": note\n",
            b": no",
            b"\n",
            b"\r",
            b"",
            b'data: {"choices":[],"own":2}\n\n',
            b"data: a\n",
        ]
    ),
    max_size=2,
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """A stream's bytes, each event often told again with another text, cut where it likes."""
    told: list[bytes] = []
    for frame in draw(st.lists(frames(), min_size=1, max_size=4)):
        told += [frame] * draw(st.integers(1, 3))
        text = json.dumps(draw(TEXTS)).encode()
        told += draw(BETWEEN)
        told += [frame.replace(b'"a"', text), frame.replace(b'" b"', text)]
    if draw(st.booleans()):
        told.append(b"data: [DONE]\n\n")
    if draw(st.booleans()):
        return told
    whole = b"".join(told)
    cuts = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    return [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def read(chunks: list[bytes]) -> tuple[list[Event], str]:
    """The events, and the words of the error that ended them."""
    decoder = StreamDecoder("p")
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.finish()
    except JackfieldError as error:
        return events, str(error)
    return events, ""


@settings(max_examples=200, deadline=None)
@given(streams())
def test_repeats_change_nothing(chunks: list[bytes]) -> None:
    quick = read(chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_chat_stream, "repeat_of", lambda *given: None)
        assert read(chunks) == quick


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=12), st.booleans()), max_size=6))
def test_any_bytes_where_the_text_was_are_read_as_they_were(holes: list[tuple[bytes, bool]]) -> None:
    head, tail = b'data: {"choices":[{"index":0,"delta":{"content":', b"}}]}\n\n"
    chunks = [head + b'"a"' + tail]
    chunks += [head + (b'"' + hole + b'"' if is_quoted else hole) + tail for hole, is_quoted in holes]
    quick = read(chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_chat_stream, "repeat_of", lambda *given: None)
        assert read(chunks) == quick


FIELD: dict[type, str] = {TextDelta: "text", ReasoningDelta: "text", ToolCallDelta: "arguments"}


def learnt(chunk: dict[str, Any], growth: Event) -> Repeat | None:
    return repeat_of(msgspec.json.encode(chunk), chunk, growth)


def chunk(delta: dict[str, Any], **beside: Any) -> dict[str, Any]:
    return {"id": "r", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **beside}


@pytest.mark.parametrize(
    ("delta", "growth"),
    [
        ({"content": "a"}, TextDelta(3, "a")),
        ({"role": "assistant", "content": "a", "tool_calls": None}, TextDelta(3, "a")),
        ({"refusal": "a"}, TextDelta(3, "a")),
        ({"reasoning_content": "a"}, ReasoningDelta(3, "a")),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "a"}}]}, ToolCallDelta(3, "a")),
    ],
)
def test_the_plain_events_have_repeats(delta: dict[str, Any], growth: Event) -> None:
    told = chunk(delta)
    repeat = learnt(told, growth)
    assert repeat is not None
    assert told == chunk(delta)
    again = msgspec.json.encode(told).replace(b'"a"', b'"\\u00e9\\n"')
    events: list[Event] = []
    assert repeat.take(again, events)
    frame = b"data: " + again + b"\n\n"
    assert repeat.take_frames(frame + frame + frame[:-1], events) == 2 * len(frame)
    assert events == [msgspec.convert({**msgspec.to_builtins(growth), FIELD[type(growth)]: "é\n"}, type(growth))] * 3


@pytest.mark.parametrize(
    ("told", "growth"),
    [
        (chunk({"content": "a", "unknown": "b"}), TextDelta(0, "a")),
        (chunk({"content": "a"}), TextDelta(0, "b")),
        (chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"arguments": "a"}}]}), ToolCallDelta(0, "a")),
        (chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "a"}}]}), ToolCallDelta(0, "a")),
        (chunk({"content": "a"}, late={"content": "a"}), TextDelta(0, "a")),
        (chunk({"content": "other"}, late={"content": "other"}), TextDelta(0, "other")),
        (chunk({"content": "another"}, late={"content": "another"}), TextDelta(0, "another")),
        ({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}, TextDelta(0, "a")),
        ({"choices": [{"delta": {"content": "a"}, "logprobs": {}}]}, TextDelta(0, "a")),
        ({"choices": [{"delta": {"content": "a"}}, {}]}, TextDelta(0, "a")),
    ],
)
def test_events_that_say_more_have_none(told: dict[str, Any], growth: Event) -> None:
    assert learnt(told, growth) is None


def test_a_text_may_be_spelt_in_any_way() -> None:
    told = chunk({"content": 'é\\ "'})
    repeat = repeat_of(json.dumps(told).encode(), told, TextDelta(0, 'é\\ "'))
    assert repeat is not None
    assert repeat.take(json.dumps(chunk({"content": "x"})).encode(), [])


def test_the_text_must_not_be_empty_nor_the_rest_another() -> None:
    repeat = learnt(chunk({"content": "a"}), TextDelta(0, "a"))
    assert repeat is not None
    events: list[Event] = []
    for other in (chunk({"content": ""}), chunk({"content": "b"}, more=1), {"id": "q"}):
        assert not repeat.take(msgspec.json.encode(other), events)
    assert not events


def test_a_filler_differs_each_time() -> None:
    repeat = learnt(chunk({"content": "a"}, usage=None, obfuscation="Xy"), TextDelta(0, "a"))
    assert repeat is not None
    events: list[Event] = []
    frames = [chunk({"content": "b"}, usage=None, obfuscation=filler) for filler in ("", "abc", "z")]
    told = b"".join(b"data: " + msgspec.json.encode(frame) + b"\n\n" for frame in frames)
    assert repeat.take_frames(told, events) == len(told)
    assert events == [TextDelta(0, "b")] * 3
    assert not repeat.take(msgspec.json.encode(chunk({"content": "b"}, usage=None, obfuscation=None)), events)
    assert not repeat.take(msgspec.json.encode(chunk({"content": "b"}, usage={}, obfuscation="")), events)
    assert learnt({"obfuscation": "Xy", **chunk({"content": "a"})}, TextDelta(0, "a")) is None


def test_most_of_a_stream_is_read_as_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    read_in_full: list[bytes] = []
    real = StreamDecoder._chunk

    def noted(self: StreamDecoder, data: bytes) -> Any:
        read_in_full.append(data)
        return real(self, data)

    monkeypatch.setattr(StreamDecoder, "_chunk", noted)
    frames = [b"data: " + msgspec.json.encode(chunk({"content": f" {word}"})) + b"\n\n" for word in range(20)]
    events, _ = read(frames)
    assert len(events) == 22
    assert len(read_in_full) == 1
    read_in_full.clear()
    whole = b"".join(frames)
    assert read([whole[:700], whole[700:705], whole[705:]])[0] == events
    assert len(read_in_full) == 1


def test_an_event_is_a_repeat_only_of_the_one_right_before_it() -> None:
    told = [chunk({"content": "a"}), chunk({"content": "b"}, own=1), {"choices": [], "own": 2}, chunk({"content": "c"}, own=1)]
    events, _ = read([b"data: " + msgspec.json.encode(each) + b"\n\n" for each in told] + [b"data: [DONE]\n\n"])
    assert isinstance(events[-1], Finished)
    assert events[-1].extra == {"own": 1}
