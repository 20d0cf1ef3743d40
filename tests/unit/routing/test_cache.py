"""The cache of answers: what it takes for the same request, what it keeps, and for how long."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.usage import Usage
from jackfield.routing.cache import (
    ENTRY_OVERHEAD_BYTES,
    AnswerCache,
    CacheSettings,
    answer_key,
    is_cacheable,
    wish,
)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from(["messages", "tools", "seed", "temperature", "x"]), JSON_VALUES, min_size=1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fields(body: str | dict[str, Any]) -> dict[str, msgspec.Raw]:
    text = body if isinstance(body, str) else json.dumps(body)
    return msgspec.json.decode(text, type=dict[str, msgspec.Raw])


def key(body: str | dict[str, Any], source: str = "acme/large", **scope: str) -> bytes:
    return answer_key("openai_chat", source, fields(body), **scope)


def reversed_everywhere(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_everywhere(value[name]) for name in reversed(value)}
    return [reversed_everywhere(item) for item in value] if isinstance(value, list) else value


@given(BODIES)
@settings(max_examples=100)
def test_spacing_order_and_escapes_do_not_make_another_request(body: dict[str, Any]) -> None:
    written = json.dumps(reversed_everywhere(body), indent=3, ensure_ascii=False)
    assert key(body) == key(written)


@given(BODIES, BODIES)
@settings(max_examples=100)
def test_what_differs_in_any_field_is_another_request(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
    assert (key(one) == key(other)) is same


@pytest.mark.parametrize("name", ["stream", "stream_options", "user", "model", "safety_identifier", "prompt_cache_key"])
def test_how_it_is_sent_and_who_asks_are_not_in_the_key(name: str) -> None:
    assert key({"messages": []}) == key({"messages": [], name: "anything"})


def test_source_dialect_and_scope_are_in_the_key() -> None:
    body: dict[str, Any] = {"messages": [], "temperature": 0}
    keys = {
        key(body),
        key(body, "acme/small"),
        key(body, scope="team-a"),
        key(body, scope="team-b"),
        answer_key("anthropic_messages", "acme/large", fields(body)),
    }
    assert len(keys) == 5


def test_what_cannot_be_read_is_told_apart_by_its_spelling() -> None:
    assert key('{"seed": 1e400}') == key('{"seed": 1e400}')
    assert key('{"seed": 1e400}') != key('{"seed": 1e401}')
    assert key('{"seed": 1e400}', "acme/small") != key('{"seed": 1e400}')


@pytest.mark.parametrize(
    ("body", "by_itself"),
    [
        ({}, False),
        ({"temperature": None}, False),
        ({"temperature": 0.7}, False),
        ({"temperature": "0"}, False),
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
    ],
)
@pytest.mark.behaviour("MGR-33")
def test_only_temperature_0_is_cached_unless_the_request_asks(body: dict[str, Any], by_itself: bool) -> None:
    assert is_cacheable(fields(body)) is by_itself
    assert is_cacheable(fields(body), wish(None)) is by_itself
    assert is_cacheable(fields(body), wish(b"1")) is True
    assert is_cacheable(fields(body), wish(b"0")) is False


def test_the_header_is_read_kindly() -> None:
    assert [wish(value) for value in (b" 1 ", b"True", b"FALSE", b"maybe", b"")] == [True, True, False, None, None]


@pytest.mark.behaviour("MGR-33")
def test_an_answer_is_given_again_with_its_usage() -> None:
    cache, usage = AnswerCache(CacheSettings(), Clock()), Usage(3, 5)
    assert cache.get(b"k") is None
    assert cache.put(b"k", b"{}", usage)
    found = cache.get(b"k")
    assert found is not None
    assert (found.body, found.usage) == (b"{}", usage)
    assert (cache.hits, cache.misses, len(cache)) == (1, 1, 1)


def test_old_answers_are_forgotten() -> None:
    clock = Clock()
    cache = AnswerCache(CacheSettings(ttl_s=10), clock)
    cache.put(b"a", b"1", None)
    clock.now = 9.9
    assert cache.get(b"a") is not None
    clock.now = 10.0
    cache.put(b"b", b"2", None)
    assert cache.get(b"a") is None
    assert len(cache) == 1, "what was asked for and too old is gone"
    clock.now = 20.0
    assert cache.get(b"b") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_the_least_used_goes_first() -> None:
    cache = AnswerCache(CacheSettings(max_bytes=3 * (ENTRY_OVERHEAD_BYTES + 1)), Clock())
    for name in (b"a", b"b", b"c"):
        cache.put(name, b"x", None)
    cache.get(b"a")
    cache.put(b"d", b"x", None)
    assert [cache.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert cache.evictions == 1


def test_what_is_too_large_is_not_kept_and_pushes_nothing_out() -> None:
    cache = AnswerCache(CacheSettings(max_bytes=2000, max_answer_bytes=1800), Clock())
    cache.put(b"a", b"x", None)
    assert not cache.put(b"b", b"x" * 1801, None)
    assert not cache.put(b"b", b"x" * 1700, None)
    assert cache.get(b"a") is not None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900), st.integers(0, 4)), max_size=60))
@settings(max_examples=100)
def test_it_never_holds_more_than_its_bound_nor_gives_a_wrong_answer(steps: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    cache = AnswerCache(CacheSettings(max_bytes=4000, max_answer_bytes=800, ttl_s=10), clock)
    last: dict[bytes, bytes] = {}
    for number, size, pause_s in steps:
        name = b"%d" % number
        body = b"%d:" % number + b"x" * size
        clock.now += pause_s
        if cache.put(name, body, None):
            last[name] = body
        for other in (name, b"%d" % (9 - number)):
            found = cache.get(other)
            assert found is None or (found.body == last[other] and clock.now - found.stored_at < 10)
        assert cache.size_bytes <= 4000
    cache.clear()
    assert cache.size_bytes == 0
