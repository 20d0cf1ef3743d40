"""`jackfield providers`: told by cards alone, without a gateway and without asking anybody."""

import importlib.metadata
import socket
from typing import Any, ClassVar

import pytest

from command_line import Live, Run
from jackfield.core.contracts import ProviderCard
from jackfield.core.profiles import Capabilities
from jackfield.providers.registry import Registrar
from jackfield.providers.scripted import Scripted


class Dummy(Scripted):
    """A provider of somebody else's package."""

    card: ClassVar[ProviderCard] = ProviderCard("dummy", "local", "Dummy", aliases=("dum",), config_keys=("text",))


class Point:
    """An installed entry point."""

    name, value, group = "dummy", "dummy:register", "jackfield.providers"

    def load(self) -> Any:
        return lambda registrar: registrar.register(Dummy)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [Point()] if group == Point.group else [])


def test_list_names_every_provider_once_without_a_socket(jf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_: object, **__: object) -> None:
        raise AssertionError("asked somebody")

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    said = jf("providers", "list", "--json").json
    ids = [card["id"] for card in said]
    assert len(ids) == len(set(ids)) > 40
    assert {"openai", "ollama", "local", "scripted"} <= set(ids)
    assert jf("provider", "list", "--json").json == said
    assert len(jf("providers", "list").out.splitlines()) == len(ids) + 1
    assert {card["type"] for card in jf("providers", "list", "--type", "local", "--json").json} == {"local"}


@pytest.mark.behaviour("ADPT-07")
def test_show_prints_every_field_of_the_record(jf: Run) -> None:
    said = jf("providers", "show", "openai", "--json").json
    assert set(said) >= set(ProviderCard.__struct_fields__)
    assert set(said["capabilities"]) == set(Capabilities.__struct_fields__)
    assert said["capabilities"]["tools"] is True
    text = jf("providers", "show", "gpt").out
    for name in (*ProviderCard.__struct_fields__, *Capabilities.__struct_fields__):
        if name not in ("capabilities",):
            assert f"\n{name} " in f"\n{text}"


def test_show_suggests_the_nearest_name(jf: Run) -> None:
    said = jf("providers", "show", "opnai")
    assert (said.code, said.out) == (1, "")
    assert "did you mean 'openai'" in said.err


def test_a_key_is_told_by_name_only(jf: Run) -> None:
    env = {"OPENAI_API_KEY": "sk-canary-0123456789"}
    said = jf("providers", "show", "openai", "--json", env=env)
    assert said.json["keys_set"] == ["OPENAI_API_KEY"]
    for done in (said, jf("providers", "list", env=env), jf("config", "show", "--origin", env=env), jf("doctor", env=env)):
        assert "canary" not in done.out + done.err


def test_status_asks_the_plugged_ones(jf: Run, live: Live) -> None:
    rows = jf("providers", "status", "--json", url=live.url).json
    assert [(row["slot"], row["provider"], row["is_ready"]) for row in rows] == [
        (0, "scripted", True),
        (1, "openai-compat", True),
    ]
    assert "● ready" in jf("provider", "status", "scripted", url=live.url).out
    said = jf("providers", "status", "ollama", url=live.url)
    assert (said.code, "ollama is not plugged" in said.err) == (1, True)


def test_status_without_a_gateway(jf: Run, nowhere: str) -> None:
    assert jf("providers", "status", url=nowhere).code == 3


@pytest.mark.behaviour("ADPT-31")
def test_a_plugins_provider_is_everywhere_without_more_code(jf: Run, plugin: None, house: Live) -> None:
    assert "dummy" in [card["id"] for card in jf("providers", "list", "--json").json]
    assert jf("providers", "show", "dum", "--json").json["display_name"] == "Dummy"
    schema = jf("config", "schema", "--json").json
    assert "dummy" in schema["properties"]["providers"]["properties"]
    assert jf("config", "show", "providers.dummy", "--json", env={"JACKFIELD_PROVIDERS_DUMMY_TEXT": "hi"}).json == {
        "providers.dummy.text": "hi"
    }
    assert jf("ask", "hello", "--provider", "dummy").out.strip()
    registrar: Registrar = house.gateway.house.registrar
    registrar.register(Dummy, replace=True)
    try:
        house.run(house.refill())
        assert jf("slots", "plug", 7, "dummy", url=house.url).code == 0
        rows = jf("providers", "status", "dummy", "--json", url=house.url).json
        assert [(row["slot"], row["is_ready"]) for row in rows] == [(7, True)]
    finally:
        house.run(house.refill())
        registrar.unregister("dummy")


def test_models_are_merged_and_filtered(jf: Run, live: Live) -> None:
    entries = jf("models", "list", "--json", url=live.url).json
    assert {entry["slot"] for entry in entries} == {0, 1}
    own = jf("models", "list", "--provider", "openai_compat", "--json", url=live.url).json
    assert "fake-model" in {entry["id"] for entry in own}
    assert {entry["provider"] for entry in own} == {"openai-compat"}
    assert "fake-model" in jf("models", "list", "--slot", 1, url=live.url).out


def test_discover_through_the_gateway_and_from_here(jf: Run, live: Live, nowhere: str) -> None:
    port = live.fake.port
    through = jf("discover", "--json", url=live.url).json
    assert set(through) == {"servers", "keys", "clis", "gpus", "devices", "peers", "websockets"}
    said = jf("discover", "--json", url=nowhere, env={"JACKFIELD_DISCOVERY_PORTS": str(port), "GROQ_API_KEY": "gsk_canary123"})
    assert {"variable": "GROQ_API_KEY", "provider": "groq"} in said.json["keys"]
    assert "canary" not in said.out
    text = jf("discover", url=nowhere, env={"GROQ_API_KEY": "gsk_canary123"})
    assert "GROQ_API_KEY (groq)" in text.err


def test_show_writes_lists_as_people_do(jf: Run) -> None:
    lines = dict(line.split(None, 1) for line in jf("providers", "show", "llama-server").out.splitlines())
    assert lines["aliases"].startswith("llama-cpp, ")
    assert "(" not in lines["key_env"]
    assert "verify_ssl=verify_tls" in lines["config_aliases"]
    assert lines["supported_models"] == "-"


def test_an_unknown_type_is_refused_and_the_known_ones_are_named(jf: Run) -> None:
    said = jf("providers", "list", "--type", "remote")
    assert (said.code, said.out) == (2, "")
    assert "local" in said.err
