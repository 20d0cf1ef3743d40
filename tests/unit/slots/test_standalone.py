"""create_provider: a handle by name, with a key that stays in memory and connections of its own."""

from typing import Any

import psutil
import pytest

from jackfield.core.errors import AuthFailed, BadRequest, EgressDenied, ModeForbids, NotSupported, ProviderNotFound
from jackfield.core.modes import OperatingMode
from jackfield.providers.local_llama import LocalLlama
from jackfield.slots.standalone import HELD, HeldSecrets, Maker, UnknownProvider
from jackfield.testing.fake_anthropic import FakeAnthropic
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import DictSecrets

KEY = "sk-standalone-0123456789abcdef"
LOCAL = {"model": "/models/any.gguf"}


@pytest.fixture
def maker(bench: Any) -> Maker:
    return Maker(bench.registrar, bench.gate, bench.secrets)


@pytest.mark.behaviour("SLOT-26")
@pytest.mark.parametrize(
    ("alias", "provider_id", "config"),
    [
        ("llama-cpp", "llama-server", {}),
        ("llama.cpp", "llama-server", {}),
        ("llamacpp", "llama-server", {}),
        ("gpt", "openai", {"api_key": KEY}),
        ("gpt-4", "openai", {"api_key": KEY}),
        ("gpt-3.5", "openai", {"api_key": KEY}),
        ("OpenAI", "openai", {"api_key": KEY}),
        ("ollama", "ollama", {}),
        ("openrouter", "openrouter", {"api_key": KEY}),
        ("lm-studio", "lm_studio", {}),
        ("amd_gaia", "lemonade", {}),
        ("local", "local", LOCAL),
        ("gguf", "local", LOCAL),
        ("simulated", "scripted", {}),
        ("claude", "anthropic", {"api_key": KEY}),
        ("anthropic", "anthropic", {"api_key": KEY}),
    ],
)
def test_every_alias_makes_its_provider(maker: Maker, alias: str, provider_id: str, config: dict[str, Any]) -> None:
    handle = maker.create(alias, config)
    assert handle.provider_id == provider_id
    assert (type(handle.binding.provider) is LocalLlama) == (provider_id == "local")


@pytest.mark.behaviour("SLOT-26")
def test_an_unknown_name_is_a_value_error_that_lists_the_names(maker: Maker) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'ollama'.*known are .*openai") as caught:
        maker.create("olama")
    assert isinstance(caught.value, UnknownProvider)
    assert isinstance(caught.value, ProviderNotFound)
    with pytest.raises(BadRequest, match="must be an object"):
        maker.create("ollama", "x")  # type: ignore[arg-type]
    with pytest.raises(AuthFailed, match="OPENAI_API_KEY"):
        maker.create("openai")


@pytest.mark.behaviour("ERR-14")
async def test_what_a_provider_cannot_do_is_told_with_its_name(maker: Maker) -> None:
    async with FakeAnthropic() as fake:
        claude = maker.create("claude", {"base_url": fake.base_url, "api_key": KEY, "model": "claude-fake-1"})
        assert await claude.connect()
        with pytest.raises(NotSupported, match=r"^anthropic: it makes no embeddings"):
            await claude.embed("x")
        assert fake.completions == 0
        assert await claude.forward("ping") == "pong"
        await claude.disconnect()


@pytest.mark.behaviour("ADPT-09", "ADPT-10")
async def test_it_connects_answers_and_leaves_no_socket(maker: Maker, bench: Any, fake: FakeOpenAI) -> None:
    fake.require_key = KEY
    handle = maker.create("openai-compat", {"base_url": fake.base_url, "api_key": KEY})
    assert handle.binding.spec.config["api_key"].startswith(HELD)
    assert await handle.connect()
    assert await handle.forward("ping") == "pong"
    assert bench.secrets.names() == [], "nothing is written"
    await handle.disconnect()
    await handle.disconnect()
    connections = psutil.Process().net_connections("tcp")
    assert not [each for each in connections if getattr(each.raddr, "port", None) == fake.port]


async def test_connecting_elsewhere_keeps_the_old_one_where_it_fails(maker: Maker, fake: FakeOpenAI) -> None:
    handle = maker.create("openai-compat", {"base_url": "http://127.0.0.1:1/v1"})
    assert await handle.connect() is False
    assert await handle.connect({"base_url": fake.base_url}) is True
    assert await handle.forward("ping") == "pong"
    assert await handle.connect({"base_url": "http://127.0.0.1:1/v1"}) is False
    assert await handle.forward("ping") == "pong"
    await handle.disconnect()


async def test_what_leaves_this_machine_needs_consent(maker: Maker, bench: Any) -> None:
    config = {"base_url": "https://api.example.invalid/v1", "model": "m"}
    handle = maker.create("openai-compat", config)
    with pytest.raises(EgressDenied):
        await handle.forward("ping")
    allowed = maker.create("openai-compat", config, consent=True)
    assert bench.gate.mode is OperatingMode.BURST
    bench.gate.set_mode(OperatingMode.AIRGAPPED)
    with pytest.raises(ModeForbids, match="airgapped"):
        maker.create("openai-compat", config, consent=True)
    await handle.disconnect()
    await allowed.disconnect()


def test_held_secrets_stand_before_those_of_the_source() -> None:
    held = HeldSecrets(DictSecrets({"env:A": "from outside"}))
    reference = held.put("x", KEY)
    assert (held.resolve(reference), held.resolve("env:A"), held.names()) == (KEY, "from outside", ["x"])
    assert held.delete("x")
    with pytest.raises(AuthFailed):
        held.resolve(reference)
