"""One line of a batch file: read, or refused with the field that is wrong. Never another error."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.dialects.batch_lines import CHAT_URL, WrongLine, read_body, read_line

WHOLE: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": CHAT_URL, "body": {"model": "m"}}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def line(**fields: Any) -> bytes:
    return json.dumps({**WHOLE, **fields}).encode()


def test_a_whole_line_is_read_and_its_body_left_as_it_is() -> None:
    read = read_line(b'{"custom_id":"\\u00e9","method":"POST","url":"/v1/x","body":{"a": 1.0 }}', "/v1/x", bare=False)
    assert (read.custom_id, read.body) == ("é", b'{"a": 1.0 }')


def test_a_bare_body_needs_no_id() -> None:
    read = read_line(b'{"messages":[],"custom_id":"x"}', CHAT_URL, bare=True)
    assert (read.custom_id, json.loads(read.body)) == ("x", {"messages": []})
    assert read_line(b'{"messages":[]}', CHAT_URL, bare=True).custom_id is None
    with pytest.raises(WrongLine, match="custom_id is missing"):
        read_line(b'{"body":{}}', CHAT_URL, bare=True)


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (b"", "invalid_json_line", None),
        (b"null", "invalid_json_line", None),
        (b'{"custom_id": "\xff"}', "missing_required_parameter", "method"),
        (line(custom_id=None), "missing_required_parameter", "custom_id"),
        (line(custom_id=""), "invalid_request", "custom_id"),
        (line(custom_id=5), "invalid_request", "custom_id"),
        (line(method="PUT"), "invalid_method", "method"),
        (line(url="/v1/other"), "mismatched_url", "url"),
        (line(body=None), "missing_required_parameter", "body"),
    ],
)
def test_a_wrong_line_names_its_field(raw: bytes, code: str, param: str | None) -> None:
    with pytest.raises(WrongLine) as refused:
        read_line(raw, CHAT_URL, bare=False)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize("body", [b"[]", b"5", b'{"a":', b'{"stream": true}', b"[" * 5000 + b"]" * 5000])
def test_a_body_that_no_batch_can_ask_is_refused(body: bytes) -> None:
    with pytest.raises(WrongLine):
        read_body(body)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*WHOLE, "messages"]), PLAIN).map(lambda it: json.dumps(it).encode())
)
def test_any_line_is_read_or_refused(raw: bytes) -> None:
    for bare in (False, True):
        with contextlib.suppress(WrongLine):
            read_body(read_line(raw, CHAT_URL, bare=bare).body)
