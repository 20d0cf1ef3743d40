"""Reading configs: strict, with a did-you-mean, generation defaults apart."""

import msgspec
import pytest

from jackfield.core.errors import BadRequest
from jackfield.core.requests import Generation
from jackfield.providers.config import merge_generation, read_config


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    base_url: str | None = None
    port: int | None = None
    verify_tls: bool = True


def test_own_keys_aliases_and_generation_are_told_apart() -> None:
    knobs, generation = read_config(
        Knobs, {"port": 1, "verify_ssl": False, "temp": 0.5, "stop": "x"}, "p", {"verify_ssl": "verify_tls"}
    )
    assert knobs == Knobs(port=1, verify_tls=False)
    assert generation == Generation(temperature=0.5, stop=("x",))


def test_null_is_not_given() -> None:
    assert read_config(Knobs, {"base_url": None, "temperature": None}, "p") == (Knobs(), Generation())


@pytest.mark.parametrize(
    ("config", "param", "said"),
    [
        ({"base_urll": "x"}, "base_urll", "did you mean 'base_url'?"),
        ({"nonsense": None}, "nonsense", "unknown setting"),
        ({"port": "eighty"}, "port", "Expected `int | null`"),
        ({"temperature": 9}, "temperature", "0 to 2"),
        ({"verify_ssl": True, "verify_tls": False}, "verify_tls", "differ"),
        ({"max_tokens": 1, "num_predict": 2}, "num_predict", "differ"),
    ],
)
def test_what_is_not_understood_is_named(config: dict[str, object], param: str, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_config(Knobs, config, "p", {"verify_ssl": "verify_tls"})
    assert caught.value.param == param
    assert caught.value.provider == "p"
    assert said in caught.value.message


def test_values_are_never_quoted() -> None:
    with pytest.raises(BadRequest) as caught:
        read_config(Knobs, {"port": "sk-notforyoureyes1234"}, "p")
    assert "notforyoureyes" not in caught.value.message


def test_what_is_asked_wins_over_defaults() -> None:
    merged = merge_generation(Generation(temperature=0.0, seed=1), Generation(temperature=1.0, max_tokens=5))
    assert merged == Generation(temperature=0.0, seed=1, max_tokens=5)
    asked = Generation(seed=1)
    assert merge_generation(asked, Generation()) is asked
