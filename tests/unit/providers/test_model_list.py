"""Model lists in the shapes that servers are known to send."""

import msgspec
import pytest

from jackfield.core.errors import Malformed
from jackfield.core.profiles import ModelProfile
from jackfield.providers.model_list import decode_models, select


@pytest.mark.behaviour("ADPT-21", "ADPT-06")
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"id": "a", "object": "model"}, ModelProfile("a", source="s")),
        ({"id": "a", "context_window": 8192}, ModelProfile("a", context_length=8192, source="s")),
        ({"id": "a", "max_model_len": 2048, "root": "/x"}, ModelProfile("a", context_length=2048, source="s")),
        ({"id": "a", "meta": {"n_ctx_train": 4096}}, ModelProfile("a", context_length=4096, source="s")),
        (
            {
                "id": "a",
                "name": "A",
                "description": "d",
                "context_length": 10,
                "architecture": {"input_modalities": ["text", "image"]},
                "supported_parameters": ["tools"],
                "pricing": {"prompt": "0.1"},
                "top_provider": {"max_completion_tokens": 5},
            },
            ModelProfile("a", "A", "d", 10, 5, vision=True, tools=True, pricing={"prompt": "0.1"}, source="s"),
        ),
        (
            {"id": "a", "capabilities": {"vision": False, "function_calling": True}, "max_context_length": 7},
            ModelProfile("a", context_length=7, vision=False, tools=True, source="s"),
        ),
        ({"id": "a", "context_length": -1, "description": 3}, ModelProfile("a", source="s")),
    ],
)
def test_facts_are_read_where_they_are_told(entry: dict[str, object], expected: ModelProfile) -> None:
    assert decode_models(msgspec.json.encode({"object": "list", "data": [entry]}), "s") == (expected,)


def test_a_bare_list_and_bare_names_are_understood() -> None:
    assert [model.id for model in decode_models(b'["a", {"name": "b"}]', "s")] == ["a", "b"]
    assert decode_models(b'{"models": []}', "s") == ()


@pytest.mark.parametrize("body", [b"<html>", b"3", b"{}", b'{"data": 1}', b'{"data": [{}]}', b'{"data": [{"id": 3}]}', b""])
def test_what_is_no_list_is_malformed_and_never_empty(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_models(body, "s")


def test_only_known_facts_are_selected() -> None:
    models = (ModelProfile("llama", vision=True, context_length=10), ModelProfile("Llava"), ModelProfile("x", vision=False))
    assert [model.id for model in select(models, contains="LLA")] == ["llama", "Llava"]
    assert [model.id for model in select(models, vision=True)] == ["llama"]
    assert [model.id for model in select(models, min_context=10)] == ["llama"]
    assert select(models) == models
