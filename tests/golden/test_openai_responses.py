"""Documented bytes of the Responses API against the dialect, with OpenAI's own types and client as judges."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import omit
from openai._streaming import SSEDecoder
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from golden.request_judge import responses_judge
from jackfield.core.errors import (
    ContentRefused,
    ContextOverflow,
    JackfieldError,
    NotSupported,
    RateLimited,
    Unavailable,
    Upstream,
)
from jackfield.core.events import ChatReply, Event, fold_events, unfold
from jackfield.core.messages import ReasoningPart
from jackfield.dialects.openai_responses import (
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_error,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    parse_fields,
    reply_usage,
)

FILES = Path(__file__).parent / "openai_responses"
FAULTS: dict[str, type[JackfieldError]] = {
    "failed.sse": Unavailable,
    "failed_prompt.sse": ContentRefused,
    "error_flat.sse": RateLimited,
    "error_nested.sse": ContextOverflow,
}
STREAMS = sorted(path for path in FILES.rglob("*.sse") if path.name not in FAULTS)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden")
    return decoder.feed(body) + decoder.finish()


def encoded(events: list[Event]) -> bytes:
    encoder = StreamEncoder(id="resp_1", created=1_750_000_000, model="m")
    return b"".join(map(encoder.encode, events)) + encoder.end()


def accumulated(stream: bytes) -> Response:
    """The stream as OpenAI's own client puts it together. Every event is validated first, its number checked."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    last: Any = None
    for number, event in enumerate(SSEDecoder().iter_bytes(iter([stream]))):
        last = EVENT.validate_python(event.json())
        assert last.sequence_number == number
        assert last.type == event.event
        state.handle_event(last)
    assert last.type in ("response.completed", "response.incomplete")
    return Response.model_validate(last.response.model_dump())


def assert_same_answer(judged: Response, reply: ChatReply) -> None:
    calls = [(item.call_id, item.name, item.arguments) for item in judged.output if item.type == "function_call"]
    proofs = [item.encrypted_content for item in judged.output if item.type == "reasoning"]
    assert judged.output_text == reply.text
    assert calls == [(call.id, call.name, call.arguments) for call in reply.message.tool_calls]
    assert proofs == [part.signature for part in reply.message.parts if isinstance(part, ReasoningPart)]
    assert (judged.status == "incomplete") == (reply.finish_reason == "length")
    assert reply.usage is not None
    assert judged.usage is not None
    assert judged.usage.total_tokens == reply.usage.total_tokens
    assert judged.usage.input_tokens_details.cached_tokens == reply.usage.cached_tokens


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_files_are_what_the_official_types_describe(path: Path) -> None:
    Response.model_validate_json(path.with_suffix(".json").read_bytes())
    for event in SSEDecoder().iter_bytes(iter([path.read_bytes()])):
        if event.data != "[DONE]":
            EVENT.validate_python(event.json())


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_decodes_to_the_recorded_events(path: Path) -> None:
    expected = msgspec.json.decode(path.with_suffix(".events.json").read_bytes(), type=list[Event])
    assert decode(path.read_bytes()) == expected


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_cut_at_any_byte_gives_the_same_events(path: Path) -> None:
    body = path.read_bytes()
    whole = decode(body)
    for cut in range(0, len(body), max(1, len(body) // 200)):
        decoder = StreamDecoder("golden")
        assert decoder.feed(body[:cut]) + decoder.feed(body[cut:]) + decoder.finish() == whole


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_relay_changes_no_byte_and_sees_the_end(path: Path) -> None:
    body = path.read_bytes()
    relay = StreamRelay(provider="golden")
    assert b"".join(relay.feed(body[at : at + 7]) for at in range(0, len(body), 7)) + relay.finish() == body
    assert (relay.finished, relay.done, relay.error, relay.has_content) == (True, True, None, True)
    assert relay.usage == fold_events(decode(body)).usage


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    body = path.with_suffix(".json").read_bytes()
    plain = decode_reply(body)
    assert fold_events(decode(path.read_bytes())) == plain
    counted, told = reply_usage(body), plain.usage
    assert counted is not None
    assert told is not None
    assert counted == msgspec.structs.replace(told, extra={})


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_official_client_reads_our_streams_as_we_do(path: Path) -> None:
    events = decode(path.read_bytes())
    assert_same_answer(accumulated(encoded(events)), fold_events(events))


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_official_types_accept_our_replies(path: Path) -> None:
    reply = decode_reply(path.with_suffix(".json").read_bytes())
    body = encode_reply(reply, id="resp_1", created=1_750_000_000)
    assert_same_answer(Response.model_validate_json(body), reply)
    assert_same_answer(accumulated(encoded(unfold(reply))), reply)


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_an_answer_survives_encoding_and_decoding(path: Path) -> None:
    reply = decode_reply(path.with_suffix(".json").read_bytes())
    assert decode_reply(encode_reply(reply, id=reply.id, created=reply.created)) == reply
    again = fold_events(decode(encoded(unfold(reply))))
    assert again.message.parts == reply.message.parts
    kept, sent = reply.message.extra.get("output_items", []), again.message.extra.get("output_items", [])
    assert [item for _, item in kept] == [item for _, item in sent]


def test_the_full_request_passes_both_ways_and_the_official_types_accept_it() -> None:
    body = (FILES / "openai/request_full.json").read_bytes()
    responses_judge().validate_json(body)
    request = decode_request(parse_fields(body))
    sent, warnings = encode_request(request, model="gpt-5")
    assert warnings == []
    responses_judge().validate_json(sent)
    original, back = msgspec.json.decode(body), msgspec.json.decode(sent)
    original["include"].sort()
    back["include"].sort()
    assert back == original
    assert decode_request(parse_fields(sent)) == msgspec.structs.replace(
        request, extra={**request.extra, "include": back["include"][1:]}
    )


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [("error_400_parameter.json", 400, NotSupported), ("error_404_previous.json", 404, Upstream)],
)
def test_an_error_body_maps_to_its_class(name: str, status: int, expected: type[JackfieldError]) -> None:
    assert type(decode_error(status, (FILES / "openai" / name).read_bytes(), provider="golden")) is expected


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_an_error_inside_a_stream_is_raised_after_the_events_before_it(name: str) -> None:
    body = (FILES / "openai" / name).read_bytes()
    decoder = StreamDecoder("golden")
    assert [type(event).__name__ for event in decoder.feed(body)] == ["Started", "PartStarted", "TextDelta"]
    with pytest.raises(FAULTS[name]):
        decoder.finish()
    relay = StreamRelay(provider="golden")
    assert relay.feed(body) + relay.finish() == body
    assert type(relay.error) is FAULTS[name]
    assert not relay.finished
