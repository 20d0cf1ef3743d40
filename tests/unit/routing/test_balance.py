"""Policies: what each picks first, that orders are whole, and how evenly the turns are spread."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.routing.balance import (
    EXPLORE_EVERY,
    LOOK_AT,
    POLICIES,
    Group,
    Moment,
    conversation_key,
    ordered,
    pick,
    policy_named,
)
from jackfield.routing.candidates import Candidate


def group(*members: Candidate) -> Group[Candidate]:
    return Group(members)


def numbered(count: int, **more: Any) -> list[Candidate]:
    return [Candidate(slot, f"p{slot}", id=f"b{slot}", **more) for slot in range(count)]


def picks(policy: str, members: Group[Candidate], turns: int) -> Counter[int | None]:
    return Counter(pick(POLICIES[policy], members, Moment(turn)).slot for turn in range(turns))


members = st.lists(
    st.builds(
        Candidate,
        slot=st.integers(0, 200),
        provider=st.just("p"),
        cost_msat=st.none() | st.integers(0, 3),
        latency_s=st.sampled_from([0.0, 0.1, 0.5]),
        tokens_per_s=st.floats(0, 9),
        in_flight=st.integers(0, 3),
        weight=st.floats(0, 5),
    ),
    min_size=1,
    max_size=80,
    unique_by=lambda each: each.slot,
)


@settings(max_examples=150, deadline=None)
@given(members, st.sampled_from(sorted(POLICIES)), st.integers(0, 10**9), st.none() | st.text(max_size=8))
def test_an_order_is_the_whole_group_and_begins_with_the_pick(
    field: list[Candidate], name: str, turn: int, key: str | None
) -> None:
    moment, policy = Moment(turn, key), POLICIES[name]
    order = ordered(policy, Group(field), moment)
    assert sorted(each.slot or 0 for each in order) == sorted(each.slot or 0 for each in field)
    assert order[0] is pick(policy, Group(field), moment)


@pytest.mark.behaviour("MGR-07")
@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(0, 1000), st.integers(0, 500))
def test_round_robin_is_even_whenever_one_begins_to_count(count: int, start: int, turns: int) -> None:
    field = group(*numbered(count))
    seen = Counter(pick(POLICIES["round_robin"], field, Moment(start + turn)).slot for turn in range(turns))
    shares = [seen[slot] for slot in range(count)]
    assert max(shares) - min(shares) <= 1


@pytest.mark.behaviour("MGR-08")
def test_the_least_loaded_takes_the_fewest_and_equals_alternate() -> None:
    busy = group(Candidate(0, "a", in_flight=3), Candidate(1, "b", in_flight=1), Candidate(2, "c", in_flight=2))
    assert picks("least_loaded", busy, 30) == {1: 30}
    assert picks("least_loaded", group(*numbered(3)), 30) == {0: 10, 1: 10, 2: 10}


@pytest.mark.behaviour("MGR-09")
def test_the_best_performance_is_the_lowest_latency_and_the_unmeasured_are_tried() -> None:
    measured = [Candidate(0, "slow", latency_s=0.5), Candidate(1, "fast", latency_s=0.1)]
    seen = picks("best_performance", group(*measured), 1000)
    assert seen[1] >= 1000 - 1000 // EXPLORE_EVERY
    assert seen[0] > 0, "an old measurement is checked now and then"
    new = Candidate(2, "new")
    assert pick(POLICIES["best_performance"], group(*measured, new), Moment()) is new
    # One try at a time: while the new one is busy with its first answer, the fast one goes on.
    trying = Candidate(2, "new", in_flight=1)
    assert pick(POLICIES["best_performance"], group(*measured, trying), Moment()).slot == 1


def test_cheapest_and_free_first_rank_by_price_and_the_unpriced_come_last() -> None:
    ranks = [POLICIES["cheapest"].rank(Candidate(0, "p", cost_msat=cost)) for cost in (0, 5, None)]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3
    free = POLICIES["free_first"].rank
    assert free(Candidate(0, "p", cost_msat=5)) == free(Candidate(0, "p", cost_msat=9))
    assert free(Candidate(0, "p")) < free(Candidate(0, "p", cost_msat=5)) < free(Candidate(0, "p", cost_msat=None))


def test_weights_part_the_turns() -> None:
    field = group(Candidate(0, "a", weight=1), Candidate(1, "b", weight=2), Candidate(2, "c", weight=0))
    seen = picks("weighted", field, 3000)
    assert seen[2] == 0
    assert seen[0] == pytest.approx(1000, abs=5)
    idle = group(Candidate(0, "a", weight=0), Candidate(1, "b", weight=0))
    assert picks("weighted", idle, 10) == {0: 5, 1: 5}


@settings(max_examples=100)
@given(st.integers(2, 12), st.integers(0, 11), st.lists(st.text(max_size=12), min_size=1, max_size=30))
def test_sticky_keeps_and_only_the_keys_of_a_removed_member_move(count: int, gone: int, keys: list[str]) -> None:
    field = numbered(count)
    gone %= count
    policy = POLICIES["sticky"]
    for key in keys:
        before = pick(policy, group(*field), Moment(0, key))
        assert pick(policy, group(*field), Moment(7, key)) is before
        assert pick(policy, group(*reversed(field)), Moment(0, key)) is before
        after = pick(policy, group(*(each for each in field if each.slot != gone)), Moment(0, key))
        if before.slot != gone:
            assert after is before
        else:
            assert after is ordered(policy, group(*field), Moment(0, key))[1], "the second choice takes over"


def test_sticky_spreads_keys_evenly_and_takes_turns_without_a_key() -> None:
    field = group(*numbered(8))
    policy = POLICIES["sticky"]
    seen = Counter(pick(policy, field, Moment(0, f"session {number}")).slot for number in range(8000))
    assert len(seen) == 8
    assert min(seen.values()) > 800
    assert max(seen.values()) < 1200
    assert picks("sticky", field, 16) == dict.fromkeys(range(8), 2)


def test_a_conversation_is_known_by_its_session_or_by_how_it_begins() -> None:
    assert conversation_key("s", b"x") == "s"
    long = b"x" * 5000
    assert conversation_key(None, long) == conversation_key(None, long + b"y")
    assert conversation_key(None, b"a") != conversation_key(None, b"b")


def test_a_large_group_is_looked_at_in_parts_and_the_best_is_still_found() -> None:
    field = [Candidate(slot, "p", latency_s=0.5, in_flight=9) for slot in range(500)]
    field[321] = Candidate(321, "p", latency_s=0.1, in_flight=9)
    large = Group(field)
    policy = POLICIES["best_performance"]
    chosen = [pick(policy, large, Moment(turn)).slot for turn in range(64)]
    settled = chosen[500 // LOOK_AT + 1 :]
    assert settled.count(321) >= len(settled) - 2


def test_an_unknown_policy_is_named_with_the_nearest() -> None:
    with pytest.raises(BadRequest, match="did you mean 'least_loaded'"):
        policy_named("leastloaded")
