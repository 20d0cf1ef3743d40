"""AWS's event-stream framing: bytes to messages and back, cut anywhere.

Knows the prelude, the headers and the two checksums (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html,
https://smithy.io/2.0/aws/amazon-eventstream.html) and nothing of what messages mean.
"""

import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import msgspec

from jackfield.core.errors import Malformed

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_CRC_BYTES = 4
_LEAST_BYTES = _PRELUDE.size + _CRC_BYTES
_TEXT = 7
_NUMBERS = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}
_UUID_BYTES = 16


class Message(msgspec.Struct, frozen=True):
    """One message. Header names begin with a colon where AWS defines them (":event-type")."""

    headers: dict[str, Any]
    payload: bytes

    def text(self, name: str) -> str:
        """A header's text, "" where there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class EventStreamDecoder:
    """Feed bytes as they arrive, get whole messages. Raises Malformed for a wrong checksum or a length past the limit."""

    def __init__(self, *, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._rest = b""

    @property
    def is_between(self) -> bool:
        """Whether the bytes so far end with a whole message."""
        return not self._rest

    def feed(self, chunk: bytes) -> list[Message]:
        data = self._rest + chunk if self._rest else chunk
        messages: list[Message] = []
        start = 0
        while len(data) - start >= _PRELUDE.size:
            size_bytes, headers_bytes = self._lengths(data, start)
            if len(data) - start < size_bytes:
                break
            messages.append(_message(data[start : start + size_bytes], headers_bytes))
            start += size_bytes
        self._rest = data[start:]
        return messages

    def _lengths(self, data: bytes, start: int) -> tuple[int, int]:
        size_bytes, headers_bytes, checksum = _PRELUDE.unpack_from(data, start)
        if checksum != crc32(data[start : start + 8]):
            raise Malformed("the event stream is damaged: the checksum of a message's head is wrong")
        if size_bytes > self._limit_bytes:
            raise Malformed(f"one message of the event stream is larger than {self._limit_bytes} bytes")
        if size_bytes < _LEAST_BYTES + headers_bytes:
            raise Malformed("the event stream is damaged: a message is shorter than its own head")
        return size_bytes, headers_bytes


def _message(data: bytes, headers_bytes: int) -> Message:
    (checksum,) = struct.unpack_from(">I", data, len(data) - _CRC_BYTES)
    if checksum != crc32(data[:-_CRC_BYTES]):
        raise Malformed("the event stream is damaged: the checksum of a message is wrong")
    begin = _PRELUDE.size
    try:
        headers = _headers(data[begin : begin + headers_bytes])
    except (struct.error, IndexError, UnicodeDecodeError, KeyError):
        raise Malformed("the event stream is damaged: a message's headers cannot be read") from None
    return Message(headers, data[begin + headers_bytes : -_CRC_BYTES])


def _headers(data: bytes) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end].decode(), data[name_end]
        headers[name], at = _value(data, name_end + 1, kind)
    return headers


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (0, 1):
        return kind == 0, at
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        return number.unpack_from(data, at)[0], at + number.size
    if kind == 9:
        return data[at : at + _UUID_BYTES], at + _UUID_BYTES
    if kind not in (6, _TEXT):
        raise KeyError(kind)
    (size,) = struct.unpack_from(">H", data, at)
    found = data[at + 2 : at + 2 + size]
    if len(found) < size:
        raise IndexError(at)
    return found.decode() if kind == _TEXT else found, at + 2 + size


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message's bytes; all headers are texts, as in every event of AWS's."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", _LEAST_BYTES + len(packed) + len(payload), len(packed))
    head = lengths + struct.pack(">I", crc32(lengths))
    body = head + packed + payload
    return body + struct.pack(">I", crc32(body))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return bytes((len(key),)) + key + bytes((_TEXT,)) + struct.pack(">H", len(text)) + text
