"""Streams of Messages servers beyond the golden files: ends that are missing, bytes that are no stream, unknown kinds."""

import pytest

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken
from jackfield.core.events import Event, fold_events
from jackfield.core.messages import TextPart
from jackfield.dialects.anthropic_messages import StreamDecoder

START = b'data: {"type":"message_start","message":{"id":"m1","model":"m"}}\n\n'
OPEN = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
SAID = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}\n\n'
REASON = b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
STOP = b'data: {"type":"message_stop"}\n\n'


def decode(*chunks: bytes) -> list[Event]:
    decoder = StreamDecoder("acme")
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


@pytest.mark.parametrize("cut", [(START,), (START, OPEN), (START, OPEN, SAID), (START, OPEN, SAID, REASON[:20]), ()])
def test_a_stream_that_does_not_tell_its_end_is_broken(cut: tuple[bytes, ...]) -> None:
    with pytest.raises(StreamBroken) as caught:
        decode(*cut)
    assert caught.value.provider == "acme"


def test_an_end_without_a_reason_is_an_end() -> None:
    reply = fold_events(decode(START, OPEN, SAID, STOP))
    assert (reply.text, reply.finish_reason, reply.usage) == ("hi", "other", None)


def test_nothing_after_the_end_counts() -> None:
    assert decode(START, OPEN, SAID, REASON, STOP, SAID, START) == decode(START, OPEN, SAID, REASON, STOP)


@pytest.mark.parametrize("data", [b"<html>", b"[1]", b'"text"', b'{"type":'])
def test_what_is_no_event_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(START, b"data: " + data + b"\n\n")


def test_an_error_without_its_envelope_is_an_error() -> None:
    with pytest.raises(JackfieldError, match="too bad"):
        decode(START, b'event: error\ndata: {"message":"too bad"}\n\n')


def test_unknown_events_deltas_and_blocks_are_passed_over() -> None:
    odd = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"odd_delta","odd":1}}\n\n'
    reply = fold_events(decode(START, b'data: {"type":"odd"}\n\n', OPEN, odd, SAID, REASON, STOP))
    assert reply.message.parts == (TextPart("hi"),)
    block = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"odd","data":1}}\n\n'
    reply = fold_events(decode(START, block, REASON, STOP))
    assert reply.message.extra == {"content_blocks": [{"index": 0, "block": {"type": "odd", "data": 1}}]}


def test_input_that_comes_in_pieces_for_a_block_of_the_source_is_put_together() -> None:
    block = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","input":{}}}\n\n'
    piece = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\\"q\\":"}}\n\n'
    reply = fold_events(decode(START, block, piece, REASON, STOP))
    assert reply.message.extra["content_blocks"][0]["block"]["input"] == '{"q":'
