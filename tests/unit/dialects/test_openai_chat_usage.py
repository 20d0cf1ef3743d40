"""Token counts in the accents of many servers."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat_usage
from jackfield.dialects.openai_chat import reply_usage
from jackfield.dialects.openai_chat_usage import encode_usage, read_usage

COUNTS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}, Usage(5, 2, 3)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(5, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}, Usage(5, 9, 0, 4)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 11,
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(5, 6, 0, 4),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, Usage(5, 2, 3)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3}, Usage(5, 2, 3)),
        ({"prompt_tokens": None, "completion_tokens": 2.5, "total_tokens": "x"}, Usage()),
        ({"prompt_tokens": -5, "completion_tokens": True}, Usage()),
        ({}, Usage()),
    ],
)
def test_counts_are_read(wire: dict[str, Any], expected: Usage) -> None:
    assert _without_extra(read_usage(wire)) == expected
    seen = reply_usage(msgspec.json.encode({"id": "x", "choices": [], "usage": wire}))
    assert seen is not None
    assert (max(0, seen.prompt_tokens), *msgspec.structs.astuple(seen)[1:]) == msgspec.structs.astuple(expected)


def _without_extra(usage: Usage) -> Usage:
    return msgspec.structs.replace(usage, extra={})


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b"{}", b'{"usage":null}', b'{"usage":[1]}', b'{"usage":5}', b"\xff"])
def test_no_usage_is_none(body: bytes) -> None:
    assert reply_usage(body) is None


@pytest.mark.behaviour("DIAL-03")
@settings(deadline=None)
@given(prompt=COUNTS, completion=COUNTS, cached=COUNTS, reasoning=COUNTS, audio=COUNTS, cost=st.floats(0, 1))
def test_counts_survive_the_wire(prompt: int, completion: int, cached: int, reasoning: int, audio: int, cost: float) -> None:
    extra = {"cost": cost, "prompt_tokens_details": {"audio_tokens": audio}}
    usage = Usage(prompt, completion, cached, reasoning, extra)
    assert read_usage(encode_usage(usage)) == usage


ANY_COUNT = st.sampled_from([0, 1, 7, -1, True, None, 1.0, "1", 10**13])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens"]), ANY_COUNT))
def test_bare_totals_are_read_as_every_usage_is(wire: dict[str, Any]) -> None:
    quick = read_usage(wire)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_chat_usage, "_TOTALS", frozenset())
        assert read_usage(wire) == quick
