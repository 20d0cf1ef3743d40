"""Settings that every provider over HTTP has: where requests go, whose key goes there, what is refused."""

from typing import Any

import pytest

from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import AuthFailed, BadRequest, NotAllowed
from jackfield.providers.http_config import HttpConfig, config_keys, read_config, root_of, timeouts_of
from jackfield.testing.tools import DictSecrets

CARD = ProviderCard(
    "acme",
    "api",
    "Acme",
    default_url="https://api.acme.example/v1beta",
    default_port=8099,
    key_env=("ACME_KEY", "ACME_TOKEN"),
    needs_key=True,
)


class AcmeConfig(HttpConfig, frozen=True, kw_only=True):
    region: str = "here"


def read(
    config: dict[str, Any], secrets: dict[str, str] | None = None, card: ProviderCard = CARD
) -> tuple[AcmeConfig, str | None]:
    return read_config(AcmeConfig, card, config, DictSecrets(secrets))


@pytest.mark.parametrize(
    ("config", "root"),
    [
        ({}, "https://api.acme.example/v1beta"),
        ({"base_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9/v1beta"),
        ({"base_url": "http://127.0.0.1:9/"}, "http://127.0.0.1:9/v1beta"),
        ({"base_url": "http://127.0.0.1:9/v2/"}, "http://127.0.0.1:9/v2"),
        ({"base_url": "http://127.0.0.1:9/proxy"}, "http://127.0.0.1:9/proxy/v1beta"),
        ({"base_url": "http://127.0.0.1:9/v1beta/ask"}, "http://127.0.0.1:9/v1beta"),
        ({"base_url": "127.0.0.1:9"}, "http://127.0.0.1:9/v1beta"),
        ({"base_url": "unix:///run/acme.sock"}, "unix:///run/acme.sock:/v1beta"),
        ({"base_url": "unix:///run/acme.sock:/x"}, "unix:///run/acme.sock:/x"),
        ({"port": 7}, "http://127.0.0.1:7/v1beta"),
        ({"host": "::1"}, "http://[::1]:8099/v1beta"),
    ],
)
def test_the_root_is_what_was_written_completed_by_the_card(config: dict[str, Any], root: str) -> None:
    assert root_of(CARD, HttpConfig(**config), endings=("/ask",)) == root


def test_without_any_address_one_must_be_given() -> None:
    with pytest.raises(BadRequest, match="needs a base_url"):
        root_of(ProviderCard("acme", "api", "Acme"), HttpConfig())
    with pytest.raises(BadRequest, match="not a local server"):
        root_of(ProviderCard("acme", "api", "Acme"), HttpConfig(port=8))


def test_a_key_of_the_environment_goes_to_the_card_s_own_host_only() -> None:
    assert read({}, {"env:ACME_TOKEN": "second"})[1] == "second"
    assert read({}, {"env:ACME_TOKEN": "second", "env:ACME_KEY": "first"})[1] == "first"
    assert read({"base_url": "http://127.0.0.1:9"}, {"env:ACME_KEY": "k"})[1] is None
    assert read({"base_url": "http://127.0.0.1:9", "key": "env:MINE"}, {"env:MINE": "m"})[1] == "m"
    with pytest.raises(AuthFailed, match="set ACME_KEY") as caught:
        read({})
    assert (caught.value.provider, caught.value.param) == ("acme", "api_key")


def test_generation_defaults_secrets_and_headers_are_found() -> None:
    given = {
        "temperature": 0.5, "num_predict": 7, "region": "there", "api_key": "env:K",
        "headers": {"X-Token": "Bearer env:T", "X-Team": "blue"},
    }  # fmt: skip
    config, key = read(given, {"env:K": "kkk", "env:T": "ttt"})
    assert key == "kkk"
    assert (config.generation.temperature, config.generation.max_tokens) == (0.5, 7)
    assert config.headers == {"X-Token": "Bearer ttt", "X-Team": "blue"}
    assert set(config.secrets) == {"kkk", "ttt"}
    assert "kkk" not in repr(config)
    assert "ttt" not in repr(config)


@pytest.mark.parametrize("name", ["generation", "secrets", "regoin"])
def test_what_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="unknown setting") as caught:
        read({"base_url": "http://127.0.0.1:9", name: {}})
    assert caught.value.param == name
    assert name not in config_keys(AcmeConfig)


def test_a_switched_off_provider_and_a_time_of_nothing_are_refused() -> None:
    with pytest.raises(NotAllowed, match="enabled: true"):
        read({"enabled": False})
    with pytest.raises(BadRequest, match="above 0"):
        timeouts_of(HttpConfig(timeout=0), "acme")
    times = timeouts_of(HttpConfig(timeout=9, idle_timeout=2), "acme", first_byte_s=44)
    assert (times.total_s, times.idle_s, times.first_byte_s) == (9, 2, 44)
