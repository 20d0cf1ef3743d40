"""Rules tell products apart by their own marks, however much one imitates another."""

from typing import Any

import msgspec
import pytest

from jackfield.providers.registry import load_registrar
from jackfield.slots.fingerprint import Condition, Heard, fingerprints, model_ids

HTML = Heard(200, {"content-type": "text/html"}, "<!doctype html><title>Anything</title>")


def heard(body: Any, status: int = 200, **headers: str) -> Heard:
    if isinstance(body, str):
        return Heard(status, headers, body)
    return Heard(status, headers, msgspec.json.encode(body).decode(), body)


def models(owner: str, **more: Any) -> Heard:
    return heard({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, **more}]})


CASES = [
    ("lemonade", {"/v1/models": models("lemonade"), "/api/v1/health": heard({"all_models_loaded": []}), "/": HTML}),
    # Lemonade also answers Ollama's and LM Studio's calls, and any other path with its page.
    (
        "lemonade",
        {"/api/v1/health": heard({"all_models_loaded": []}), "/api/version": heard({"version": "0.16.1"}), "/info": HTML},
    ),
    ("llama-server", {"/v1/models": heard({"data": []}, server="llama.cpp")}),
    ("llama-server", {"/v1/models": heard({"error": {"code": 401}}, 401, server="llama.cpp")}),
    ("llama-server", {"/props": heard({"default_generation_settings": {}}), "/v1/models": models("me")}),
    ("koboldcpp", {"/api/extra/version": heard({"result": "KoboldCpp", "version": "1.76"}), "/v1/models": models("koboldcpp")}),
    ("localai", {"/system": heard({"backends": []}), "/v1/models": models("")}),
    ("lm_studio", {"/api/v0/models": heard({"data": [{"id": "m", "compatibility_type": "gguf", "state": "loaded"}]})}),
    ("lm_studio", {"/": heard({"error": "Unexpected endpoint or method. (GET /)"}), "/v1/models": heard({"data": []})}),
    ("ollama", {"/": heard("Ollama is running"), "/v1/models": models("library"), "/api/version": heard({"version": "0.33"})}),
    ("vllm", {"/v1/models": models("vllm"), "/version": heard({"version": "0.32.0"})}),
    ("vllm", {"/v1/models": heard({"error": "Unauthorized"}, 401), "/version": heard({"version": "1"}), "/ping": heard("")}),
    ("sglang", {"/v1/models": models("sglang"), "/version": heard({"version": "1"})}),
    ("tgi", {"/info": heard({"model_id": "m", "max_total_tokens": 4096, "version": "3"}), "/v1/models": models("m")}),
    ("text-generation-webui", {"/v1/internal/model/info": heard({"model_name": "m"}), "/v1/models": models("user")}),
    ("litellm-proxy", {"/health/liveliness": heard("I'm alive!"), "/v1/models": models("openai")}),
    ("fastchat", {"/v1/models": models("fastchat")}),
    ("gpt4all", {"/v1/models": models("humanity")}),
    ("openai-compat", {"/v1/models": models("somebody")}),
    ("openai-compat", {"/v1/models": heard({"object": "list", "data": []})}),
    ("openai-compat", {"/v1/models": heard({"error": {"message": "no key"}}, 401)}),
]


@pytest.mark.parametrize(("provider", "answers"), CASES)
def test_tells_what_answers(provider: str, answers: dict[str, Heard]) -> None:
    rule = fingerprints().match(answers)
    assert rule is not None
    assert rule.provider == provider


@pytest.mark.parametrize("answers", [{"/v1/models": HTML, "/": HTML}, {"/v1/models": heard("not here", 404)}, {}])
def test_what_is_no_model_server_is_nothing(answers: dict[str, Heard]) -> None:
    assert fingerprints().match(answers) is None


def test_another_jackfield_is_told_and_left_alone() -> None:
    for answers in (
        {"/v1/models": models("llama-server", jackfield={"slot": 0})},
        {"/status": heard({"slots": [], "mode": "local_only", "models_loaded": 0}), "/v1/models": heard({"data": []})},
    ):
        rule = fingerprints().match(answers)
        assert rule is not None
        assert rule.ignore


def test_every_rule_names_a_provider_that_exists_and_looks_somewhere() -> None:
    table = fingerprints()
    known = set(load_registrar(plugins=False).ids())
    assert [rule.provider for rule in table.rule if not rule.ignore and rule.provider not in known] == []
    assert {provider for provider in table.programs.values() if provider} <= known
    assert all(rule.when for rule in table.rule)
    assert len(table.paths) == len(set(table.paths))
    assert table.rule[-1].provider == "openai-compat"


def test_an_unknown_key_in_the_table_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="keyz"):
        msgspec.convert({"path": "/", "keyz": []}, Condition)


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"data": [{"id": "a"}, {"name": "b"}, {"x": 1}, 3]}, ("a", "b")),
        ({"models": [{"name": "m"}]}, ("m",)),
        ([{"id": "a"}], ("a",)),
        ({"data": {}}, ()),
        (None, ()),
    ],
)
def test_reads_ids_from_any_model_list(body: Any, ids: tuple[str, ...]) -> None:
    assert model_ids(body) == ids
