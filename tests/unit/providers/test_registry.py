"""Names to types: ids, aliases, plugins, and what happens when they clash."""

import importlib.metadata

import pytest

from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import BadRequest, Conflict, ProviderNotFound
from jackfield.providers.openai_compatible import OpenAICompatible, preset_type
from jackfield.providers.presets import Preset, parse_presets
from jackfield.providers.registry import Registrar, load_plugins, load_registrar

BUILT_IN = load_registrar(plugins=False)


@pytest.mark.behaviour("SLOT-26", "PROV-39")
@pytest.mark.parametrize(
    ("name", "provider_id"),
    [
        ("llama-cpp", "llama-server"), ("llama.cpp", "llama-server"), ("llamacpp", "llama-server"),
        ("LLaMA_CPP", "llama-server"),
        ("local", "local"), ("gguf", "local"), ("llama-cpp-local", "local"),
        ("gpt", "openai"), ("gpt-4", "openai"), ("gpt-3.5", "openai"), ("OpenAI", "openai"),
        ("lm-studio", "lm_studio"), ("LM.Studio", "lm_studio"), ("lmstudio", "lm_studio"),
        ("amd_gaia", "lemonade"), ("amd-gaia", "lemonade"), ("openai_compat", "openai-compat"),
        ("openai-compatible", "openai-compat"),
        ("huggingface", "huggingface-router"), ("akash", "akash-ml"), ("ollama", "ollama"),
        ("ollama_openai", "ollama-openai"), ("ollama_cloud", "ollama-cloud"), ("openrouter", "openrouter"),
        ("scripted", "scripted"), ("litellm", "litellm"), ("litellm-proxy", "litellm-proxy"),
        ("anthropic", "anthropic"), ("claude", "anthropic"), ("claude-3", "anthropic"), ("sonnet", "anthropic"),
    ],
)  # fmt: skip
def test_every_alias_leads_to_its_type(name: str, provider_id: str) -> None:
    assert BUILT_IN.canonical(name) == provider_id
    assert BUILT_IN.get(name).card.id == provider_id


@pytest.mark.behaviour("SLOT-26")
def test_an_unknown_name_is_told_with_the_nearest_and_all_known() -> None:
    with pytest.raises(ProviderNotFound) as caught:
        BUILT_IN.get("opnai")
    assert "did you mean 'openai'?" in caught.value.message
    assert all(provider_id in caught.value.message for provider_id in BUILT_IN.ids())


def test_cards_are_there_without_any_instance() -> None:
    cards = {card.id: card for card in BUILT_IN.cards()}
    assert cards["groq"].is_external
    assert cards["groq"].needs_key
    assert cards["groq"].key_env == ("GROQ_API_KEY",)
    assert not cards["ollama"].is_external
    assert cards["vllm"].default_port == 8000
    assert cards["openai"].dialect == "openai_chat"
    assert "base_url" in cards["openai"].config_keys


def test_a_type_is_registered_once_and_replaced_only_on_request() -> None:
    registrar = Registrar()
    acme = preset_type(Preset(id="acme", port=1))
    registrar.register(acme)
    with pytest.raises(Conflict, match="already registered"):
        registrar.register(acme)
    again = preset_type(Preset(id="acme", port=2, aliases=("acme-two",)))
    registrar.register(again, replace=True)
    assert registrar.get("ACME_two") is again
    registrar.unregister("acme")
    assert registrar.ids() == []


def test_nobody_takes_anothers_name() -> None:
    registrar = Registrar()
    registrar.register(preset_type(Preset(id="acme", port=1, aliases=("a.b",))))
    with pytest.raises(Conflict, match="already belongs to provider 'acme'"):
        registrar.register(preset_type(Preset(id="other", port=2, aliases=("A-B",))), replace=True)
    with pytest.raises(Conflict):
        registrar.register(preset_type(Preset(id="ac-me", port=2)), replace=True)
    assert registrar.ids() == ["acme"]


def test_a_class_without_a_card_is_refused() -> None:
    with pytest.raises(BadRequest, match="no provider type"):
        Registrar().register(object)  # type: ignore[arg-type]


def test_the_types_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        BUILT_IN.types["x"] = OpenAICompatible  # type: ignore[index]


def test_the_users_rows_join_and_may_replace_a_built_in_row() -> None:
    rows = parse_presets('[groq]\nport = 5\n[mine]\nbase_url = "https://mine.example/v1"\n', "mine.toml")
    registrar = load_registrar(rows, plugins=False)
    assert registrar.get("groq").card.default_url == "http://127.0.0.1:5/v1"
    assert registrar.get("mine").card.is_external


class _Point:
    """Stands for an installed entry point, whose loading is the plugin's own code."""

    group = "jackfield.providers"

    def __init__(self, name: str, load: object) -> None:
        self.name, self.value, self._load = name, f"{name}:register", load

    def load(self) -> object:
        if isinstance(self._load, Exception):
            raise self._load
        return self._load


@pytest.mark.behaviour("ADPT-30")
def test_a_broken_plugin_is_reported_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_way(registrar: Registrar) -> None:
        registrar.register(preset_type(Preset(id="half", port=1)))
        raise RuntimeError("api_key=supersecretvalue123")

    def good(registrar: Registrar) -> None:
        registrar.register(preset_type(Preset(id="good", port=1)))

    points = [_Point("absent", ImportError("no module named nope")), _Point("half", half_way), _Point("zgood", good)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points if group == _Point.group else [])
    registrar = Registrar()
    load_plugins(registrar)
    assert registrar.ids() == ["good"]
    assert len(registrar.problems) == 2
    assert "no module named nope" in registrar.problems[0]
    assert "supersecretvalue123" not in registrar.problems[1]


def test_a_card_is_plain_data() -> None:
    assert all(isinstance(card, ProviderCard) for card in BUILT_IN.cards())
