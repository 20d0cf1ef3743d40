"""Lines of JSON, however the bytes are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import Malformed
from jackfield.dialects.ndjson import NdjsonDecoder, encode

objects = st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers(), max_size=3)


@pytest.mark.behaviour("DIAL-01")
@settings(max_examples=150)
@given(st.lists(objects, max_size=5), st.lists(st.integers(0, 200), max_size=6), st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_any_split_of_the_bytes_gives_the_same_lines(values: list[dict[str, object]], cuts: list[int], end: bytes) -> None:
    written = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    body = b"".join(line + end for line in written)
    decoder = NdjsonDecoder()
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    lines = [line for start, stop in pairwise(places) for line in decoder.feed(body[start:stop])]
    assert lines + decoder.finish() == written


def test_a_last_line_without_its_end_is_told_at_the_end() -> None:
    decoder = NdjsonDecoder()
    assert decoder.feed(b'{"a":1}\n{"b"') == [b'{"a":1}']
    assert decoder.feed(b":2}") == []
    assert decoder.finish() == [b'{"b":2}']


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert NdjsonDecoder().feed(b"\xef\xbb\xbf{}\n{}\n") == [b"{}", b"{}"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_is_bounded(end: bytes) -> None:
    decoder = NdjsonDecoder(limit_bytes=10)
    assert decoder.feed(b"x" * 10) == []
    with pytest.raises(Malformed, match="larger than 10 bytes"):
        decoder.feed(b"x" + end)


def test_many_lines_at_once_may_be_longer_than_one() -> None:
    assert len(NdjsonDecoder(limit_bytes=10).feed(encode(b"{}") * 50)) == 50
