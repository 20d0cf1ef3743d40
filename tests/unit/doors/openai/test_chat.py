"""What the door reads of a chat body, what it refuses, and that nothing which a client can write is a fault of ours."""

import asyncio
import json
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError, SlotEmpty
from jackfield.dialects import openai_chat
from jackfield.doors.openai.chat import ChatCompletions
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.fields import MODEL_MAX_BYTES

PING = b'[{"role": "user", "content": "ping"}]'


class Bodied:
    """A client of which only the body and the headers are asked for."""

    headers: ClassVar[dict[bytes, bytes]] = {}

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def body(self) -> bytes:
        return self._body


class Taking:
    """A pipeline that keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def run(self, call: Call, _: Any) -> None:
        self.calls.append(call)


def read(body: bytes) -> Call:
    taking = Taking()
    door = ChatCompletions(taking, lambda: "req-1", lambda: 1000.0)  # type: ignore[arg-type]
    asyncio.run(door(Bodied(body)))  # type: ignore[arg-type]
    (call,) = taking.calls
    return call


def body(**fields: Any) -> bytes:
    raw = {name: value if isinstance(value, bytes) else json.dumps(value).encode() for name, value in fields.items()}
    return b"{" + b", ".join(b'"%b": %b' % (name.encode(), value) for name, value in raw.items()) + b"}"


def test_everything_that_is_not_ours_to_read_stays_as_it_was_sent() -> None:
    call = read(body(model="slot-0", messages=PING, n=3, logprobs=True, logit_bias=b'{"50256":-100}', metadata=b'{ "a":1 }'))
    assert (call.model_text, call.stream, call.show_usage) == ("slot-0", False, False)
    assert {name: bytes(raw) for name, raw in call.fields.items()} == {
        "model": b'"slot-0"',
        "messages": PING,
        "n": b"3",
        "logprobs": b"true",
        "logit_bias": b'{"50256":-100}',
        "metadata": b'{ "a":1 }',
    }


@pytest.mark.parametrize(
    ("options", "shown"),
    [(b'{"include_usage": true}', True), (b'{"include_usage": false}', False), (b"{}", False), (b"null", False)],
)
def test_usage_is_shown_to_those_who_asked(options: bytes, shown: bool) -> None:
    call = read(body(model="slot-0", messages=PING, stream=True, stream_options=options))
    assert (call.stream, call.show_usage) == (True, shown)


def test_null_is_no_stream() -> None:
    assert read(body(model="slot-0", messages=PING, stream=None)).stream is False


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"messages": PING}, "model", "missing"),
        ({"model": 7, "messages": PING}, "model", "string"),
        ({"model": b'"\xff"', "messages": PING}, "model", "string"),
        ({"model": "m" * MODEL_MAX_BYTES, "messages": PING}, "model", "longer than"),
        ({"model": "slot-0"}, "messages", "list"),
        ({"model": "slot-0", "messages": {}}, "messages", "list"),
        ({"model": "slot-0", "messages": PING, "stream": 1}, "stream", "true or false"),
        ({"model": "slot-0", "messages": PING, "stream": b'"\xff"'}, "stream", "true or false"),
        ({"model": "slot-0", "messages": PING, "stream_options": []}, "stream_options", "object"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        read(body(**fields))
    assert caught.value.param == param
    assert len(caught.value.message) < 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "response_format",
        "stop",
        "n",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "logprobs",
        "top_logprobs",
        "user",
        "x",
    ]
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=8).map(lambda fields: json.dumps(fields).encode())
LIKELY = st.fixed_dictionaries(
    {
        "model": st.just("slot-0"),
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "assistant", "tool", "system"]) | VALUES, "content": VALUES},
                optional={"tool_calls": VALUES, "tool_call_id": VALUES, "name": VALUES},
            ),
            max_size=3,
        ),
    },
    optional={"tools": VALUES, "response_format": VALUES, "stop": VALUES, "tool_choice": VALUES, "stream": VALUES},
).map(lambda fields: json.dumps(fields).encode())


@given(BODIES | LIKELY | st.binary(max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_body_is_a_fault_of_ours(data: bytes) -> None:
    """Neither the door's reading nor the whole decoding ends in anything but a call or a refusal with a 4xx status."""
    refusal: JackfieldError | None = None
    try:
        call = read(data)
        call.dialect.decode_request(call.fields, None)
    except JackfieldError as error:
        refusal = error
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert msgspec.json.decode(openai_chat.encode_error(refusal))["error"]["message"]


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.fixture
def defaults() -> dict[str, msgspec.Raw]:
    return {"max_tokens": raw(500), "temperature": raw(0.1)}


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ({}, {"max_tokens": 500, "temperature": 0.1}),
        ({"temperature": 0}, {"max_tokens": 500, "temperature": 0}),
        ({"temperature": None}, {"max_tokens": 500, "temperature": 0.1}),
        ({"max_tokens": 7}, {"max_tokens": 7, "temperature": 0.1}),
        ({"max_completion_tokens": 7}, {"max_completion_tokens": 7, "temperature": 0.1}),
        ({"max_completion_tokens": None}, {"max_completion_tokens": None, "max_tokens": 500, "temperature": 0.1}),
    ],
)
def test_a_slots_settings_go_where_the_client_said_nothing(
    said: dict[str, Any], after: dict[str, Any], defaults: dict[str, msgspec.Raw]
) -> None:
    fields = {name: raw(value) for name, value in said.items()}
    OpenAIChat().fill_in(fields, defaults)
    assert {name: msgspec.json.decode(value) for name, value in fields.items()} == after


def test_an_error_in_a_200_is_an_error() -> None:
    with pytest.raises(JackfieldError, match="out of memory"):
        OpenAIChat().reply_usage(b'{"error": {"message": "out of memory", "type": "server_error"}}')


def test_an_error_inside_a_stream_is_one_event() -> None:
    said = OpenAIChat().stream_error(SlotEmpty("slot 3 is empty"))
    assert said.startswith(b"data: {")
    assert said.endswith(b"}\n\n")
    assert msgspec.json.decode(said[6:])["error"]["code"] == "slot_empty"
