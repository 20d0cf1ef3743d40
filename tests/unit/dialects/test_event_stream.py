import struct
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import Malformed
from jackfield.dialects.event_stream import EventStreamDecoder, encode_message

EMPTY = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"
NUMBER = b"\x00\x00\x00+\x00\x00\x00\x0e4\x8b\xec{\x08event-id\x04\x00\x00\xa0\x0c{'foo':'bar'}\xd3\x89\x02\x85"

headers = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=5)


def _framed(raw_headers: bytes, payload: bytes = b"{}") -> bytes:
    lengths = struct.pack(">II", 16 + len(raw_headers) + len(payload), len(raw_headers))
    body = lengths + struct.pack(">I", crc32(lengths)) + raw_headers + payload
    return body + struct.pack(">I", crc32(body))


def test_the_published_vectors_are_read() -> None:
    """From AWS's own test vectors for this framing: an empty message, and one with a number for a header."""
    (empty,) = EventStreamDecoder().feed(EMPTY)
    assert (empty.headers, empty.payload) == ({}, b"")
    (number,) = EventStreamDecoder().feed(NUMBER)
    assert (number.headers, number.payload) == ({"event-id": 0xA00C}, b"{'foo':'bar'}")
    assert number.text("event-id") == ""


@given(st.lists(st.tuples(headers, st.binary(max_size=200)), max_size=4), st.integers(1, 50))
@settings(max_examples=100)
def test_what_is_encoded_is_decoded_however_it_is_cut(messages: list[tuple[dict[str, str], bytes]], size: int) -> None:
    data = b"".join(encode_message(*message) for message in messages)
    decoder = EventStreamDecoder()
    found = [message for at in range(0, len(data), size) for message in decoder.feed(data[at : at + size])]
    assert [(message.headers, message.payload) for message in found] == messages
    assert decoder.is_between
    judge: Any = EventStreamBuffer()
    judge.add_data(data)
    assert [(event.headers, event.payload) for event in judge] == messages


def test_every_type_of_header_is_read_as_botocore_reads_it() -> None:
    raw = b"".join(
        bytes((1,)) + name + bytes((kind,)) + value
        for name, kind, value in (
            (b"a", 0, b""),
            (b"b", 1, b""),
            (b"c", 2, b"\xff"),
            (b"d", 3, b"\xff\xfe"),
            (b"e", 4, b"\x00\x00\x01\x00"),
            (b"f", 5, b"\x00" * 7 + b"\x09"),
            (b"g", 6, b"\x00\x02\x01\x02"),
            (b"h", 7, b"\x00\x03\xe2\x82\xac"),
            (b"i", 8, b"\x00" * 7 + b"\x0a"),
            (b"j", 9, bytes(range(16))),
        )
    )
    (found,) = EventStreamDecoder().feed(_framed(raw))
    judge: Any = EventStreamBuffer()
    judge.add_data(_framed(raw))
    (expected,) = list(judge)
    assert found.headers == expected.headers


@pytest.mark.parametrize("at", [0, 9, 14, len(NUMBER) - 6, len(NUMBER) - 1])
def test_a_damaged_byte_is_never_read_as_a_message(at: int) -> None:
    damaged = bytearray(NUMBER)
    damaged[at] ^= 0x40
    with pytest.raises(Malformed):
        EventStreamDecoder().feed(bytes(damaged) + b"\0" * 64)


@pytest.mark.parametrize("raw", [b"\x05ab", b"\x01a\x0b", b"\x01a\x07\x00\x09x", b"\x01\xff\x00", b"\x01a\x04\x00"])
def test_headers_that_cannot_be_read_are_told(raw: bytes) -> None:
    with pytest.raises(Malformed, match="headers"):
        EventStreamDecoder().feed(_framed(raw))


def test_a_message_past_the_limit_or_too_short_is_refused_before_it_is_held() -> None:
    with pytest.raises(Malformed, match="larger than 64"):
        EventStreamDecoder(limit_bytes=64).feed(encode_message({}, b"x" * 64)[:12])
    lengths = struct.pack(">II", 16, 8)
    with pytest.raises(Malformed, match="shorter"):
        EventStreamDecoder().feed(lengths + struct.pack(">I", crc32(lengths)))
