import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, SlotOutOfRange
from jackfield.core.ids import MAX_SLOTS, ModelRef, SlotNumber, parse_provider_id


@given(st.integers(0, MAX_SLOTS - 1))
def test_a_slot_number_in_range_is_that_number_and_names_a_model(number: int) -> None:
    slot = SlotNumber(number)
    assert slot == number
    assert ModelRef.parse(slot.model_name).slot == slot


@given(st.one_of(st.integers(max_value=-1), st.integers(min_value=MAX_SLOTS)))
def test_a_slot_number_out_of_range_is_refused_and_never_wraps(number: int) -> None:
    with pytest.raises(SlotOutOfRange, match="slots run from 0"):
        SlotNumber(number)


@pytest.mark.parametrize("wrong", [True, 1.0, "1", None])
def test_what_is_no_whole_number_is_no_slot(wrong: object) -> None:
    with pytest.raises(BadRequest, match="whole number"):
        SlotNumber(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["slot--1", "slot-99999", "slot-" + "9" * 6000, "slot--" + "9" * 6000])
def test_a_slot_name_out_of_range_is_told_so(text: str) -> None:
    with pytest.raises(SlotOutOfRange) as refused:
        ModelRef.parse(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "slot", "head", "tail"),
    [
        ("slot-3", 3, None, None),
        ("SLOT-03", 3, None, None),
        ("slot-" + "0" * 6000 + "7", 7, None, None),
        ("  slot-0 ", 0, None, None),
        ("groq/llama", None, "groq", "llama"),
        ("openrouter/meta-llama/llama-3", None, "openrouter", "meta-llama/llama-3"),
        ("gpt-4o", None, None, None),
        ("slot-x", None, None, None),
        ("slot-٣", None, None, None),
        ("slot-1/gpt", None, "slot-1", "gpt"),
        ("/gpt", None, None, None),
        ("groq/", None, None, None),
    ],
)
def test_a_model_name_is_taken_apart_once(text: str, slot: int | None, head: str | None, tail: str | None) -> None:
    ref = ModelRef.parse(text)
    assert (ref.text, ref.slot, ref.head, ref.tail) == (text.strip(), slot, head, tail)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_model_name_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(BadRequest, match="slot-0") as refused:
        ModelRef.parse(text)
    assert refused.value.param == "model"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_typed_error(text: str) -> None:
    try:
        ref = ModelRef.parse(text)
    except (BadRequest, SlotOutOfRange):
        return
    assert ref.text == text.strip()
    assert ref.head is None or f"{ref.head}/{ref.tail}" == ref.text


@pytest.mark.parametrize(("text", "provider_id"), [("Groq", "groq"), (" llama.cpp ", "llama.cpp"), ("a" * 64, "a" * 64)])
def test_a_provider_id_has_one_spelling(text: str, provider_id: str) -> None:
    assert parse_provider_id(text) == provider_id


@pytest.mark.parametrize("text", ["", "a b", "-groq", "a" * 65, "groq/x", "naïve", "groq\nx"])
def test_what_is_no_provider_id_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="provider id"):
        parse_provider_id(text)
