"""What the settings add to a provider's config, and what they never let happen to a key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jackfield.app.provider_blocks import ProviderBlocks
from jackfield.app.settings import load_settings
from jackfield.core.errors import JackfieldError, ModeForbids, NotAllowed
from jackfield.providers.registry import load_registrar

REGISTRAR = load_registrar(plugins=False)
GPU = "providers: {vllm: {base_url: http://gpu.example:8000/v1, api_key: env:K, headers: {X-Team: blue}, model: big}}"
CREDENTIALS = {"api_key", "headers"}


def completed(folder: Path, text: str, provider: str, config: Mapping[str, Any], **environ: str) -> Mapping[str, Any]:
    file = folder / "jackfield.yaml"
    file.write_text(text)
    return ProviderBlocks(load_settings(file, environ)).complete(REGISTRAR.get(provider).card, config)


@pytest.mark.behaviour("KEYS-01")
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model": "small", "timeout": 3},
        {"base_url": "http://gpu.example:8000/v1"},
        {"base_url": "http://GPU.example:8000"},
        {"host": "gpu.example", "port": 8000},
        {"path": "/other/v1"},
    ],
)
def test_a_blocks_credentials_go_to_its_own_address(tmp_path: Path, config: dict[str, Any]) -> None:
    whole = completed(tmp_path, GPU, "vllm", config)
    assert (whole["api_key"], whole["headers"]) == ("env:K", {"X-Team": "blue"})
    assert whole.items() >= config.items()


@pytest.mark.behaviour("KEYS-01")
@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "http://elsewhere.example:8000/v1"},
        {"base_url": "http://gpu.example:8001/v1"},
        {"base_url": "https://gpu.example:8000/v1"},
        {"base_url": "http://gpu.example.evil.example:8000/v1"},
        {"base_url": "http://127.0.0.1:8000/v1"},
        {"base_url": "unix:///run/x.sock"},
        {"base_url": "http://[broken"},
        {"url": "http://elsewhere.example"},
        {"endpoint": "http://elsewhere.example"},
        {"host": "elsewhere.example"},
        {"port": 9},
        {"proxy": "http://elsewhere.example:3128"},
    ],
)
def test_and_go_nowhere_else(tmp_path: Path, config: dict[str, Any]) -> None:
    whole = completed(tmp_path, GPU, "vllm", config)
    assert CREDENTIALS.isdisjoint(whole)
    assert whole["model"] == "big"


@pytest.mark.behaviour("KEYS-01")
def test_a_slot_that_names_another_place_brings_its_own_key(tmp_path: Path) -> None:
    config = {"base_url": "http://elsewhere.example", "api_key": "env:MINE"}
    assert completed(tmp_path, GPU, "vllm", config)["api_key"] == "env:MINE"


@pytest.mark.behaviour("KEYS-01")
@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1:9000/v1", False),
        ("http://gpu.example:8000/v1", False),
    ],
)
def test_a_block_without_an_address_means_the_providers_own(tmp_path: Path, url: str, is_own: bool) -> None:
    """So a server that was found where it usually is gets its key."""
    whole = completed(tmp_path, "providers: {vllm: {api_key: env:K}}", "vllm", {"base_url": url})
    assert ("api_key" in whole) is is_own


@pytest.mark.behaviour("KEYS-01", "CONF-08")
def test_a_key_of_the_environment_goes_to_the_services_own_host_only(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "k"}
    assert completed(tmp_path, "", "openai", {}, **environ)["api_key"] == "env:OPENAI_API_KEY"
    assert "api_key" not in completed(tmp_path, "", "openai", {"base_url": "http://127.0.0.1:9/v1"}, **environ)


def test_what_is_said_nearer_to_the_slot_wins(tmp_path: Path) -> None:
    text = "timeouts: {first_byte_s: 1, idle_s: 2}\nproviders: {vllm: {idle_timeout: 3, timeout: 4}}"
    whole = completed(tmp_path, text, "vllm", {"timeout": 5})
    assert whole == {"first_byte_timeout": 1, "idle_timeout": 3, "timeout": 5}


def test_what_nobody_said_is_left_to_the_provider(tmp_path: Path) -> None:
    assert completed(tmp_path, "", "vllm", {"model": "m"}) == {"model": "m"}


def test_a_provider_gets_no_setting_that_it_does_not_have(tmp_path: Path) -> None:
    text = "timeouts: {total_s: 1}\nproxy: http://proxy.example:3128"
    assert completed(tmp_path, text, "scripted", {}) == {}
    assert completed(tmp_path, text, "vllm", {}) == {"timeout": 1}
    assert completed(tmp_path, text, "openai", {}) == {"timeout": 1, "proxy": "http://proxy.example:3128"}


def test_a_provider_that_is_switched_off_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match=r"providers\.vllm\.enabled"):
        completed(tmp_path, "providers: {vllm: {enabled: false}}", "vllm", {})


@pytest.mark.parametrize(
    ("provider", "config", "is_denied"),
    [
        ("openai", {}, True),
        ("openai", {"base_url": "http://127.0.0.1:9/v1"}, False),
        ("openai-compat", {"base_url": "https://api.example.com/v1"}, True),
        ("openai-compat", {"base_url": "http://localhost:9/v1"}, False),
        ("openai-compat", {"base_url": "unix:///run/x.sock"}, False),
        ("vllm", {}, False),
        ("vllm", {"host": "gpu.example"}, True),
    ],
)
def test_deny_means_that_no_prompt_leaves_this_machine(
    tmp_path: Path, provider: str, config: dict[str, Any], is_denied: bool
) -> None:
    said: JackfieldError | None = None
    try:
        completed(tmp_path, f"providers: {{{provider}: {{consent: deny}}}}", provider, config)
    except ModeForbids as error:
        said = error
    assert (said is not None) is is_denied
    assert said is None or f"providers.{provider}.consent" in said.message
