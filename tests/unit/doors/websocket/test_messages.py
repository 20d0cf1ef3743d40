"""Messages of the WebSocket door: whatever comes, it is a message or a refusal that says why and about what."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import RateLimited
from jackfield.doors.websocket.messages import (
    KINDS,
    Cancel,
    Inference,
    NotAMessage,
    Ping,
    StatusAsked,
    Subscribe,
    failure,
    inference_error,
    read,
    write,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["request_id", "model", "task", "inputs", "parameters", "stream", "topics", "details", "id"])


def test_each_kind_is_read() -> None:
    assert read('{"type": "ping"}') == Ping()
    assert read('{"type": "cancel", "request_id": 7}') == Cancel(7)
    assert read('{"type": "status"}') == StatusAsked("full")
    assert read('{"type": "subscribe", "topics": ["queue"]}') == Subscribe(["queue"])
    asked = read('{"type": "inference", "request_id": "a", "model": "slot-0", "inputs": [1], "stream": true, "more": 1}')
    assert asked == Inference("a", "slot-0", inputs=[1], stream=True)


@given(st.dictionaries(FIELDS, PLAIN), st.sampled_from(KINDS) | PLAIN)
@settings(max_examples=200, deadline=None)
def test_any_object_is_a_message_or_refused_with_its_request_id(fields: dict[str, Any], kind: Any) -> None:
    refusal = refusal_of(json.dumps({**fields, "type": kind}))
    if refusal is not None:
        given_id = fields.get("request_id")
        is_id = type(given_id) is int or (isinstance(given_id, str) and 0 < len(given_id) <= 256)
        assert refusal.message
        assert refusal.about == (given_id if kind in KINDS and is_id else None)


def refusal_of(data: bytes | str) -> NotAMessage | None:
    try:
        read(data)
    except NotAMessage as error:
        return error
    return None


@given(st.binary(max_size=60) | st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_message_or_refused(data: bytes | str) -> None:
    refusal = refusal_of(data)
    assert refusal is None or refusal.message


@pytest.mark.parametrize(
    "text", ['{"type": 1} and more', '{"type": "ping", "id": [], "x": "\\ud800"}', '{"type": "ping", "id": []']
)
def test_what_is_no_json_behind_a_wrong_field_is_told_as_such(text: str) -> None:
    refusal = refusal_of(text)
    assert refusal is not None
    assert refusal.code == "invalid_json"


@pytest.mark.parametrize(
    ("text", "param", "about"),
    [
        ('{"type": "inference", "request_id": "a", "stream": "yes"}', "stream", "a"),
        ('{"type": "inference", "request_id": "", "model": "m"}', "request_id", None),
        ('{"type": "subscribe", "topics": [1]}', "topics[0]", None),
        ('{"type": "pong"}', "type", None),
    ],
)
def test_a_refusal_names_the_field_and_the_request(text: str, param: str, about: str | None) -> None:
    with pytest.raises(NotAMessage) as refused:
        read(text)
    assert refused.value.param == param
    assert refused.value.about == about


def test_what_was_not_given_is_not_written() -> None:
    assert json.loads(write(failure(NotAMessage("no"), "r"))) == {
        "type": "error",
        "message": "no",
        "code": "invalid_request",
        "request_id": "r",
    }
    told = json.loads(write(inference_error(1, RateLimited("later", provider="p", retry_after_s=2.5))))
    assert told == {
        "type": "inference_error",
        "request_id": 1,
        "error": "p: later",
        "code": "rate_limit_exceeded",
        "status": 429,
        "retry_after_s": 2.5,
    }
