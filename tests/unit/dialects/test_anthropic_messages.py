"""The small parts of the Messages dialect: replies that are none, empty ones, counts, errors that say little, splicing."""

import msgspec
import pytest

from jackfield.core.errors import JackfieldError, Malformed, ModelNotFound, Unavailable, Upstream
from jackfield.core.usage import Usage
from jackfield.dialects.anthropic_messages import (
    decode_count,
    decode_error,
    decode_reply,
    in_band_error,
    is_empty,
    reply_error,
    reply_usage,
    splice_request,
)
from jackfield.dialects.anthropic_messages_usage import encode_usage, read_usage

GOOD = b'{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1}}'
ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content":"text"}', ERROR])
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(JackfieldError):
        decode_reply(body)
    if body not in (b"{}", b'{"content":"text"}'):
        assert isinstance(reply_error(body), JackfieldError)


def test_a_good_answer_is_no_error_and_not_empty() -> None:
    assert reply_error(GOOD) is None
    assert reply_error(GOOD.replace(b"hi", b'\\"error\\"')) is None
    assert not is_empty(GOOD)
    assert is_empty(GOOD.replace(b"hi", b""))
    assert is_empty(b'{"content":[],"stop_reason":"end_turn"}')
    assert not is_empty(b'{"content":[],"stop_reason":"refusal"}')
    assert not is_empty(b'{"content":[{"type":"tool_use","id":"a","name":"f","input":{}}],"stop_reason":"tool_use"}')


def test_unknown_fields_and_blocks_survive() -> None:
    body = msgspec.json.decode(GOOD)
    body |= {"x_odd": 1, "container": None}
    body["content"].insert(0, {"type": "odd", "data": [1]})
    reply = decode_reply(msgspec.json.encode(body))
    assert reply.extra == {"x_odd": 1}
    assert reply.message.extra == {"content_blocks": [{"index": 0, "block": {"type": "odd", "data": [1]}}]}


def test_usage_adds_up_and_comes_apart_again() -> None:
    wire = {"input_tokens": 4, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 6, "output_tokens": 7}
    usage = read_usage(wire | {"output_tokens_details": {"thinking_tokens": 3}, "service_tier": "standard"})
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens) == (100, 90, 7, 3)
    assert {name: encode_usage(usage)[name] for name in wire} == wire
    assert encode_usage(usage)["service_tier"] == "standard"
    assert read_usage(encode_usage(usage)) == usage
    assert read_usage({"input_tokens": None, "output_tokens": -1, "cache_read_input_tokens": True}) == Usage()
    assert reply_usage(b"{}") is None
    assert reply_usage(b"[") is None


def test_a_count_is_a_number() -> None:
    assert decode_count(b'{"input_tokens": 9, "more": 1}') == 9
    with pytest.raises(Malformed):
        decode_count(b'{"tokens": 9}')


def test_a_missing_model_is_told_even_where_the_source_says_little() -> None:
    body = b'{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}'
    error = decode_error(404, body, provider="acme")
    assert isinstance(error, ModelNotFound)
    assert "model: claude-9" in error.message
    assert isinstance(decode_error(404, b"<html>", provider="acme"), Upstream)
    assert isinstance(decode_error(404, b'{"error": "x"}', provider="acme"), Upstream)


def test_in_band_errors_need_no_status() -> None:
    assert in_band_error({"type": "message"}, provider="x") is None
    assert in_band_error("text", provider="x") is None
    assert isinstance(in_band_error({"error": {"message": "odd"}}, provider="x"), Unavailable)


def test_a_request_that_passes_through_keeps_its_spelling() -> None:
    fields = {"model": msgspec.Raw(b'"mine"'), "temperature": msgspec.Raw(b"0.50"), "x_odd": msgspec.Raw(b'{"a": [1]}')}
    assert splice_request(fields, model=None, stream=False) == b'{"model":"mine","temperature":0.50,"x_odd":{"a": [1]}}'
    sent = splice_request(fields, model="yours", stream=True)
    assert sent == b'{"model":"yours","temperature":0.50,"x_odd":{"a": [1]},"stream":true}'
    assert bytes(fields["model"]) == b'"mine"'
