from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.requests import Generation
from jackfield.store.engine import Database
from jackfield.store.slots import KEPT_EVENTS, SlotEventRow, SlotRepository, StoredSlot

LITERAL = "q7Xk29LmPz81vBn4"
GROQ = StoredSlot(
    1, "fast", "groq", {"api_key": "env:GROQ_API_KEY", "n": [1, {"x": None}]}, "llama", Generation(temperature=0.2, stop=("a",))
)
EMPTY = StoredSlot(4, "spare")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jackfield.db"


@pytest.fixture
def slots(path: Path) -> Iterator[SlotRepository]:
    database = Database(path)
    yield SlotRepository(database)
    database.close()


def grep(path: Path, word: str) -> list[Path]:
    return [entry for entry in path.parent.iterdir() if word.encode() in entry.read_bytes()]


@pytest.mark.behaviour("SLOT-02")
def test_the_panel_comes_back_as_it_was_saved_empty_slots_included(slots: SlotRepository, path: Path) -> None:
    slots.save_all([EMPTY, GROQ])
    other = Database(path)
    assert SlotRepository(other).load() == [GROQ, EMPTY]
    other.close()


def test_saving_replaces_the_whole_panel(slots: SlotRepository) -> None:
    slots.save_all([GROQ, EMPTY])
    slots.save_all([EMPTY])
    assert slots.load() == [EMPTY]


def test_one_slot_can_be_saved_alone(slots: SlotRepository) -> None:
    slots.save_all([GROQ, EMPTY])
    renamed = msgspec.structs.replace(GROQ, name="faster")
    stored = slots.save(renamed, [SlotEventRow(1.0, "rename", (GROQ,), (renamed,))])
    assert slots.load() == [renamed, EMPTY]
    assert stored == slots.events()


CONFIGS = st.dictionaries(
    st.sampled_from(["base_url", "timeout", "headers", "quirks"]),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10) | st.lists(st.text(max_size=5), max_size=2),
    max_size=3,
)
SLOTS = st.builds(
    StoredSlot,
    st.integers(0, 31),
    st.text(max_size=8),
    st.none() | st.text(max_size=8),
    CONFIGS,
    st.none() | st.text(max_size=8),
    st.builds(Generation, temperature=st.none() | st.floats(0, 2), seed=st.none() | st.integers(0, 2**40)),
    st.sampled_from(["chat", "embed"]),
)


@given(st.lists(SLOTS, max_size=5, unique_by=lambda slot: slot.number))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_panel_round_trips(slots: SlotRepository, panel: list[StoredSlot]) -> None:
    slots.save_all(panel)
    assert slots.load() == sorted(panel, key=lambda slot: slot.number)


@pytest.mark.behaviour("SEC-04", "SLOT-04")
@pytest.mark.parametrize("literal", [{"api_key": LITERAL}, {"headers": {"authorization": f"Bearer {LITERAL}"}}])
def test_a_literal_secret_is_refused_and_reaches_no_file(slots: SlotRepository, path: Path, literal: dict[str, object]) -> None:
    slots.save_all([EMPTY])
    leaky = msgspec.structs.replace(GROQ, config=literal)
    attempts: list[Callable[[], object]] = [
        lambda: slots.save_all([leaky]),
        lambda: slots.save(leaky),
        lambda: slots.save_all([GROQ], [SlotEventRow(1.0, "plug", (leaky,), (GROQ,))]),
        lambda: slots.save(GROQ, [SlotEventRow(1.0, "plug", (), (leaky,))]),
        lambda: slots.save_config("groq", literal),
        lambda: slots.grab("bag", leaky),
    ]
    for attempt in attempts:
        with pytest.raises(BadRequest, match="holds a secret itself") as refused:
            attempt()
        assert LITERAL not in str(refused.value)
    assert slots.load() == [EMPTY]
    assert slots.events() == []
    assert slots.configs() == {}
    assert grep(path, LITERAL) == []


@pytest.mark.behaviour("SLOT-04")
def test_saved_configs_are_kept_by_provider_id(slots: SlotRepository, path: Path) -> None:
    slots.save_config("groq", {"api_key": "env:GROQ_API_KEY"})
    slots.save_config("ollama", {"port": 11434})
    slots.save_config("ollama", {"port": 11435})
    other = Database(path)
    assert SlotRepository(other).configs() == {"groq": {"api_key": "env:GROQ_API_KEY"}, "ollama": {"port": 11435}}
    other.close()
    assert slots.delete_config("groq")
    assert not slots.delete_config("groq")


def test_events_are_numbered_and_the_newest_comes_first(slots: SlotRepository) -> None:
    plugged, renamed = SlotEventRow(1.0, "plug", (EMPTY,), (GROQ,)), SlotEventRow(2.0, "rename", (GROQ,), (GROQ,))
    first, second = slots.save_all([GROQ], [plugged, renamed])
    assert 0 < first.id < second.id
    assert slots.events() == [second, first]
    assert slots.events(limit=1) == [second]
    assert msgspec.structs.replace(first, id=0) == plugged


def test_undo_works_across_a_restart(slots: SlotRepository, path: Path) -> None:
    slots.save_all([GROQ], [SlotEventRow(1.0, "plug", (EMPTY,), (GROQ,)), SlotEventRow(2.0, "swap", (GROQ,), (EMPTY,))])
    database = Database(path)
    after_restart = SlotRepository(database)
    last = after_restart.last_change()
    assert last is not None
    assert (last.kind, last.before, last.after) == ("swap", (GROQ,), (EMPTY,))
    after_restart.save_all(last.before, [], undone=[last.id])
    database.close()
    assert slots.load() == [GROQ]
    before = slots.last_change()
    assert before is not None
    assert before.kind == "plug"
    assert [event.undone for event in slots.events()] == [True, False]


def test_nothing_changed_is_nothing_to_undo(slots: SlotRepository) -> None:
    assert slots.last_change() is None


def test_a_save_that_fails_leaves_panel_and_history_as_they_were(slots: SlotRepository) -> None:
    (kept,) = slots.save_all([GROQ], [SlotEventRow(1.0, "plug", (), (GROQ,))])
    with pytest.raises(JackfieldError):
        slots.save_all([EMPTY, EMPTY], [SlotEventRow(2.0, "clone", (), ())], undone=[kept.id])
    with pytest.raises(ValueError, match="slot number"):
        slots.save_all([msgspec.structs.replace(EMPTY, number=-1)])
    assert slots.load() == [GROQ]
    assert slots.events() == [kept]


def test_history_is_bounded(slots: SlotRepository) -> None:
    slots.save_all([], [SlotEventRow(float(n), "rename", (), ()) for n in range(KEPT_EVENTS + 50)])
    kept = slots.events(limit=10 * KEPT_EVENTS)
    assert len(kept) == KEPT_EVENTS
    assert kept[0].at == KEPT_EVENTS + 49


def test_a_grabbed_slot_waits_under_its_key(slots: SlotRepository) -> None:
    slots.grab("one", GROQ)
    slots.grab("two", EMPTY)
    assert slots.grabbed("one") == GROQ
    assert slots.grabbed("none") is None
    assert slots.grabbed_keys() == ["one", "two"]
