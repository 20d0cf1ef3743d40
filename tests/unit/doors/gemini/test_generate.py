"""What the door reads of a Gemini body, what it refuses, and that nothing which a client can write is a fault of ours."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError, SlotEmpty
from jackfield.core.events import Event, Finished, PartStarted, Started, TextDelta
from jackfield.dialects import gemini, gemini_embeddings
from jackfield.doors.gemini.dialect import GeminiArray, GeminiCount, GeminiEvents
from jackfield.doors.gemini.generate import Generate
from jackfield.gateway.call import Call

PING: Any = [{"role": "user", "parts": [{"text": "ping"}]}]


class Bodied:
    """A client of which only the body, the query and the headers are asked for."""

    def __init__(self, body: bytes, query: bytes = b"") -> None:
        self._body = body
        self.query = query
        self.headers: dict[bytes, bytes] = {}

    async def body(self) -> bytes:
        return self._body


class Taking:
    """A pipeline that keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def run(self, call: Call, _: Any) -> None:
        self.calls.append(call)


def read(body: bytes, *, streams: bool = False, query: bytes = b"") -> Call:
    taking = Taking()
    door = Generate(taking, lambda: "req-1", lambda: 1000.0)  # type: ignore[arg-type]
    asyncio.run((door.stream if streams else door.whole)(Bodied(body, query), "slot-0"))  # type: ignore[arg-type]
    (call,) = taking.calls
    return call


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def test_the_address_says_the_model_and_the_rest_stays_as_it_was_sent() -> None:
    call = read(b'{"contents":[],"model":"models/other","newField":{ "a":1.50 }}')
    assert (call.model_text, call.stream) == ("slot-0", False)
    assert "model" not in call.fields
    assert bytes(call.fields["newField"]) == b'{ "a":1.50 }'
    assert json.loads(gemini.splice_request(call.fields)) == {"contents": [], "newField": {"a": 1.5}}


@pytest.mark.parametrize(
    ("query", "kind"),
    [(b"alt=sse", GeminiEvents), (b"key=k&alt=sse", GeminiEvents), (b"", GeminiArray), (b"alt=json", GeminiArray)],
)
def test_the_query_says_the_form_of_a_stream(query: bytes, kind: type) -> None:
    call = read(body(contents=PING), streams=True, query=query)
    assert call.stream
    assert type(call.dialect) is kind
    assert call.dialect.decode_request(call.fields, "m").stream


@pytest.mark.parametrize("contents", [None, {}, "ping", 5])
def test_contents_that_are_no_list_are_refused(contents: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        read(body(contents=contents) if contents is not None else b"{}")
    assert caught.value.param == "contents"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.dictionaries(
    st.sampled_from(
        ["text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode"]
    ),
    VALUES,
    max_size=3,
)
TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "model", "function"]) | VALUES, "parts": VALUES | st.lists(PARTS, max_size=3)}
)
FIELDS = (
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "model",
    "jackfield",
    "x",
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6)
LIKELY = st.fixed_dictionaries(
    {"contents": st.lists(TURNS, max_size=3)},
    optional={
        "generationConfig": st.dictionaries(
            st.sampled_from(["temperature", "topK", "stopSequences", "responseSchema", "thinkingConfig", "responseMimeType"]),
            VALUES,
            max_size=3,
        ),
        **dict.fromkeys(FIELDS[1:4], VALUES),
    },
)
SENT = (BODIES | LIKELY).map(lambda fields: json.dumps(fields).encode()) | st.binary(max_size=60)


def refused_well(error: JackfieldError) -> None:
    assert 400 <= error.status < 500
    told = msgspec.json.decode(gemini.encode_error(error))["error"]
    assert (told["code"], bool(told["message"])) == (error.status, True)


