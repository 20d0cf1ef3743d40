"""Bodies, slot numbers and query names: what is refused, and what the refusal says."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.doors.control.bodies import CloneBody, MutateBody, PlugBody, SwapBody
from jackfield.doors.control.reading import decode_body, refuse_unknown_query, slot_number


def test_reads_a_body_into_its_type() -> None:
    body = decode_body(b'{"provider": "ollama", "config": {"port": 1}}', PlugBody)
    assert body == PlugBody(provider="ollama", config={"port": 1})


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b'{"provder": "ollama"}', "provder", "did you mean 'provider'?"),
        (b"{}", "provider", "provider is missing: this call takes provider, config,"),
        (b'{"provider": 3}', "provider", "provider: expected `str`, got `int`"),
        (b'{"provider": ""}', "provider", "length"),
        (b'{"provider": "x", "config": [1]}', "config", "expected `object"),
        (b"[]", None, "the body: expected `object`, got `array`"),
        (b"", None, "not valid JSON: it ends too early"),
        (b'{"provider": }', None, "not valid JSON at byte 13"),
        (b"\xff\xfe", None, "not valid JSON at byte 0"),
        (b'{"provider": "\xff"}', None, "not valid Unicode"),
        (b'{"provider": "\\udfff"}', None, "not valid"),
        (b'{"provider": "x", "config": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}", None, "nested too deeply"),
    ],
)
def test_says_which_field_is_wrong(body: bytes, param: str | None, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_body(body, PlugBody)
    assert says in caught.value.message
    assert caught.value.param == param
    assert caught.value.status == 400


def test_a_number_is_not_read_out_of_text() -> None:
    with pytest.raises(BadRequest, match="a: expected `int`, got `str`"):
        decode_body(b'{"a": "0", "b": 1}', SwapBody)


def test_an_optional_body_names_its_fields_too() -> None:
    with pytest.raises(BadRequest, match="did you mean 'count'"):
        decode_body(b'{"cont": 2}', CloneBody | None)  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_body_or_a_bad_request(body: bytes) -> None:
    for wanted in (PlugBody, MutateBody, SwapBody):
        with contextlib.suppress(BadRequest):
            assert isinstance(decode_body(body, wanted), wanted)


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("007", 7), ("-1", -1), ("99999", 99999), ("9" * 4000, 999_999_999_999)]
)
def test_reads_a_whole_number_of_any_size(text: str, number: int) -> None:
    assert slot_number(text) == number


@pytest.mark.parametrize("text", ["", "one", "1.0", "1e3", "0x1", " 1", "1 ", "+1", "٣", "x" * 4000, "1\n"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="slot must be a whole number") as caught:
        slot_number(text)
    assert len(caught.value.message) < 120


def test_a_misspelt_query_name_is_refused() -> None:
    with pytest.raises(BadRequest, match="unknown query parameter 'limt' \\(did you mean 'limit'\\?\\): this call takes limit"):
        refuse_unknown_query(["limt"], ["limit"])
    with pytest.raises(BadRequest, match="this call takes none"):
        refuse_unknown_query(["x"], [])
    refuse_unknown_query(["limit"], ["limit", "refresh"])
