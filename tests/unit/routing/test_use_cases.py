"""Use cases: data read strictly, and which source and model a target means."""

from typing import Any

import pytest

from jackfield.core.errors import BadRequest
from jackfield.providers.registry import load_registrar
from jackfield.routing.candidates import Candidate
from jackfield.routing.select import Wish, select
from jackfield.routing.use_cases import Target, UseCases, parse_use_cases


@pytest.mark.parametrize(
    ("target", "what", "fits", "model"),
    [
        ("llama-cpp/qwen3-coder-30b", {"provider": "llama-cpp"}, True, "qwen3-coder-30b"),
        ("llama-cpp/qwen3-coder-30b", {"provider": "llama-cpp", "models": ("other",)}, False, None),
        ("llama-cpp/qwen3-coder-30b", {"provider": "openai"}, False, None),
        ("*/*coder*", {"provider": "x", "models": ("a", "my-coder-7b")}, True, "my-coder-7b"),
        ("*/*coder*", {"provider": "x"}, False, None),
        ("ollama", {"provider": "ollama", "models": ("a",)}, True, None),
        ("slot-3", {"provider": "x"}, True, None),
        ("slot-*/m", {"provider": "x"}, True, "m"),
        ("b-7", {"provider": "x", "id": "b-7"}, True, None),
        ("openrouter/org/name", {"provider": "openrouter", "models": ("org/name",)}, True, "org/name"),
        ("*", {"provider": "x"}, True, None),
    ],
)
def test_a_target_means_a_source_and_its_model(target: str, what: dict[str, Any], fits: bool, model: str | None) -> None:
    candidate = Candidate(3, **what)
    parsed = Target.parse(target)
    assert parsed.fits(candidate) is fits
    assert parsed.model_of(candidate) == model or not fits


@pytest.mark.behaviour("SLOT-33")
def test_coding_goes_to_the_local_coder_else_to_the_next_target() -> None:
    cases = UseCases.load(canonical=load_registrar(plugins=False).canonical)
    wish = Wish(targets=cases.targets("Coding"))
    local = Candidate(1, "llama-server", models=("qwen3-coder-30b",))
    big = Candidate(0, "openai", models=("gpt-4",))
    selection = select([big, local], wish)
    assert [each.slot for each in selection.order] == [1, 0]
    assert selection.model == "qwen3-coder-30b"
    assert "fits llama-server/qwen3-coder-30b" in selection.explain()[0]
    assert select([big], wish).model == "gpt-4"


@pytest.mark.behaviour("SLOT-33")
def test_a_rule_without_anybody_at_the_end_excludes_the_rest() -> None:
    cases = UseCases.load({"coding": ["ollama/coder"]})
    selection = select(
        [Candidate(0, "openai"), Candidate(1, "ollama", models=("coder",))], Wish(targets=cases.targets("coding"))
    )
    assert [each.slot for each in selection.order] == [1]
    (out,) = selection.exclusions
    assert (out.stage, out.reason) == ("policy", "it is none of ollama/coder")
    assert "private" in cases.names


def test_models_in_order_are_targets_too() -> None:
    wish = Wish(targets=(Target(model="a"), Target(model="b")))
    selection = select([Candidate(0, "x", models=("b",)), Candidate(1, "y", models=("a", "b"))], wish)
    assert [each.slot for each in selection.order] == [1, 0]
    assert selection.model == "a"


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ({"a": []}, "use_cases.a"),
        ({"a": 3}, "use_cases.a"),
        ({"a": ["x", ""]}, "use_cases.a[1]"),
        ({"a": [3]}, "use_cases.a[0]"),
    ],
)
def test_a_rule_that_says_nonsense_is_named(raw: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_use_cases(raw)
    assert caught.value.param == param


def test_an_unknown_use_case_is_told_with_the_nearest() -> None:
    with pytest.raises(BadRequest, match="did you mean 'coding'"):
        UseCases.load().targets("codin")
    assert UseCases.load({"one": "ollama"}).targets("one") == (Target("ollama"),)
