"""Quirks: a closed list of typed facts."""

import msgspec
import pytest

from jackfield.dialects.openai_chat import ChatQuirks


def test_an_unknown_quirk_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="max_token_field"):
        msgspec.convert({"max_token_field": "max_tokens"}, ChatQuirks)


def test_a_quirk_has_only_its_own_values() -> None:
    with pytest.raises(msgspec.ValidationError, match="max_tokens_field"):
        msgspec.convert({"max_tokens_field": "n_predict"}, ChatQuirks)


@pytest.mark.parametrize(
    ("model", "expected"),
    [("o1", True), ("openai/o1-mini", True), ("O1", True), ("gpt-5.2", True), ("proto1", False), ("", False), (None, False)],
)
def test_reasoning_models_are_told_by_pattern(model: str | None, expected: bool) -> None:
    assert ChatQuirks(reasoning_models=("o1*", "gpt-5*")).is_reasoning_model(model) is expected


def test_no_model_is_a_reasoning_model_unless_said() -> None:
    assert not ChatQuirks().is_reasoning_model("o1")


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("seed", (), True),
        ("top_k", (), False),
        ("top_k", ("top_k",), True),
        ("min_p", ("*",), True),
        ("min_p", ("top_*",), False),
    ],
)
def test_fields_beyond_the_standard_need_leave(name: str, patterns: tuple[str, ...], expected: bool) -> None:
    assert ChatQuirks(extra_fields=patterns).takes_field(name) is expected
