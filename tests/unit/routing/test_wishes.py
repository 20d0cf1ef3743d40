"""The `provider` object of a request: what is understood, and that every mistake names its field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.routing.balance import POLICIES
from jackfield.routing.wishes import SORTS, MaxPrice, Wishes

WHOLE = {
    "order": ["Groq", "slot-3", "groq"],
    "only": ["groq", "slot-3"],
    "ignore": ["openai"],
    "sort": "price",
    "max_price": {"prompt": 1, "completion": "2.5"},
    "require_parameters": True,
    "allow_fallbacks": False,
    "data_collection": "deny",
    "quantizations": None,
}


@pytest.mark.behaviour("ROUTE-01")
@pytest.mark.parametrize("form", [dict, msgspec.json.encode, lambda value: msgspec.Raw(msgspec.json.encode(value))])
def test_all_fields_are_understood_in_every_form(form: Any) -> None:
    assert Wishes.parse(form(WHOLE)) == Wishes(
        order=("groq", "slot-3"),
        only=("groq", "slot-3"),
        ignore=("openai",),
        sort="cheapest",
        max_price=MaxPrice(1.0, 2.5),
        require_parameters=True,
        allow_fallbacks=False,
        keeps_nothing=True,
    )


def test_nothing_said_is_no_wish() -> None:
    silent: list[Any] = [None, b"null", {}, {"sort": None, "order": None, "max_price": {}}, {"max_price": {"prompt": None}}]
    assert {Wishes.parse(raw) for raw in silent} == {Wishes()}
    assert Wishes.parse({"zdr": True}).keeps_nothing
    assert not Wishes.parse({"zdr": False, "data_collection": "allow"}).keeps_nothing


@pytest.mark.behaviour("ROUTE-01")
@pytest.mark.parametrize(
    ("raw", "field", "says"),
    [
        (b"{", "provider", "not valid JSON"),
        (b"\xff", "provider", "not valid JSON"),
        ("groq", "provider", "must be an object"),
        ([], "provider", "must be an object"),
        ({"oder": ["groq"]}, "provider.oder", "did you mean 'order'"),
        ({"order": "groq"}, "provider.order", "must be a list"),
        ({"order": ["groq", 3]}, "provider.order[1]", "slot-N"),
        ({"only": [""]}, "provider.only[0]", "slot-N"),
        ({"ignore": ["x"] * 65}, "provider.ignore", "at most 64"),
        ({"sort": "prize"}, "provider.sort", "did you mean 'price'"),
        ({"sort": 3}, "provider.sort", "one of price"),
        ({"max_price": 3}, "provider.max_price", "must be an object"),
        ({"max_price": {"image": 1}}, "provider.max_price.image", "not known here"),
        ({"max_price": {"prompt": -1}}, "provider.max_price.prompt", "0 or more"),
        ({"max_price": {"prompt": "much"}}, "provider.max_price.prompt", "0 or more"),
        ({"max_price": {"completion": True}}, "provider.max_price.completion", "0 or more"),
        ({"max_price": {"completion": "nan"}}, "provider.max_price.completion", "0 or more"),
        ({"max_price": {"completion": 10**400}}, "provider.max_price.completion", "0 or more"),
        ({"require_parameters": 1}, "provider.require_parameters", "true or false"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks", "true or false"),
        ({"data_collection": "never"}, "provider.data_collection", "one of allow, deny"),
        ({"quantizations": ["fp8"]}, "provider.quantizations", "leave it out"),
    ],
)
def test_a_mistake_names_its_field(raw: Any, field: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says) as caught:
        Wishes.parse(raw)
    assert caught.value.param == field


def test_every_sort_is_a_policy() -> None:
    assert set(SORTS.values()) <= set(POLICIES)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*WHOLE, "zdr", "other"]), plain, max_size=4) | plain)
def test_anything_is_either_understood_or_refused_by_name(raw: Any) -> None:
    outcome: Wishes | str | None
    try:
        outcome = Wishes.parse(raw)
    except BadRequest as error:
        outcome = error.param
    assert isinstance(outcome, Wishes) or (outcome or "").startswith("provider")
