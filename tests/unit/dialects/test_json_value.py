"""Typed reads from JSON, and fields that nobody names."""

from typing import Any

import pytest

from jackfield.core.errors import BadRequest
from jackfield.dialects.json_value import kind_of, present, required_text, rest, with_extra, wrong_type


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("x", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_values_are_called_by_their_json_names(value: Any, expected: str) -> None:
    assert kind_of(value) == expected
    assert wrong_type("a.b", "something else", value).message == f"a.b must be something else, got {expected}"


@pytest.mark.parametrize(
    ("owner", "words"), [({}, "is required"), ({"x": None}, "is required"), ({"x": 1}, "must be a string")]
)
def test_a_missing_text_names_its_place(owner: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        required_text(owner, "x", "a[0]")
    assert caught.value.param == "a[0].x"


def test_leftovers_return_to_where_they_were() -> None:
    wire = {"a": 1, "odd": 2, "inner": {"b": 3, "deep": 4}}
    extra = rest(wire, ("a", "inner"), {"inner": rest(wire["inner"], ("b",))})  # type: ignore[arg-type]
    assert extra == {"odd": 2, "inner": {"deep": 4}}
    assert with_extra({"a": 1, "inner": {"b": 3}}, extra, "inner") == wire


def test_leftovers_never_replace_what_is_known() -> None:
    assert with_extra({"a": 1}, {"a": 2}) == {"a": 1}


def test_absent_looks_alike() -> None:
    assert present({"a": None, "b": [], "c": {}, "d": 0, "e": "", "f": False}) == {"d": 0, "e": "", "f": False}
