"""Recorded and documented bytes of Chat Completions servers against the dialect, with OpenAI's own types as judges."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai._streaming import SSEDecoder
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from golden.request_judge import request_judge
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    BudgetSpent,
    ContentRefused,
    ContextOverflow,
    JackfieldError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    Unavailable,
    Upstream,
)
from jackfield.core.events import ChatReply, Event, fold_events, unfold
from jackfield.core.messages import TextPart, ToolCallPart
from jackfield.dialects.openai_chat import (
    ChatQuirks,
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_error,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    parse_fields,
)

FILES = Path(__file__).parent / "openai_chat"
FAULTY = {"openrouter_error.sse", "vllm_error.sse"}
STREAMS = sorted(path for path in FILES.rglob("*.sse") if path.name not in FAULTY)
REPLIES = sorted(
    path
    for path in FILES.rglob("*.json")
    if not path.name.startswith(("error_", "request_"))
    and not path.name.endswith(".events.json")
    and "_error_" not in path.name
)
TWINS = [path for path in STREAMS if path.with_suffix(".json").exists()]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden")
    return decoder.feed(body) + decoder.finish()


def encoded(events: list[Event], *, include_usage: bool = True) -> bytes:
    encoder = StreamEncoder(id="chatcmpl-1", created=1_750_000_000, model="m", include_usage=include_usage)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def accumulated(stream: bytes) -> ChatCompletion:
    """The stream as OpenAI's own client puts it together. Every chunk is validated first."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for event in SSEDecoder().iter_bytes(iter([stream])):
        if event.data != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate(event.json()))
    return ChatCompletion.model_validate(state.current_completion_snapshot.to_dict())


