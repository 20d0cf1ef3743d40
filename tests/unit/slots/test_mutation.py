"""Generation settings under noise and by name."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.core.requests import Generation
from jackfield.slots.mutation import BOUNDS, differences, perturbed, with_settings

generations = st.builds(
    Generation,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0.05, 1),
    top_k=st.none() | st.integers(1, 200),
    frequency_penalty=st.none() | st.floats(-2, 2),
)
shares = st.floats(0.01, 1)


@settings(max_examples=200)
@given(generations, shares, shares, st.integers())
def test_noise_stays_within_bounds_and_changes_something(before: Generation, rate: float, scale: float, seed: int) -> None:
    after = perturbed(before, rate, scale, seed)
    for name, (low, high, _) in BOUNDS.items():
        value = getattr(after, name)
        assert value is None or low <= value <= high
    assert differences(before, after)


@settings(max_examples=50)
@given(generations, st.integers())
def test_the_same_seed_gives_the_same_noise(before: Generation, seed: int) -> None:
    assert perturbed(before, 0.5, 0.1, seed) == perturbed(before, 0.5, 0.1, seed)


def test_a_rate_of_one_touches_every_setting_that_is_there() -> None:
    before = Generation(temperature=1.0, top_p=0.5, top_k=40)
    assert set(differences(before, perturbed(before, 1, 0.5, 1))) == {"temperature", "top_p", "top_k"}


@pytest.mark.parametrize(("rate", "scale"), [(0, 0.1), (1.1, 0.1), (0.1, 0), (0.1, -1)])
def test_shares_outside_zero_to_one_are_refused(rate: float, scale: float) -> None:
    with pytest.raises(BadRequest, match="must be above 0 and at most 1"):
        perturbed(Generation(), rate, scale, 1)


def test_settings_by_any_of_their_names() -> None:
    assert with_settings(Generation(top_p=0.5), {"temp": 0.3, "stop": "x"}) == Generation(
        temperature=0.3, top_p=0.5, stop=("x",)
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"temprature": 1}, "did you mean 'temperature'?"),
        ({"system_prompt": "be kind"}, "no generation setting"),
        ({"temperature": 3}, "must be 0 to 2"),
        ({"temperature": "warm"}, "temperature"),
    ],
)
def test_what_is_no_setting_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        with_settings(Generation(), given)
    assert says in caught.value.message
    assert caught.value.param == next(iter(given))
