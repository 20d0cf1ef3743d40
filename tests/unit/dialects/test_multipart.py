"""Forms as Python's own mail parser reads them."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.requests import Upload
from jackfield.dialects.multipart import encode_form
from jackfield.testing.fake_openai import read_form
from jackfield.testing.fake_server import Recorded


def read(body: bytes, kind: str) -> dict[str, list[tuple[str | None, bytes]]]:
    return read_form(Recorded("POST", "/", {"content-type": kind}, body))


def test_fields_lists_and_files_come_out_as_they_went_in() -> None:
    picture = Upload("a.png", b"\x00\r\n--x\xff")
    fields = (("text", "héllo"), ("n", 3), ("flag", True), ("left", None), ("image", [picture, picture]), ("more", {"a": 1}))
    form = read(*encode_form(fields))
    assert form == {
        "text": [(None, "héllo".encode())],
        "n": [(None, b"3")],
        "flag": [(None, b"true")],
        "image[]": [("a.png", picture.content)] * 2,
        "more": [(None, b'{"a":1}')],
    }


def test_a_file_says_what_it_is() -> None:
    body, _ = encode_form((("a", Upload("x.wav", b"1")), ("b", Upload("x", b"2")), ("c", Upload("x", b"3", "text/csv"))))
    kinds = [line.decode().lower() for line in re.findall(rb"content-type: (\S+)", body)]
    assert kinds[0] in ("audio/x-wav", "audio/wav", "audio/vnd.wave")
    assert kinds[1:] == ["application/octet-stream", "text/csv"]


def test_a_name_cannot_end_its_line() -> None:
    body, _ = encode_form((("f", Upload('x".png\r\nevil: 1', b"1", "a/b\r\nevil: 2")),))
    assert not re.search(rb"^evil", body, re.MULTILINE)
    assert b'filename="x%22.png%0D%0Aevil: 1"' in body


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=50))
def test_any_content_survives(content: bytes, text: str) -> None:
    body, kind = encode_form((("file", Upload("f.bin", content)), ("text", text)))
    boundary = kind.partition("boundary=")[2].encode()
    parts = body.split(b"--" + boundary)
    assert len(parts) == 4
    assert parts[1].partition(b"\r\n\r\n")[2] == content + b"\r\n"
    assert parts[2].partition(b"\r\n\r\n")[2] == text.encode() + b"\r\n"
