"""What a config of the service means in our settings, field by field, and what it refuses."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from jackfield import errors
from jackfield.app.service_config import SETTING_OF, InferenceServiceConfig, load_service_settings
from jackfield.app.settings import Loaded, Settings, SettingsInvalid

DEFAULTS: dict[str, Any] = {
    "enable_backend_manager": True,
    "backend_health_checks": True,
    "backend_health_check_interval": 60,
    "load_balancing_strategy": "round_robin",
    "enable_hf_server": True,
    "hf_server_host": "127.0.0.1",
    "hf_server_port": 7311,
    "hf_auto_discover_skills": True,
    "hf_enable_hardware_detection": True,
    "enable_websocket": True,
    "enable_libp2p": False,
    "libp2p_bootstrap_peers": (),
    "enable_api_backends": True,
    "api_backends": (),
    "enable_cli_backends": True,
    "cli_backends": (),
    "consent": False,
    "settings_file": None,
    "store": None,
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no settings file lies


def loaded_of(environ: dict[str, str] | None = None, **given: Any) -> Loaded:
    return load_service_settings(InferenceServiceConfig(**given), {"XDG_CONFIG_HOME": "/nowhere", **(environ or {})})


@pytest.mark.behaviour("CONF-16")
@pytest.mark.parametrize("field", [field.name for field in fields(InferenceServiceConfig)])
def test_every_field_has_its_default(field: str) -> None:
    assert getattr(InferenceServiceConfig(), field) == DEFAULTS[field]


@pytest.mark.behaviour("CONF-16")
@pytest.mark.parametrize(("field", "setting"), SETTING_OF.items())
def test_a_fields_default_is_that_of_its_setting(field: str, setting: str) -> None:
    assert Loaded(Settings()).values()[setting] == DEFAULTS[field]


@pytest.mark.parametrize(
    ("field", "value", "setting", "becomes"),
    [
        ("backend_health_checks", False, "routing.health_checks", False),
        ("enable_backend_manager", False, "routing.health_checks", False),
        ("backend_health_check_interval", 5, "routing.health_interval_s", 5.0),
        ("load_balancing_strategy", "least_loaded", "routing.policy", "least_loaded"),
        ("hf_server_host", "::1", "server.host", "::1"),
        ("hf_server_port", 0, "server.port", 0),
        ("hf_auto_discover_skills", False, "discovery.enabled", False),
        ("hf_enable_hardware_detection", False, "discovery.hardware", False),
        ("enable_websocket", False, "server.websocket", False),
        ("store", Path("/somewhere"), "store", "/somewhere"),
    ],
)
def test_a_field_sets_its_setting(field: str, value: Any, setting: str, becomes: Any) -> None:
    assert loaded_of(**{field: value}).values()[setting] == becomes


def test_what_is_left_at_its_default_stays_as_the_environment_and_the_file_have_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("routing: {policy: cheapest}\n")
    loaded = loaded_of({"JACKFIELD_SERVER_PORT": "7400"}, settings_file=tmp_path / "mine.yaml")
    assert (loaded.settings.server.port, loaded.settings.routing.policy) == (7400, "cheapest")
    loaded = loaded_of({"JACKFIELD_SERVER_PORT": "7400"}, hf_server_port=7500)
    assert loaded.settings.server.port == 7500


def test_named_backends_are_plugged_by_id_or_alias() -> None:
    loaded = loaded_of(api_backends=["hf_tgi", "ollama"], cli_backends=["claude_cli"])
    assert loaded.settings.providers.wanted == ("tgi-native", "ollama", "claude-cli")
    assert {block.consent for block in loaded.settings.providers.blocks.values()} == {"ask"}


def test_those_of_a_kind_that_is_off_are_not() -> None:
    names: dict[str, Any] = {"api_backends": ["hf_tgi"], "cli_backends": ["claude_cli"]}
    assert loaded_of(**names, enable_api_backends=False).settings.providers.wanted == ("claude-cli",)
    assert loaded_of(**names, enable_cli_backends=False).settings.providers.wanted == ("tgi-native",)


def test_consent_is_given_to_those_that_are_named_and_nobody_else() -> None:
    providers = loaded_of({"GROQ_API_KEY": "k"}, api_backends=["openai"], consent=True).settings.providers
    assert (providers.block("openai").consent, providers.block("groq").consent) == ("allow", "ask")


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"enable_libp2p": True}, errors.NotSupported, "enable_libp2p: this version has no peer-to-peer node"),
        ({"libp2p_bootstrap_peers": ["/ip4/127.0.0.1"]}, errors.NotSupported, "libp2p_bootstrap_peers"),
        (
            {"api_backends": ["olama"]},
            errors.BadRequest,
            "api_backends: no provider is called 'olama' (did you mean 'ollama'?)",
        ),
        ({"cli_backends": "claude_cli"}, errors.BadRequest, "cli_backends must be a list of names"),
        ({"api_backends": [3]}, errors.BadRequest, "api_backends must be a list of names"),
    ],
)
def test_what_cannot_be_is_refused_by_the_fields_name(
    given: dict[str, Any], kind: type[errors.JackfieldError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        loaded_of(**given)
    assert said in str(caught.value)
    assert caught.value.param == next(iter(given))


@pytest.mark.parametrize(
    ("field", "value"),
    [("hf_server_port", 70000), ("backend_health_check_interval", 0), ("hf_server_host", ""), ("enable_websocket", "x")],
)
def test_a_wrong_value_is_named_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(SettingsInvalid, match=f"InferenceServiceConfig: {field}: must be"):
        loaded_of(**{field: value})


def test_a_wrong_value_elsewhere_keeps_its_place() -> None:
    with pytest.raises(SettingsInvalid, match=r"env JACKFIELD_SERVER_PORT: server\.port"):
        loaded_of({"JACKFIELD_SERVER_PORT": "x"})
