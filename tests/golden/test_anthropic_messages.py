"""Recorded and documented bytes of Messages servers against the dialect, with Anthropic's own types and client as judges."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, TextBlock, ThinkingBlock, ToolUseBlock

from golden.messages_judge import accumulated
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    BodyTooLarge,
    BudgetSpent,
    ContentRefused,
    ContextOverflow,
    JackfieldError,
    Malformed,
    ModelNotFound,
    Overloaded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from jackfield.core.events import ChatReply, Event, fold_events, unfold
from jackfield.core.messages import ReasoningPart, TextPart, ToolCallPart
from jackfield.dialects.anthropic_messages import (
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_error,
    decode_reply,
    encode_reply,
    reply_usage,
)

FILES = Path(__file__).parent / "anthropic_messages"
FAULTY = {"error.sse", "arguments_without_a_call.sse"}
STREAMS = sorted(path for path in FILES.rglob("*.sse") if path.name not in FAULTY)
REPLIES = sorted(
    path for path in FILES.rglob("*.json") if not path.name.startswith("error_") and not path.name.endswith(".events.json")
)
TWINS = [path for path in STREAMS if path.with_suffix(".json").exists()]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def decode(body: bytes) -> list[Event]:
    decoder = StreamDecoder("golden")
    return decoder.feed(body) + decoder.finish()


def encoded(events: list[Event]) -> bytes:
    encoder = StreamEncoder(id="msg_1", created=0, model="m", include_usage=True)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def assert_same_answer(judged: Message, reply: ChatReply) -> None:
    """What the official client sees is what we see, down to the signatures; usage is not counted twice."""
    assert "".join(block.text for block in judged.content if isinstance(block, TextBlock)) == reply.text
    calls = [(block.id, block.name, block.input) for block in judged.content if isinstance(block, ToolUseBlock)]
    assert calls == [(call.id, call.name, msgspec.json.decode(call.arguments)) for call in reply.message.tool_calls]
    thoughts = [(block.thinking, block.signature) for block in judged.content if isinstance(block, ThinkingBlock)]
    assert thoughts == [
        (part.text, part.signature) for part in reply.message.parts if isinstance(part, ReasoningPart) and not part.redacted
    ]
    assert (judged.stop_reason == "tool_use") is (reply.finish_reason == "tool_calls")
    if reply.usage is not None:
        used = judged.usage
        read, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
        assert used.input_tokens + read + written == reply.usage.prompt_tokens
        assert read == reply.usage.cached_tokens
        assert used.output_tokens == reply.usage.completion_tokens


@pytest.mark.behaviour("PROV-24")
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
def test_the_relay_changes_no_byte_and_learns_what_the_decoder_learns(path: Path) -> None:
    body = path.read_bytes()
    relay = StreamRelay(provider="golden")
    assert b"".join(relay.feed(body[at : at + 7]) for at in range(0, len(body), 7)) + relay.finish() == body
    if path.name == "several_in_one_event.sse":
        # passed on as it came: the client could not read it either
        assert isinstance(relay.error, Malformed)
        return
    assert relay.error is None
    assert relay.finished
    assert relay.has_content
    assert relay.usage == fold_events(decode(body)).usage


@pytest.mark.parametrize("path", TWINS, ids=name_of)
def test_a_folded_stream_is_the_plain_answer(path: Path) -> None:
    streamed = fold_events(decode(path.read_bytes()))
    plain = decode_reply(path.with_suffix(".json").read_bytes())
    if path.parent.name == "llama_server":
        # Two runs of a real engine: ids and what its cache held differ.
        assert _comparable(streamed, with_ids=False) == _comparable(plain, with_ids=False)
        assert (streamed.finish_reason, streamed.model) == (plain.finish_reason, plain.model)
        assert (streamed.usage and streamed.usage.total_tokens) == (plain.usage and plain.usage.total_tokens)
    else:
        assert _comparable(streamed) == _comparable(plain)
        same = {"message": plain.message}
        assert msgspec.structs.replace(streamed, **same) == plain
        assert streamed.message.extra == plain.message.extra


def _comparable(reply: ChatReply, *, with_ids: bool = True) -> list[Any]:
    """Parts, with arguments as values: a stream has them as the model spelt them, a whole answer as an object."""
    return [
        (part.id if with_ids else "", part.name, msgspec.json.decode(part.arguments))
        if isinstance(part, ToolCallPart)
        else part
        for part in reply.message.parts
    ]


@pytest.mark.parametrize("path", STREAMS, ids=name_of)
def test_the_official_client_reads_our_streams_as_we_do(path: Path) -> None:
    events = decode(path.read_bytes())
    assert_same_answer(accumulated(encoded(events)), fold_events(events))


@pytest.mark.parametrize("path", [path for path in STREAMS if path.parent.name != "others"], ids=name_of)
def test_the_official_client_reads_the_recorded_streams_as_we_do(path: Path) -> None:
    body = path.read_bytes().replace(
        b'"name":"get_weather"}', b'"name":"get_weather","input":{}}'
    )  # llama-server leaves it out
    assert_same_answer(accumulated(body), fold_events(decode(body)))


@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_the_official_types_accept_our_replies(path: Path) -> None:
    reply = decode_reply(path.read_bytes())
    assert_same_answer(Message.model_validate_json(encode_reply(reply, id="msg_1")), reply)
    assert_same_answer(accumulated(encoded(unfold(reply))), reply)


@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_a_reply_survives_encoding_and_decoding(path: Path) -> None:
    reply = decode_reply(path.read_bytes())
    assert decode_reply(encode_reply(reply, id=reply.id)) == reply


@pytest.mark.parametrize("path", REPLIES, ids=name_of)
def test_the_quick_look_at_usage_is_the_whole_one(path: Path) -> None:
    assert reply_usage(path.read_bytes()) == decode_reply(path.read_bytes()).usage


def test_one_message_start_and_blocks_that_nest_whatever_came_in() -> None:
    for path in STREAMS:
        kinds = [
            line.removeprefix(b"event: ") for line in encoded(decode(path.read_bytes())).split(b"\n") if b"event: " in line
        ]
        assert kinds.count(b"message_start") == kinds.count(b"message_stop") == kinds.count(b"message_delta") == 1
        depth = 0
        for kind in kinds:
            depth += {b"content_block_start": 1, b"content_block_stop": -1}.get(kind, 0)
            assert depth in (0, 1)
            assert depth == 1 or kind != b"content_block_delta"


def test_thinking_in_a_text_block_becomes_reasoning_that_can_be_sent_back() -> None:
    reply = fold_events(decode((FILES / "others/thinking_in_a_text_block.sse").read_bytes()))
    assert ReasoningPart("hm", "c2ln") in reply.message.parts
    assert reply.text == "yes"


def test_cached_tokens_are_counted_once() -> None:
    reply = fold_events(decode((FILES / "others/cached_tokens_told_twice.sse").read_bytes()))
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.cached_tokens, reply.usage.completion_tokens) == (100, 90, 3)


def test_an_error_in_the_stream_comes_after_what_was_said() -> None:
    decoder = StreamDecoder("golden")
    events = decoder.feed((FILES / "anthropic/error.sse").read_bytes())
    assert len(events) == 3
    with pytest.raises(Overloaded):
        decoder.finish()
    relay = StreamRelay(provider="golden")
    relay.feed((FILES / "anthropic/error.sse").read_bytes())
    assert isinstance(relay.error, Overloaded)
    assert not relay.finished


def test_arguments_of_a_call_without_a_name_are_no_answer() -> None:
    with pytest.raises(Malformed, match="no name"):
        decode((FILES / "others/arguments_without_a_call.sse").read_bytes())


def test_a_web_search_keeps_its_blocks_and_citations() -> None:
    body = (FILES / "anthropic/web_search.json").read_bytes()
    reply = decode_reply(body)
    assert reply.message.parts == (TextPart("An example."),)
    assert msgspec.json.decode(encode_reply(reply, id="x"))["content"] == msgspec.json.decode(body)["content"]


ERRORS: list[tuple[str, int, type[JackfieldError]]] = [
    ("anthropic/error_400_prompt.json", 400, ContextOverflow),
    ("anthropic/error_400_limit.json", 400, ContextOverflow),
    ("anthropic/error_400_credit.json", 400, BudgetSpent),
    ("anthropic/error_400_field.json", 400, BadRequest),
    ("anthropic/error_400_filter.json", 400, ContentRefused),
    ("anthropic/error_401.json", 401, AuthFailed),
    ("anthropic/error_402.json", 402, BudgetSpent),
    ("anthropic/error_403.json", 403, AuthFailed),
    ("anthropic/error_404_model.json", 404, ModelNotFound),
    ("anthropic/error_413.json", 413, BodyTooLarge),
    ("anthropic/error_429.json", 429, RateLimited),
    ("anthropic/error_500.json", 500, Unavailable),
    ("anthropic/error_504.json", 504, TimedOut),
    ("anthropic/error_529.json", 529, Overloaded),
    ("llama_server/error_400_context.json", 400, ContextOverflow),
    ("llama_server/error_400_messages.json", 400, BadRequest),
]


@pytest.mark.parametrize(("name", "status", "kind"), ERRORS)
def test_errors_mean_what_they_say(name: str, status: int, kind: type[JackfieldError]) -> None:
    body = (FILES / name).read_bytes()
    error = decode_error(status, body, provider="golden")
    assert type(error) is kind
    assert error.provider == "golden"
    if name.startswith("anthropic/") and status != 400:
        with pytest.raises(kind):  # the same error in a stream, where only its type tells
            StreamDecoder("golden").feed(b"event: error\ndata: " + body + b"\n\n")
