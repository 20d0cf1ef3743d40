"""Server-sent events: what the format says, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import Malformed
from jackfield.dialects.sse import SseDecoder, SseEvent, encode


def decode(*chunks: bytes) -> list[SseEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data: a\n\n", [(None, b"a", None)]),
        (b"data:a\n\n", [(None, b"a", None)]),
        (b"data:  a \n\n", [(None, b" a ", None)]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [(None, b"a", None), (None, b"b", None)]),
        (b"data: a\r\rdata: b\r\r", [(None, b"a", None), (None, b"b", None)]),
        (b"\xef\xbb\xbfdata: a\n\n", [(None, b"a", None)]),
        (b": keep-alive\n\ndata: a\n\n", [(None, b"a", None)]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [("error", b"a", None), (None, b"b", None)]),
        (b"event:\ndata: a\n\n", [(None, b"a", None)]),
        (b"data: a\ndata: b\n\n", [(None, b"a\nb", None)]),
        (b"data\n\n", [(None, b"", None)]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [(None, b"a", "7"), (None, b"b", "7")]),
        (b"id: a\0b\ndata: a\n\n", [(None, b"a", None)]),
        (b"event: lonely\n\n", []),
        (b"retry: 10\nunknown: x\ndata: a\n\n", [(None, b"a", None)]),
        (b"data: unterminated", [(None, b"unterminated", None)]),
        (b"", []),
    ],
)
def test_the_format(text: bytes, expected: list[tuple[str | None, bytes, str | None]]) -> None:
    assert decode(text) == [SseEvent(*event) for event in expected]


LINES = st.sampled_from([b"data: a", b"data:b c", b"event: e", b"id: 1", b": note", b"", b"", b"data: \xc3\xa9", b"data"])
TEXTS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


LOOK_WHOLE = st.sampled_from(
    [
        b"data: a\n\n",
        b"data: b\n\n",
        b"data: \n\n",
        b"data: a\rdata: b\n\n",
        b"data: ",
        b"data: a\n",
        b"event: e\n",
        b": note",
        b"\r",
    ]
)


@settings(deadline=None)
@given(st.lists(LOOK_WHOLE, max_size=6))
def test_what_looks_like_one_event_is_one_only_between_events(pieces: list[bytes]) -> None:
    assert decode(*pieces) == decode(*(bytes([byte]) for byte in b"".join(pieces)))


@pytest.mark.behaviour("DIAL-01")
@settings(deadline=None)
@given(
    text=st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), TEXTS).map(b"".join), cuts=st.lists(st.integers(0, 200), max_size=8)
)
def test_any_split_gives_the_same_events(text: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert decode(*pieces) == decode(text) == decode(*(bytes([byte]) for byte in text))


@settings(deadline=None)
@given(data=st.binary(max_size=60), event=st.none() | st.sampled_from(["error", "delta"]))
def test_what_is_encoded_is_decoded(data: bytes, event: str | None) -> None:
    normal = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert decode(encode(data, event)) == [SseEvent(event, normal)]


def test_an_events_name_is_one_line() -> None:
    with pytest.raises(ValueError, match="one line"):
        encode(b"x", "a\nb")


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 40, b"data: xxxx\n" * 5])
def test_an_endless_event_is_refused(chunk: bytes) -> None:
    decoder = SseDecoder(limit_bytes=30)
    with pytest.raises(Malformed, match="larger than 30 bytes"):
        decoder.feed(chunk + chunk)
