"""The watcher of streams that pass through: what it learns, when, and that it holds nothing back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import Malformed, Overloaded
from jackfield.dialects import anthropic_messages_relay
from jackfield.dialects.anthropic_messages import StreamRelay

START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
OPEN = b'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text","text":""}}\n\n'
CALL = b'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"tool_use"}}\n\n'
SAID = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}\n\n'
STOP = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n'
)
END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'


def test_content_begins_with_the_first_delta_or_call() -> None:
    relay = StreamRelay()
    for chunk in (START, b": comment\n\n", b'event: ping\ndata: {"type":"ping"}\n\n', OPEN):
        assert relay.feed(chunk) == chunk
        assert not relay.has_content
    relay.feed(SAID)
    assert relay.has_content
    other = StreamRelay()
    other.feed(START + CALL)
    assert other.has_content


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_pieces_count_the_events_with_content_however_they_are_cut(size: int) -> None:
    stream = START + OPEN + SAID * 3 + b'event: ping\ndata: {"type":"ping"}\n\n' + CALL + SAID + STOP + END
    relay = StreamRelay()
    for at in range(0, len(stream), size):
        relay.feed(stream[at : at + size])
    assert relay.pieces == 5


def test_the_reason_finishes_and_the_stop_ends() -> None:
    relay = StreamRelay()
    relay.feed(START + OPEN + SAID + STOP)
    assert (relay.finished, relay.done) == (True, False)
    assert relay.usage is not None
    assert (relay.usage.prompt_tokens, relay.usage.completion_tokens) == (5, 9)
    relay.feed(END)
    assert relay.done


def test_a_last_event_without_its_end_is_read_unless_it_is_cut() -> None:
    relay = StreamRelay()
    relay.feed(START + END.rstrip())
    assert relay.finish() == b""
    assert relay.done
    cut = StreamRelay()
    cut.feed(START + SAID[:-20])
    cut.finish()
    assert cut.error is None
    assert not cut.done


@pytest.mark.parametrize("before", [START, START + OPEN + SAID])
def test_what_cannot_be_read_is_noted_and_passed_on(before: bytes) -> None:
    relay = StreamRelay(provider="acme")
    broken = SAID[:60] + b"\n\n"
    assert relay.feed(before + broken + ERROR) == before + broken + ERROR
    assert isinstance(relay.error, Malformed)
    assert relay.error.provider == "acme"


def test_an_error_is_noted_once() -> None:
    relay = StreamRelay(provider="acme")
    relay.feed(START + OPEN + SAID + ERROR)
    assert isinstance(relay.error, Overloaded)
    assert not relay.finished


def test_an_endless_event_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anthropic_messages_relay, "MAX_EVENT_BYTES", 100)
    with pytest.raises(Malformed, match="larger"):
        StreamRelay().feed(b"data: " + b"x" * 200)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=30))
@settings(max_examples=150)
def test_any_cuts_give_the_same(sizes: list[int]) -> None:
    data = START + OPEN + SAID * 3 + STOP + END
    relay = StreamRelay()
    sent, at = b"", 0
    for size in sizes:
        sent += relay.feed(data[at : at + size]) if data[at : at + size] else b""
        at += size
    sent += relay.feed(data[at:])
    assert sent == data
    assert relay.done
    assert relay.error is None
    assert relay.usage is not None
    assert relay.usage.completion_tokens == 9
