"""Bindings: what is settled when they are made, and generation settings as fields."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.ids import SlotNumber
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.slots.slot import Slot, SlotSpec, default_fields, merged_generation


def test_settings_become_the_fields_of_a_chat_body() -> None:
    fields = default_fields(Generation(temperature=0.5, stop=("x",), context_length=4096))
    assert {name: msgspec.json.decode(raw) for name, raw in fields.items()} == {"temperature": 0.5, "stop": ["x"]}
    assert default_fields(Generation()) == {}


@given(st.none() | st.floats(0, 2), st.none() | st.floats(0, 2))
def test_what_a_client_says_comes_before_the_slots_settings(default: float | None, said: float | None) -> None:
    merged = merged_generation(Generation(temperature=default, seed=1), Generation(temperature=said))
    assert merged.temperature == (said if said is not None else default)
    assert merged.seed == 1


def test_nothing_to_add_gives_the_very_same_object() -> None:
    given = Generation(temperature=1.0)
    assert merged_generation(Generation(temperature=0.2), given) is given


def test_an_empty_slot_is_a_slot() -> None:
    slot = Slot(SlotNumber(3), "slot_3")
    assert slot.is_empty
    assert slot.number.model_name == "slot-3"
    assert not Slot(SlotNumber(3), "x", SlotSpec("openai"), None, "no key").is_empty


def test_a_spec_is_plain_json() -> None:
    spec = SlotSpec("openai", {"a": 1}, "m", Generation(temperature=1.0), "embed")
    assert msgspec.json.decode(msgspec.json.encode(spec), type=SlotSpec) == spec
    assert ChatRequest((text_message("user", "x"),)).generation == Generation()
    with pytest.raises(AttributeError):
        spec.model = "other"  # type: ignore[misc]