def assert_same_answer(judged: ChatCompletion, reply: ChatReply) -> None:
    choice = judged.choices[0]
    calls = [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    assert (choice.message.content or "") == reply.text
    assert calls == [(call.id, call.name, call.arguments) for call in reply.message.tool_calls]
    assert choice.finish_reason == ("stop" if reply.finish_reason == "other" else reply.finish_reason)
    if reply.usage is not None:
        assert judged.usage is not None
        assert judged.usage.total_tokens == reply.usage.total_tokens


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_decodes_to_the_recorded_events(path: Path) -> None:
    expected = msgspec.json.decode(path.with_suffix(".events.json").read_bytes(), type=list[Event])
    assert decode(path.read_bytes()) == expected


@pytest.mark.behaviour("DIAL-01")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_a_stream_cut_at_any_byte_gives_the_same_events(path: Path) -> None:
    body = path.read_bytes()
    whole = decode(body)
    for cut in range(0, len(body), max(1, len(body) // 200)):
        decoder = StreamDecoder("golden")
        assert decoder.feed(body[:cut]) + decoder.feed(body[cut:]) + decoder.finish() == whole


@pytest.mark.behaviour("DIAL-02")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_relay_changes_no_byte_of_a_stream_that_may_show_its_usage(path: Path) -> None:
    body = path.read_bytes()
    relay = StreamRelay(show_usage=True, provider="golden")
    assert b"".join(relay.feed(body[at : at + 7]) for at in range(0, len(body), 7)) + relay.finish() == body
    assert relay.finished
    assert relay.error is None


@pytest.mark.behaviour("DIAL-04")
@pytest.mark.parametrize("path", TWINS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    streamed = fold_events(decode(path.read_bytes()))
    plain = decode_reply(path.with_suffix(".json").read_bytes())
    if path.parent.name == "llama_server":
        # Two runs of a real engine: ids, times and what its cache held differ.
        assert _without_ids(streamed) == _without_ids(plain)
        assert (streamed.finish_reason, streamed.model) == (plain.finish_reason, plain.model)
        assert streamed.usage is None or plain.usage is None or streamed.usage.total_tokens == plain.usage.total_tokens
    else:
        assert streamed == plain


def _without_ids(reply: ChatReply) -> list[Any]:
    return [(part.name, part.arguments) if isinstance(part, ToolCallPart) else part for part in reply.message.parts]


@pytest.mark.behaviour("DIAL-05")
@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_official_client_reads_our_streams_as_we_do(path: Path) -> None:
    events = decode(path.read_bytes())
    assert_same_answer(accumulated(encoded(events)), fold_events(events))


@pytest.mark.behaviour("DIAL-05")
@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_the_official_types_accept_our_replies(path: Path) -> None:
    reply = decode_reply(path.read_bytes())
    body = encode_reply(reply, id="chatcmpl-1", created=1_750_000_000)
    assert_same_answer(ChatCompletion.model_validate_json(body), reply)
    assert_same_answer(accumulated(encoded(unfold(reply))), reply)


@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_a_reply_survives_encoding_and_decoding(path: Path) -> None:
    reply = decode_reply(path.read_bytes())
    again = decode_reply(encode_reply(reply, id=reply.id, created=reply.created))
    assert again == msgspec.structs.replace(reply, raw_finish_reason=None)


def test_a_reply_keeps_the_fields_that_no_core_type_names() -> None:
    reply = decode_reply((FILES / "others/vllm.json").read_bytes())
    assert reply.extra == {"choices": [{"stop_reason": 151645}]}
    assert reply.message.parts == (TextPart("pong"),)


@pytest.mark.behaviour("DIAL-05")
def test_the_full_request_passes_both_ways_and_the_official_types_accept_it() -> None:
    body = (FILES / "openai/request_full.json").read_bytes()
    request = decode_request(parse_fields(body))
    quirks = ChatQuirks(reasoning_field="reasoning_content", extra_fields=("x_*",), max_tokens_field="max_completion_tokens")
    sent, warnings = encode_request(request, quirks)
    assert warnings == []
    request_judge().validate_json(sent)
    original, back = msgspec.json.decode(body), msgspec.json.decode(sent)
    original.pop("n")
    assert {name: value for name, value in back.items() if name != "messages"} == {
        name: value for name, value in original.items() if name != "messages"
    }
    assert decode_request(parse_fields(sent)).messages == (
        msgspec.structs.replace(request.messages[0], role="system"),
        *request.messages[1:],
    )


ERRORS: list[tuple[str, int, type[JackfieldError]]] = [
    ("llama_server/error_400_context.json", 400, ContextOverflow),
    ("llama_server/error_400_json.json", 400, BadRequest),
    ("llama_server/error_400_messages.json", 400, BadRequest),
    ("llama_server/error_400_temperature.json", 400, BadRequest),
    ("llama_server/error_401.json", 401, AuthFailed),
    ("llama_server/error_404_path.json", 404, Upstream),
    ("llama_server/error_501_embed.json", 501, NotSupported),
    ("openai/error_400_content.json", 400, ContentRefused),
    ("openai/error_400_context.json", 400, ContextOverflow),
    ("openai/error_400_parameter.json", 400, NotSupported),
    ("openai/error_401.json", 401, AuthFailed),
    ("openai/error_404_model.json", 404, ModelNotFound),
    ("openai/error_429_quota.json", 429, BudgetSpent),
    ("openai/error_429_rate.json", 429, RateLimited),
    ("openai/error_500.json", 500, Unavailable),
    ("others/fastapi_error_401.json", 401, AuthFailed),
    ("others/fastapi_error_422.json", 422, BadRequest),
    ("others/nginx_error_502.html", 502, Unavailable),
    ("others/plain_error_503.txt", 503, Overloaded),
    ("others/vllm_error_401.json", 401, AuthFailed),
    ("others/vllm_error_404.json", 404, ModelNotFound),
    ("others/vllm_old_error_400.json", 400, ContextOverflow),
]


@pytest.mark.behaviour("DIAL-06")
@pytest.mark.parametrize(("name", "status", "expected"), ERRORS, ids=[name for name, _, _ in ERRORS])
def test_an_error_body_maps_to_its_class(name: str, status: int, expected: type[JackfieldError]) -> None:
    error = decode_error(status, (FILES / name).read_bytes(), provider="golden")
    assert type(error) is expected
    assert error.provider == "golden"
    assert len(error.message) > 10
    assert "<" not in error.message


@pytest.mark.parametrize("path", sorted(FILES.rglob("*error*")), ids=name_of)
def test_every_recorded_error_is_in_the_table(path: Path) -> None:
    assert path.name in FAULTY or str(path.relative_to(FILES)) in {name for name, _, _ in ERRORS}


@pytest.mark.parametrize("name", sorted(FAULTY))
def test_an_error_inside_a_stream_is_raised_after_the_events_before_it(name: str) -> None:
    decoder = StreamDecoder("golden")
    events = decoder.feed((FILES / "others" / name).read_bytes())
    assert type(events[0]).__name__ == "Started"
    with pytest.raises(Unavailable):
        decoder.finish()
