"""A null character in JSON is found and named; a mention of how it is written is not one."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.dialects.null_bytes import refuse_null_bytes

TEXTS = st.text(st.sampled_from('ab\0\\u0 "\n'), max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"messages": [{"content": "a\\u0000b"}]}', "messages[0].content"),
        (b'{"model": "\\u0000"}', "model"),
        (b'{"stop": ["x", "\\\\\\u0000"]}', "stop[1]"),
        (b'{"a": {"\\u0000": 1}}', "a"),
        (b'"\\u0000"', None),
    ],
)
def test_its_place_is_named(body: bytes, param: str | None) -> None:
    for given_as in (body, body.decode()):
        with pytest.raises(BadRequest, match="holds a null character") as caught:
            refuse_null_bytes(given_as)
        assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b'{"a": "\\\\u0000"}', b'{"a": "x"}', b"", b'{"a": "\\u0000', b'{"a": "\\u00001"', b"\xff\\u0000"]
)
def test_what_holds_none_or_is_no_json_is_let_through(body: bytes) -> None:
    refuse_null_bytes(body)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_it_is_found_wherever_it_is_and_nowhere_else(value: object) -> None:
    body = msgspec.json.encode(value)
    if "\0" in _all_text(value):
        with pytest.raises(BadRequest):
            refuse_null_bytes(body)
    else:
        refuse_null_bytes(body)


def _all_text(value: object) -> str:
    match value:
        case str():
            return value
        case list():
            return "".join(map(_all_text, value))
        case dict():
            return "".join(map(_all_text, (*value, *value.values())))
        case _:
            return ""
