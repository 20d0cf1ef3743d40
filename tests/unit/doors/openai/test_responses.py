"""What the Responses door makes of a body: what went before, what is kept, and what is wrong."""

import asyncio
import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, NotFound, NotSupported
from jackfield.core.events import ChatReply
from jackfield.dialects.openai_responses import parse_fields
from jackfield.doors.openai.responses import Responses
from jackfield.doors.openai.responses_dialect import OpenAIResponses, own_id
from jackfield.doors.openai.responses_kept import Kept
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.inside import InnerClient
from jackfield.gateway.kept_responses import KeptResponses

TEXT = {"type": "output_text", "text": "pong"}
MESSAGE = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [TEXT]}
SAID = {"id": "resp_1", "output": [MESSAGE]}
TOOL = {"type": "function", "name": "f", "parameters": {}}


class Pipeline:
    """Keeps the calls, and answers each with `SAID`."""

    def __init__(self, outcome: str = "ok") -> None:
        self.calls: list[Call] = []
        self._outcome = outcome

    async def run(self, call: Call, client: Client) -> None:
        self.calls.append(call)
        call.key_name = client.key_name
        call.outcome = self._outcome
        await client.reply(200, [], json.dumps(SAID).encode())


class Door:
    def __init__(self, max_bytes: int = 100_000, outcome: str = "ok") -> None:
        self.pipeline = Pipeline(outcome)
        self.kept = KeptResponses(max_bytes, 100, lambda: 0.0)
        self.responses = Responses(self.pipeline, self.kept, lambda: "req-1", lambda: 1000.0)  # type: ignore[arg-type]

    def ask(self, key_name: str = "", **fields: Any) -> Call:
        asyncio.run(self.responses(InnerClient(key_name, json.dumps({"model": "slot-0", **fields}).encode())))
        return self.pipeline.calls[-1]


def test_what_was_answered_goes_before_the_next_input_without_its_ids() -> None:
    door = Door()
    door.ask(input="ping")
    call = door.ask(input=[{"role": "user", "content": "again"}], previous_response_id="resp_1")
    assert "previous_response_id" not in call.fields
    assert json.loads(bytes(call.fields["input"])) == [
        {"type": "message", "role": "user", "content": "ping"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "pong"}]},
        {"role": "user", "content": "again"},
    ]


def test_where_nothing_went_before_the_input_stays_as_it_was_sent() -> None:
    nothing: tuple[dict[str, Any], ...] = ({}, {"previous_response_id": None})
    for previous in nothing:
        call = Door().ask(input=[{"role": "user", "content": "x", "at": 1.0}], **previous)
        assert bytes(call.fields["input"]) == b'[{"role": "user", "content": "x", "at": 1.0}]'


@pytest.mark.parametrize(
    ("fields", "outcome", "max_bytes", "is_kept"),
    [
        ({}, "ok", 100_000, True),
        ({"store": None}, "ok", 100_000, True),
        ({"store": True}, "ok", 100_000, True),
        ({"store": False}, "ok", 100_000, False),
        ({}, "upstream_error", 100_000, False),
        ({}, "ok", 0, False),
        ({}, "ok", 100, False),
    ],
)
def test_good_answers_are_kept_unless_the_request_or_the_bound_says_no(
    fields: dict[str, Any], outcome: str, max_bytes: int, is_kept: bool
) -> None:
    door = Door(max_bytes, outcome)
    door.ask("a", input="ping", **fields)
    assert (door.kept.get("a", "resp_1") is not None) is is_kept
    assert door.kept.get("b", "resp_1") is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "input"),
    ({"input": None}, "input"),
    ({"input": {}}, "input"),
    ({"input": "x", "previous_response_id": "resp_none"}, "previous_response_id"),
    ({"input": "x", "previous_response_id": ["resp_1"]}, "previous_response_id"),
    ({"input": "x", "previous_response_id": "resp_1", "conversation": "c"}, "conversation"),
    ({"input": "x", "background": True}, "background"),
    ({"input": "x", "stream": 1}, "stream"),
    ({"input": "x", "model": 5}, "model"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_is_wrong_is_named_before_anybody_is_asked(fields: dict[str, Any], param: str) -> None:
    door = Door()
    with pytest.raises((BadRequest, NotSupported)) as refused:
        door.ask(**fields)
    assert refused.value.param == param
    assert door.pipeline.calls == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "model",
    "input",
    "store",
    "stream",
    "previous_response_id",
    "conversation",
    "tools",
    "text",
    "reasoning",
    "metadata",
    "n",
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["ping", "resp_1"]), max_size=6))
def test_any_body_is_asked_or_refused(fields: dict[str, Any]) -> None:
    door = Door()
    door.ask(input="first")
    with contextlib.suppress(BadRequest, NotSupported):
        door.ask(**fields)


