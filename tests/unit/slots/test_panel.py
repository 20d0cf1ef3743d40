"""The panel as a value: who stands where after an operation, and what is refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, Conflict, SlotEmpty, SlotOutOfRange
from jackfield.slots import panel
from jackfield.slots.panel import EMPTY, Place
from jackfield.slots.slot import SlotSpec

SPEC = SlotSpec("scripted")
FULL = Place(None, SPEC)
SIZE = 5
names = st.none() | st.text(alphabet="abcß", min_size=1, max_size=4)
places = st.lists(
    st.builds(Place, names, st.none() | st.builds(SlotSpec, st.sampled_from("xyz"))), min_size=SIZE, max_size=SIZE
)


@pytest.mark.behaviour("SLOT-10")
@pytest.mark.parametrize("number", [-1, -5, SIZE, 10**30])
def test_a_number_outside_the_panel_never_wraps(number: int) -> None:
    with pytest.raises(SlotOutOfRange, match="slots 0 to 4"):
        panel.checked_number(number, SIZE)


@pytest.mark.parametrize("number", [True, 1.0, "1", None])
def test_only_whole_numbers_are_slots(number: Any) -> None:
    with pytest.raises(BadRequest, match="whole number"):
        panel.checked_number(number, SIZE)


@pytest.mark.parametrize("name", ["", "  ", "a/b", "x" * 65, "line\nbreak"])
def test_some_texts_are_no_names(name: str) -> None:
    with pytest.raises(BadRequest, match="cannot name a slot"):
        panel.checked_name([EMPTY], 0, name)


@pytest.mark.parametrize("name", ["slot-1", "SLOT_1", "slot-01", "slot-9999"])
def test_a_name_that_means_another_slot_is_refused(name: str) -> None:
    with pytest.raises(Conflict, match="means slot"):
        panel.checked_name([EMPTY] * 2, 0, name)


def test_its_own_number_is_the_default_name() -> None:
    assert panel.checked_name([EMPTY] * 2, 1, " Slot-1 ") is None
    assert panel.shown_name([EMPTY] * 2, 1) == "slot_1"


def test_names_differ_by_more_than_case() -> None:
    with pytest.raises(Conflict, match="slot 0 is already named"):
        panel.checked_name([Place("Coder"), EMPTY], 1, "cODER")


@settings(max_examples=100)
@given(places, st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_swapping_twice_changes_nothing(now: list[Place], a: int, b: int) -> None:
    try:
        once = panel.swapped(now, a, b)
    except (BadRequest, SlotEmpty):
        assert a == b or (now[a].spec is None and now[b].spec is None)
        return
    moved = [once.get(number, place) for number, place in enumerate(now)]
    back = panel.swapped(moved, a, b)
    assert [back.get(number, place) for number, place in enumerate(moved)] == now


@settings(max_examples=100)
@given(places, st.integers(0, SIZE - 1), st.integers(1, SIZE))
def test_clones_take_exactly_so_many_free_slots_or_none(now: list[Place], source: int, count: int) -> None:
    free = sum(place.spec is None for place in now)
    if now[source].spec is None:
        with pytest.raises(SlotEmpty):
            panel.clone_targets(now, source, count)
        return
    if count > free:
        with pytest.raises(Conflict, match=f"{free} are free"):
            panel.clone_targets(now, source, count)
        return
    targets = panel.clone_targets(now, source, count)
    changes = panel.cloned(now, source, targets)
    assert len(changes) == count
    assert all(now[number].spec is None for number in changes)
    assert all(place.spec == now[source].spec for place in changes.values())
    given_names = [place.name.casefold() for place in changes.values() if place.name]
    assert len(given_names) == len(set(given_names))
    assert not set(given_names) & {place.name.casefold() for place in now if place.name}


def test_clones_stand_behind_their_source_first() -> None:
    now = [EMPTY, FULL, EMPTY, FULL, EMPTY]
    assert panel.clone_targets(now, 1, 3) == [2, 4, 0]
    assert panel.clone_targets(now, 1, 1, frozenset({2})) == [4]


@pytest.mark.parametrize("count", [0, -1, True, "2"])
def test_a_count_is_a_positive_whole_number(count: Any) -> None:
    with pytest.raises(BadRequest, match="count must be 1 or more"):
        panel.clone_targets([FULL, EMPTY], 0, count)


def test_unplugging_takes_name_and_spec_at_once() -> None:
    assert panel.unplugged([Place("coder", SPEC)], 0) == {0: EMPTY}
    with pytest.raises(SlotEmpty, match="slot 0 is empty"):
        panel.unplugged([EMPTY], 0)