@given(SENT, st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_body_is_a_fault_of_ours(data: bytes, streams: bool) -> None:
    """Neither the door's reading nor the whole decoding ends in anything but a call or a refusal with a 4xx status."""
    try:
        call = read(data, streams=streams)
        call.dialect.needs(call.fields)
        call.dialect.decode_request(call.fields, None)
    except JackfieldError as error:
        refused_well(error)


@given(
    st.dictionaries(
        st.sampled_from(["content", "requests", "outputDimensionality", "taskType"]),
        VALUES | st.lists(st.fixed_dictionaries({"content": VALUES | TURNS}), max_size=2) | TURNS,
        max_size=3,
    ),
    st.booleans(),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_question_for_vectors_is_a_fault_of_ours(fields: dict[str, Any], batch: bool) -> None:
    try:
        gemini_embeddings.decode_embed_request({name: raw(value) for name, value in fields.items()}, batch=batch)
    except JackfieldError as error:
        refused_well(error)


def test_a_batch_is_of_one_kind() -> None:
    item = {"model": "models/x", "content": {"parts": [{"text": "a"}, {"text": "b"}]}, "taskType": "CLUSTERING"}
    request = gemini_embeddings.decode_embed_request({"requests": raw([item, {**item, "model": "models/y"}])}, batch=True)
    assert (request.inputs, request.extra) == (("ab", "ab"), {"taskType": "CLUSTERING"})
    with pytest.raises(JackfieldError) as caught:
        gemini_embeddings.decode_embed_request({"requests": raw([item, {**item, "taskType": "OTHER"}])}, batch=True)
    assert caught.value.param == "requests[1]"


def test_what_a_body_needs_of_a_source_is_seen() -> None:
    shown = {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}
    needs = GeminiEvents().needs(
        {"contents": raw([shown]), "tools": raw([]), "generationConfig": raw({"responseMimeType": "application/json"})}
    )
    assert (needs.tools, needs.json_mode, needs.vision) == (True, True, True)
    plain = GeminiEvents().needs({"contents": raw(PING), "generationConfig": raw({"topK": 1})})
    assert (plain.tools, plain.json_mode, plain.vision) == (False, False, False)


def test_a_count_reads_the_whole_request_inside() -> None:
    whole = {"model": "models/x", "contents": PING, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    request = GeminiCount().decode_request({"generateContentRequest": raw(whole)}, "m")
    assert [message.role for message in request.messages] == ["system", "user"]
    assert GeminiCount().decode_request({"contents": raw(PING)}, "m").messages[0].text == "ping"


def test_an_error_goes_on_where_the_array_stands() -> None:
    error = SlotEmpty("slot 3 is empty")
    nothing_yet = GeminiArray()
    assert json.loads(nothing_yet.stream_error(error))[0]["error"]["code"] == error.status
    begun = GeminiArray()
    given_up, kept = begun.encoder("r", 0, "m", True), begun.encoder("r", 0, "m", True)
    given_up.encode(Started("m"))
    events: list[Event] = [Started("m"), PartStarted(0, "text"), TextDelta(0, "hi")]
    sent = b"".join(map(kept.encode, events))
    told = json.loads(sent + begun.stream_error(error))
    assert [next(iter(item)) for item in told] == ["candidates", "error"]


def test_an_array_is_made_of_events_however_they_are_cut() -> None:
    encoder = GeminiEvents().encoder("r", 0, "m", True)
    events: list[Event] = [Started("m"), PartStarted(0, "text"), TextDelta(0, "hé"), TextDelta(0, "llo"), Finished("stop")]
    stream = b"".join(map(encoder.encode, events)) + encoder.end()
    for size in (1, 7, 1000):
        dialect = GeminiArray()
        relay = dialect.relay("here", True)
        sent = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + relay.finish()
        answers = json.loads(sent + dialect.stream_end())
        assert [answer["candidates"][0]["content"]["parts"][0]["text"] for answer in answers] == ["hé", "llo", ""]
        assert (relay.finished, relay.pieces) == (True, 2)


def test_a_restart_says_so_and_says_nothing_else() -> None:
    sent = GeminiEvents().encoder("r", 0, "m", True).restarted(5)
    told = json.loads(sent.removeprefix(b"data: "))
    assert told["jackfield"] == {"restarted": True, "discard_chars": 5}
    assert told["candidates"][0]["content"]["parts"] == [{"text": ""}]


def test_an_error_in_a_200_is_an_error() -> None:
    with pytest.raises(JackfieldError, match="busy"):
        GeminiEvents().reply_usage(b'{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}')
