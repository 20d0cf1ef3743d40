"""What a model's name suggests, as data."""

import pytest

from jackfield.slots.model_names import name_rules, suggested


@pytest.mark.parametrize(
    ("model", "first"),
    [
        ("gpt-4o", "openai"),
        ("GPT-4o", "openai"),
        ("claude-sonnet", "anthropic"),
        ("grok-4", "xai"),
        ("meta-llama/Llama-3.1-70B", "vllm"),
        ("llama3.2:latest", "ollama"),
        ("tiny.gguf", "local"),
        ("anything", "ollama"),
    ],
)
def test_the_first_suggestion(model: str, first: str) -> None:
    names = list(suggested(model))
    assert names[0] == first
    assert len(names) == len(set(names))


def test_every_name_has_a_suggestion() -> None:
    assert list(suggested(""))
    assert all(rule.match and rule.providers for rule in name_rules())
