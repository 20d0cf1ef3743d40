"""JSON out of what models write."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.dialects.json_repair import json_in

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.text(max_size=5), values, max_size=4)


@settings(max_examples=100)
@given(values)
def test_valid_json_is_left_as_it_is(value: object) -> None:
    text = json.dumps(value)
    assert json_in(text) == text


@settings(max_examples=100)
@given(objects, st.sampled_from(["Here you are:\n```json\n{}\n```\nAnything else?", "```\n{}\n```", "Sure! {}", "{}\n\nDone."]))
def test_fences_and_talk_around_it_are_taken_off(value: dict[str, object], frame: str) -> None:
    found = json_in(frame.replace("{}", json.dumps(value)))
    assert found is not None
    assert json.loads(found) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1,}', {"a": 1}),
        ("[1, 2, ]", [1, 2]),
        ("{'a': 'it\\'s', 'b': True}", {"a": "it's", "b": True}),
        ('{a: 1, b_c: "x"}', {"a": 1, "b_c": "x"}),
        ('{"a": [1, {"b": 2', {"a": [1, {"b": 2}]}),
        ('{"a": "cut of', {"a": "cut of"}),
        ('{"a": None, "b": "None, True,}"}', {"a": None, "b": "None, True,}"}),
        ('{"text": "keep {a: 1,} and // this", }', {"text": "keep {a: 1,} and // this"}),
    ],
)
def test_small_faults_are_repaired_and_strings_left_alone(text: str, value: object) -> None:
    found = json_in(text)
    assert found is not None
    assert json.loads(found) == value


@pytest.mark.parametrize("text", ["", "I cannot do that.", "}", '{"a" "b"}', "[" * 500 + "]" * 3, "NaN"])
def test_what_is_no_json_gives_nothing(text: str) -> None:
    assert json_in(text) is None


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_never_raises_and_never_gives_what_does_not_parse(text: str) -> None:
    found = json_in(text)
    if found is not None:
        json.loads(found)


@pytest.mark.parametrize("text", ["{'" + "\\'" * 60_000, "{'" * 30_000, '{"a": "' + '\\"' * 60_000, "{" + "'a\\" * 30_000])
def test_quotes_that_never_close_are_looked_through_once(text: str) -> None:
    """From each of them anew it would take hours: what hangs here would hang the gateway."""
    assert json_in(text) is None or "a" in text
