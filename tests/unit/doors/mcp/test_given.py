"""Settings given as text: what is one, what means those saved, and that a refusal shows nothing of what was given."""

import pytest

from jackfield.core.errors import BadRequest
from jackfield.doors.mcp.given import config_of

EXAMPLES = [
    '{"model": "qwen3-0.6b.gguf"}',
    '{"base_url": "http://127.0.0.1:8000/v1", "model": "llama3"}',
    '{"model": "groq/llama-3.3-70b-versatile", "api_key": "env:GROQ_API_KEY"}',
    '{"model": "meta-llama/Llama-3.3-70B-Instruct", "api_key": "env:AKASHML_API_KEY"}',
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_tool_parse(text: str) -> None:
    from jackfield.doors.mcp.slot_tools import plug_provider

    assert config_of(text)
    assert text in " ".join((plug_provider.__doc__ or "").split())


@pytest.mark.parametrize("text", ["", "{}", " {} "])
def test_nothing_means_what_was_saved(text: str) -> None:
    assert config_of(text) is None


@pytest.mark.parametrize("text", ["{canary", "[]", "3", '"canary"', "null", "[" * 9000, "{'canary': 1}", "\ud800"])
def test_what_is_no_object_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        config_of(text)
    assert caught.value.param == "config"
    assert "canary" not in caught.value.message
