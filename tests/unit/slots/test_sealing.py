"""Literal secrets leave a config and a reference takes each one's place."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.slots.sealing import sealed

KEY = "sk-live-0123456789abcdef"


class Kept:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __call__(self, name: str, value: str) -> str:
        self.values[name] = value
        return f"file:{name}"


def test_a_literal_key_becomes_a_reference() -> None:
    kept = Kept()
    config = {"api_key": KEY, "model": "m", "headers": {"Authorization": f"Bearer {KEY}", "x-title": "t"}}
    assert sealed(config, kept) == {
        "api_key": "file:api_key",
        "model": "m",
        "headers": {"Authorization": "Bearer file:headers/authorization", "x-title": "t"},
    }
    assert kept.values == {"api_key": KEY, "headers/authorization": KEY}
    assert config["api_key"] == KEY, "the caller's own dict is left alone"


@pytest.mark.parametrize("reference", ["env:GROQ_API_KEY", "keyring:slot-3/api_key", "file:x"])
def test_a_reference_stays(reference: str) -> None:
    kept = Kept()
    assert sealed({"api_key": reference}, kept) == {"api_key": reference}
    assert not kept.values


def test_the_environment_by_its_shell_spelling() -> None:
    assert sealed({"api_key": "${OPENAI_API_KEY}"}, Kept()) == {"api_key": "env:OPENAI_API_KEY"}


@pytest.mark.parametrize("url", [f"http://user:{KEY}@127.0.0.1/v1", f"http://127.0.0.1/v1?api_key={KEY}"])
def test_a_credential_in_a_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadRequest, match="take it out") as caught:
        sealed({"base_url": url}, Kept())
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("value", [object(), b"bytes and no text".decode().join(["\ud800"] * 2), {1, object()}])
def test_what_is_not_json_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(BadRequest, match="plain JSON"):
        sealed({"a": [value]}, Kept())


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["plain", "m/n", "http://127.0.0.1:1/v1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "model", "quirks"]), inner, max_size=3),
    max_leaves=8,
)
holders = st.sampled_from(["api_key", "token", "client_secret", "X-Api-Key"])


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(["a", "b"]), plain), holders, st.text("abcXYZ019", min_size=12, max_size=30))
def test_no_key_survives_wherever_it_stands(config: dict[str, Any], holder: str, secret: str) -> None:
    literal = f"sk-{secret}"
    kept = Kept()
    result = sealed({**config, "deep": [{"er": {holder: literal}}]}, kept)
    assert literal not in json.dumps(result)
    assert literal in kept.values.values()