def dialect_reads(**fields: Any) -> Any:
    return OpenAIResponses().decode_request(parse_fields(json.dumps({"model": "m", **fields}).encode()), "own")


def test_a_source_of_another_dialect_is_told_its_own_model_and_no_state() -> None:
    request = dialect_reads(input="ping", store=True, previous_response_id=None, conversation=None)
    assert (request.model, len(request.messages)) == ("own", 1)
    for fields, param in (
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice"),
    ):
        with pytest.raises(NotSupported) as refused:
            dialect_reads(input="ping", **fields)
        assert refused.value.param == param


def test_needs_and_defaults_are_said_in_this_apis_words() -> None:
    dialect = OpenAIResponses()
    image = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]
    fields = parse_fields(json.dumps({"input": image, "tools": [TOOL], "text": {"format": {"type": "json_object"}}}).encode())
    needs = dialect.needs(fields)
    assert (needs.vision, needs.tools, needs.json_mode) == (True, True, True)
    asked = {"temperature": msgspec.Raw(b"0.5"), "reasoning": msgspec.Raw(b"null")}
    slot = {"temperature": b"1", "max_tokens": b"9", "reasoning_effort": b'"low"', "seed": b"4", "stop": b'"x"'}
    dialect.fill_in(asked, {name: msgspec.Raw(value) for name, value in slot.items()})
    said = {name: bytes(raw) for name, raw in asked.items()}
    assert said == {"temperature": b"0.5", "max_output_tokens": b"9", "reasoning": b'{"effort":"low"}'}


def test_an_id_of_this_dialect_is_left_and_any_other_made() -> None:
    assert (own_id("resp_9", "req-1"), own_id("chatcmpl-9", "req-1")) == ("resp_9", "resp_req-1")
    reply: ChatReply = OpenAIResponses().decode_reply(json.dumps({**SAID, "model": "m", "status": "completed"}).encode())
    assert json.loads(OpenAIResponses({"metadata": {"a": "b"}}).encode_reply(reply, "req-1", 7))["metadata"] == {"a": "b"}


async def test_one_that_was_kept_is_read_listed_and_deleted_by_its_own_key() -> None:
    kept = KeptResponses(100_000, 100, lambda: 0.0)
    kept.keep("a", "resp_1", json.dumps(SAID).encode(), (msgspec.Raw(b'{"role":"user","content":"ping"}'),))
    door = Kept(kept)

    async def call(method: str, rest: str, key_name: str = "a", query: bytes = b"") -> Any:
        client = InnerClient(key_name)
        client.query = query
        methods = door.find(rest)
        assert methods is not None
        await methods[method](client)
        return json.loads(b"".join(client.pieces))

    assert await call("GET", "resp_1") == SAID
    (item,) = (await call("GET", "resp_1/input_items"))["data"]
    assert (item["type"], item["content"]) == ("message", [{"type": "input_text", "text": "ping"}])
    for method, rest in (("GET", "resp_1"), ("DELETE", "resp_1"), ("GET", "resp_1/input_items"), ("POST", "resp_1/cancel")):
        with pytest.raises(NotFound):
            await call(method, rest, "b")
    with pytest.raises(NotSupported):
        await call("GET", "resp_1", query=b"stream=true")
    with pytest.raises(BadRequest, match="limit"):
        await call("GET", "resp_1/input_items", query=b"limit=0")
    with pytest.raises(BadRequest, match="background"):
        await call("POST", "resp_1/cancel")
    assert (await call("DELETE", "resp_1"))["deleted"] is True
    assert len(kept) == 0
    assert door.find("resp_1/other") is None
