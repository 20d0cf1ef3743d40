"""The cache by meaning: what counts as the same question, how near is near enough, and what it keeps for how long."""

import asyncio
import builtins
import json
from collections.abc import Sequence
from math import hypot
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import MissingExtra, Unavailable
from jackfield.core.usage import Usage
from jackfield.routing.cache import wish
from jackfield.routing.semantic_cache import Asked, Question, SemanticCache, SemanticSettings, is_asked, question

USAGE = Usage(prompt_tokens=3, completion_tokens=4)
SHIP = {"role": "system", "content": "You sail."}


class Meaning:
    """Vectors by hand: a text's own, or else one that is far from all others."""

    def __init__(self, **known: Sequence[float]) -> None:
        self.known: dict[str, Sequence[float]] = {name.replace("_", " "): vector for name, vector in known.items()}
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def __call__(self, text: str) -> Sequence[float]:
        self.asked.append(text)
        if self.error is not None:
            raise self.error
        return self.known.get(text, (0.0, 0.0, 1.0))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(meaning: Any = None, clock: Any = None, **bounds: Any) -> SemanticCache:
    near = Meaning(hello=(1, 0, 0), hi=(0.99, 0.05, 0), bye=(0, 1, 0))
    return SemanticCache(SemanticSettings(**bounds), meaning or near, clock or Clock())


def body(text: Any, *earlier: dict[str, Any], **more: Any) -> dict[str, msgspec.Raw]:
    fields = {"messages": [*earlier, {"role": "user", "content": text}], **more}
    return msgspec.json.decode(json.dumps(fields), type=dict[str, msgspec.Raw])


def asked_for(text: Any, *earlier: dict[str, Any], source: str = "acme/large", key: str = "", **more: Any) -> Question:
    found = question("openai_chat", source, body(text, *earlier, **more), scope=key)
    assert found is not None
    return found


async def ask(cache: SemanticCache, text: str, *earlier: dict[str, Any], **more: Any) -> Asked:
    found = await cache.find(asked_for(text, *earlier, **more))
    assert found is not None
    return found


async def keep(cache: SemanticCache, text: str, answer: bytes = b"answer", *earlier: dict[str, Any], **more: Any) -> None:
    assert cache.store(await ask(cache, text, *earlier, **more), answer, USAGE)


def test_it_is_for_those_who_ask_for_it() -> None:
    assert is_asked(b" Semantic ")
    assert not any(map(is_asked, (None, b"", b"1", b"0", b"semantics")))
    assert wish(b"semantic") is None


@pytest.mark.behaviour("SEMC-01")
async def test_what_means_the_same_has_the_same_answer_and_says_how_near_it_was() -> None:
    cache = made()
    await keep(cache, "hello", b"good day")
    found = await ask(cache, "hi")
    assert found.answer is not None
    assert (found.answer.body, found.answer.usage) == (b"good day", USAGE)
    assert 0.99 < found.similarity < 1
    assert (await ask(cache, "bye")).answer is None
    assert (cache.hits, cache.misses, cache.failures) == (1, 2, 0)


async def test_the_nearest_is_taken_and_only_if_it_is_near_enough() -> None:
    meaning = Meaning(a=(1, 0, 0), b=(0.9, 0.436, 0), c=(0.97, 0.243, 0))
    cache = made(meaning, threshold=0.98)
    await keep(cache, "a", b"A")
    await keep(cache, "b", b"B")
    assert len(cache) == 2
    assert (await ask(cache, "c")).answer is None
    near = made(meaning, threshold=0.95)
    await keep(near, "a", b"A")
    await keep(near, "b", b"B")
    found = await ask(near, "c")
    assert found.answer is not None
    assert found.answer.body == b"B"  # 0.979 against 0.970


@pytest.mark.behaviour("SEMC-01")
@pytest.mark.parametrize(
    ("earlier", "more"),
    [
        ((), {"key": "another client"}),
        ((), {"source": "acme/small"}),
        ((SHIP,), {}),
        (({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}), {}),
        ((), {"temperature": 0.1}),
        ((), {"max_tokens": 5}),
        ((), {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    ],
    ids=["client", "source", "system prompt", "earlier turns", "temperature", "length", "tools"],
)
async def test_nothing_else_may_differ(earlier: tuple[dict[str, Any], ...], more: dict[str, Any]) -> None:
    cache = made()
    await keep(cache, "hello")
    assert (await ask(cache, "hi", *earlier, **more)).answer is None
    await keep(cache, "hi", b"its own", *earlier, **more)
    found = await ask(cache, "hello", *earlier, **more)
    assert found.answer is not None
    assert found.answer.body == b"its own"


@pytest.mark.behaviour("SEMC-01")
async def test_other_figures_are_another_question_however_near() -> None:
    cache = made(Meaning())  # all texts mean the same
    await keep(cache, "What happened in 2023?", b"this")
    assert (await ask(cache, "What happened in 2024?")).answer is None
    assert (await ask(cache, "So what happened in 2023?")).answer is not None


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        {},
        7,
        [{"role": "assistant", "content": "hello"}],
        [{"role": "user", "content": "  "}],
        [{"role": "user", "content": []}],
        [{"role": "user"}],
        ["hello"],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": {}}]}],
        [{"role": "user", "content": [{"type": "text", "text": 7}]}],
    ],
)
def test_only_plain_text_by_a_user_is_compared(messages: Any) -> None:
    fields = msgspec.json.decode(json.dumps({"messages": messages}), type=dict[str, msgspec.Raw])
    assert question("openai_chat", "s", fields) is None
    assert question("openai_chat", "s", {}) is None
    assert question("openai_chat", "s", {"messages": msgspec.Raw(b'[{"role": "user", "cont')}) is None


