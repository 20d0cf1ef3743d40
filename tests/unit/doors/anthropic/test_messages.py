"""What the door reads of a Messages body, what it refuses, and that nothing which a client can write is a fault of ours."""

import asyncio
import json
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError, SlotEmpty
from jackfield.dialects import anthropic_messages
from jackfield.doors.anthropic.dialect import AnthropicMessages
from jackfield.doors.anthropic.messages import Messages
from jackfield.gateway.call import Call

PING: Any = [{"role": "user", "content": "ping"}]


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
    door = Messages(taking, lambda: "req-1", lambda: 1000.0)  # type: ignore[arg-type]
    asyncio.run(door(Bodied(body)))  # type: ignore[arg-type]
    (call,) = taking.calls
    return call


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_everything_that_is_not_ours_to_read_stays_as_it_was_sent() -> None:
    sent = b'{"model":"slot-0","messages":[],"stream":true,"thinking":{ "type":"adaptive" },"new_field":1.50}'
    call = read(sent)
    assert (call.model_text, call.stream) == ("slot-0", True)
    assert bytes(call.fields["thinking"]) == b'{ "type":"adaptive" }'
    assert bytes(call.fields["new_field"]) == b"1.50"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": PING}, "model"),
        ({"model": 7, "messages": PING}, "model"),
        ({"model": "slot-0"}, "messages"),
        ({"model": "slot-0", "messages": {}}, "messages"),
        ({"model": "slot-0", "messages": PING, "stream": 1}, "stream"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(body(**fields))
    assert caught.value.param == param


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking", "document", "x"])},
    optional=dict.fromkeys(
        ("text", "source", "id", "name", "input", "tool_use_id", "content", "thinking", "signature", "cache_control"), VALUES
    ),
)
TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]) | VALUES, "content": VALUES | st.lists(BLOCKS, max_size=3)}
)
FIELDS = (
    "model",
    "messages",
    "stream",
    "system",
    "tools",
    "tool_choice",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "thinking",
    "output_config",
    "metadata",
    "jackfield",
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8)
LIKELY = st.fixed_dictionaries(
    {"model": st.just("slot-0"), "messages": st.lists(TURNS, max_size=3), "max_tokens": st.just(9)},
    optional={name: VALUES | st.lists(BLOCKS, max_size=2) for name in FIELDS[3:] if name != "max_tokens"},
)


@given((BODIES | LIKELY).map(lambda fields: json.dumps(fields).encode()) | st.binary(max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_body_is_a_fault_of_ours(data: bytes) -> None:
    """Neither the door's reading nor the whole decoding ends in anything but a call or a refusal with a 4xx status."""
    refusal: JackfieldError | None = None
    try:
        call = read(data)
        call.dialect.needs(call.fields)
        call.dialect.decode_request(call.fields, None)
    except JackfieldError as error:
        refusal = error
    if refusal is not None:
        assert 400 <= refusal.status < 500
        told = msgspec.json.decode(anthropic_messages.encode_error(refusal))
        assert (told["type"], bool(told["error"]["message"])) == ("error", True)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ({}, {"max_tokens": 500, "stop_sequences": ["X"], "jackfield": {"seed": 7}}),
        ({"max_tokens": 3}, {"max_tokens": 3, "stop_sequences": ["X"], "jackfield": {"seed": 7}}),
        ({"stop_sequences": None}, {"max_tokens": 500, "stop_sequences": ["X"], "jackfield": {"seed": 7}}),
        ({"stop_sequences": []}, {"max_tokens": 500, "stop_sequences": [], "jackfield": {"seed": 7}}),
    ],
)
def test_a_slots_settings_go_where_the_client_said_nothing(said: dict[str, Any], after: dict[str, Any]) -> None:
    fields = {name: raw(value) for name, value in said.items()}
    AnthropicMessages().fill_in(fields, {"max_tokens": raw(500), "stop": raw(["X"]), "seed": raw(7)})
    assert {name: msgspec.json.decode(value) for name, value in fields.items()} == after


def test_settings_without_a_field_here_are_decoded_and_not_sent_on() -> None:
    fields = {"messages": raw(PING), "model": raw("m"), "max_tokens": raw(9)}
    dialect = AnthropicMessages()
    dialect.fill_in(fields, {"seed": raw(7), "reasoning_effort": raw("low")})
    request = dialect.decode_request(fields, "other")
    assert (request.generation.seed, request.generation.reasoning_effort, request.model) == (7, "low", "other")
    assert "jackfield" not in request.extra
    assert "jackfield" not in msgspec.json.decode(anthropic_messages.splice_request(fields, model="m", stream=False))


def test_what_a_body_needs_of_a_source_is_seen() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    fields = {
        "messages": raw([{"role": "user", "content": [image]}]),
        "tools": raw([]),
        "output_config": raw({"format": {"type": "json_schema"}}),
    }
    needs = AnthropicMessages().needs(fields)
    assert (needs.tools, needs.json_mode, needs.vision) == (True, True, True)
    plain = AnthropicMessages().needs({"messages": raw(PING), "output_config": raw({"effort": "low"})})
    assert (plain.tools, plain.json_mode, plain.vision) == (False, False, False)


def test_an_error_in_a_200_is_an_error() -> None:
    with pytest.raises(JackfieldError, match="busy"):
        AnthropicMessages().reply_usage(b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}')


def test_an_error_inside_a_stream_is_one_event() -> None:
    said = AnthropicMessages().stream_error(SlotEmpty("slot 3 is empty"))
    assert said.startswith(b"event: error\ndata: {")
    assert said.endswith(b"}\n\n")
    assert msgspec.json.decode(said.partition(b"data: ")[2])["error"]["code"] == "slot_empty"


def test_a_source_of_another_dialect_gets_an_id_of_this_one() -> None:
    dialect = AnthropicMessages()
    reply = dialect.decode_reply(
        b'{"id":"msg_own","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],'
        b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
    )
    assert msgspec.json.decode(dialect.encode_reply(reply, "req-1", 0))["id"] == "msg_own"
    foreign = msgspec.structs.replace(reply, id="chatcmpl-1")
    assert msgspec.json.decode(dialect.encode_reply(foreign, "req-1", 0))["id"] == "msg_req-1"
