"""Responses that clients come back to: within bounds, forgotten in time, and each key's apart."""

import sys

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.gateway.kept_responses import OVERHEAD_BYTES, KeptResponses

ITEM = msgspec.Raw(b'{"type":"message"}')
ENTRY_BYTES = OVERHEAD_BYTES + 10 + len(bytes(ITEM))


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def kept(entries: int, ttl_s: float = 100, max_count: int = 1000) -> tuple[KeptResponses, Clock]:
    clock = Clock()
    return KeptResponses(ENTRY_BYTES * entries, ttl_s, clock, max_count=max_count), clock


def test_one_is_found_by_its_key_and_id_alone_and_forgotten_once() -> None:
    store, _ = kept(5)
    assert store.keep("a", "resp_1", b"x" * 10, (ITEM,))
    found = store.get("a", "resp_1")
    assert found is not None
    assert (found.body, found.items) == (b"x" * 10, (ITEM,))
    assert store.get("b", "resp_1") is None
    assert not store.forget("b", "resp_1")
    assert store.forget("a", "resp_1")
    assert not store.forget("a", "resp_1")
    assert (len(store), store.size_bytes) == (0, 0)


def test_the_least_recently_used_goes_first() -> None:
    store, _ = kept(2)
    for name in ("1", "2"):
        store.keep("", name, b"x" * 10, (ITEM,))
    store.get("", "1")
    store.keep("", "3", b"x" * 10, (ITEM,))
    assert [name for name in ("1", "2", "3") if store.get("", name)] == ["1", "3"]


def test_one_that_is_too_large_is_not_kept_and_costs_no_other_its_place() -> None:
    store, _ = kept(2)
    store.keep("", "1", b"x" * 10, (ITEM,))
    assert not store.keep("", "2", b"x" * 10_000, ())
    assert store.get("", "1") is not None
    assert not KeptResponses(0, 100, Clock()).keep("", "1", b"", ())


def test_what_is_too_old_is_gone() -> None:
    store, clock = kept(2, ttl_s=100)
    store.keep("", "1", b"x" * 10, (ITEM,))
    clock.now_s = 100
    assert store.get("", "1") is not None
    clock.now_s = 101
    assert store.get("", "1") is None
    assert store.size_bytes == 0


def test_there_are_never_more_than_may_be() -> None:
    store, _ = kept(100, max_count=3)
    for number in range(10):
        store.keep("", str(number), b"", ())
    assert len(store) == 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["keep", "get", "forget", "wait"]), st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 4000)
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_the_sum_of_sizes_is_true_and_bounded(steps: list[tuple[str, str, int, int]]) -> None:
    store, clock = kept(5, ttl_s=2000)
    for what, key_name, number, size in steps:
        match what:
            case "keep":
                is_kept = store.keep(key_name, str(number), b"x" * size, (ITEM,))
                assert is_kept is (store.get(key_name, str(number)) is not None)
            case "get":
                store.get(key_name, str(number))
            case "forget":
                store.forget(key_name, str(number))
            case _:
                clock.now_s += size
        assert store.size_bytes <= store.max_bytes
    left = [store.get(key_name, str(number)) for key_name in "ab" for number in range(6)]
    assert store.size_bytes == sum(one.size_bytes for one in left if one is not None)


def test_an_item_does_not_hold_on_to_the_body_that_it_came_in() -> None:
    body = b'{"instructions":"' + b"x" * 1000 + b'","input":[{"role":"user","content":"hi"}]}'
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    (item,) = msgspec.json.decode(fields.pop("input"), type=list[msgspec.Raw])
    store, _ = kept(5)
    del fields
    holders = sys.getrefcount(body)
    assert store.keep("a", "resp_1", b"{}", (item,))
    del item
    assert sys.getrefcount(body) < holders