def test_text_in_parts_is_text() -> None:
    parts = [{"type": "text", "text": "he"}, {"type": "text", "text": "llo"}]
    assert asked_for(parts).text == "he\nllo"
    assert asked_for([{"type": "text", "text": "hello"}]) == asked_for("hello")


async def test_the_oldest_use_goes_first_and_bounds_hold() -> None:
    meaning = Meaning(a=(1, 0, 0, 0), b=(0, 1, 0, 0), c=(0, 0, 1, 0))
    cache = made(meaning, max_answers=2)
    await keep(cache, "a", b"A")
    await keep(cache, "b", b"B")
    assert (await ask(cache, "a")).answer is not None
    await keep(cache, "c", b"C")
    assert [(await ask(cache, text)).answer is not None for text in "abc"] == [True, False, True]
    assert (len(cache), cache.evictions) == (2, 1)
    small = made(meaning, max_answer_bytes=10, max_bytes=1200)
    assert not small.store(await ask(small, "a"), b"x" * 11, None)
    await keep(small, "a")
    await keep(small, "b")
    await keep(small, "c")
    assert len(small) == 2
    assert small.size_bytes <= 1200
    none = made(meaning, max_answers=0)
    assert not none.store(await ask(none, "a"), b"x", None)


async def test_old_answers_are_forgotten() -> None:
    clock = Clock()
    cache = made(clock=clock, ttl_s=60.0)
    await keep(cache, "hello")
    clock.now = 59.9
    assert (await ask(cache, "hi")).answer is not None
    clock.now = 60.0
    assert (await ask(cache, "hi")).answer is None
    assert (len(cache), cache.size_bytes) == (0, 0)


async def test_the_same_question_asked_twice_at_once_is_kept_once() -> None:
    cache = made()
    first, second = await ask(cache, "hello"), await ask(cache, "hi")
    assert cache.store(first, b"first", None)
    assert cache.store(second, b"second", None)
    assert len(cache) == 1
    found = await ask(cache, "hello")
    assert found.answer is not None
    assert found.answer.body == b"second"


@pytest.mark.parametrize("vector", [(), (0.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0), ((1.0,), (2.0,))])
async def test_a_vector_of_no_use_is_no_vector(vector: Any) -> None:
    cache = made(Meaning(hello=vector))
    assert await cache.find(asked_for("hello")) is None
    assert cache.failures == 1


async def test_without_a_vector_the_request_goes_on() -> None:
    meaning = Meaning()
    meaning.error = Unavailable("the source of vectors is down")
    cache = made(meaning)
    assert await cache.find(asked_for("hello")) is None

    async def hangs(text: str) -> Sequence[float]:
        await asyncio.Event().wait()
        return ()

    assert await made(hangs, embed_within_s=0.01).find(asked_for("hello")) is None
    long = made(meaning, max_question_chars=4)
    meaning.asked.clear()
    assert await long.find(asked_for("hello")) is None
    assert meaning.asked == []


async def test_vectors_of_another_length_begin_anew() -> None:
    meaning = Meaning(hello=(1, 0, 0))
    cache = made(meaning)
    await keep(cache, "hello")
    meaning.known["hello"] = (1.0, 0.0)
    assert (await ask(cache, "hello")).answer is None
    await keep(cache, "hello", b"new")
    assert len(cache) == 1
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)
    assert (await ask(cache, "hello")).answer is None


def test_without_numpy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "numpy":
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"jackfield\[semantic\]"):
        made()


VECTORS = st.tuples(*[st.integers(-5, 5)] * 3).filter(any)


@given(st.lists(st.tuples(st.sampled_from("xyz"), VECTORS), min_size=1, max_size=25), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_never_another_scope_never_too_far_never_too_many(asks: list[tuple[str, tuple[int, int, int]]], room: int) -> None:
    async def play() -> None:
        meaning, clock = Meaning(), Clock()
        cache = made(meaning, clock, threshold=0.9, max_answers=room, ttl_s=8.0)
        for key, vector in asks:
            clock.now += 1
            meaning.known["it"] = vector
            found = await ask(cache, "it", key=key)
            if found.answer is not None:
                scope, stored, at = json.loads(found.answer.body)
                cosine = sum(map(lambda a, b: a * b, stored, vector)) / hypot(*stored) / hypot(*vector)
                assert scope == key
                assert cosine >= 0.9 - 1e-6
                assert abs(found.similarity - cosine) < 1e-5
                assert clock.now - at < 8.0
            else:
                assert cache.store(found, json.dumps([key, vector, clock.now]).encode(), None)
            assert len(cache) <= room
            assert cache.size_bytes == sum(entry.size_bytes for entry in cache._entries.values())
            assert len(cache) + len(cache._free) == room

    asyncio.run(play())
