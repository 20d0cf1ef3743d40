"""`jackfield doctor`: every check, and that a broken thing is named with what to do."""

import json
import socket
from pathlib import Path

import pytest

from command_line import Live, Run, Said
from jackfield.app.doctoring.machine import CHECKS


def by_name(said: Said) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in said.json}


def test_a_healthy_machine_passes(jf: Run, live: Live) -> None:
    said = jf("doctor", "--json", url=live.url)
    checks = by_name(said)
    assert said.code == 0
    assert list(checks) == [check.__name__ for check in CHECKS]
    assert checks["gateway"]["detail"] == f"{live.url}, 2 of 32 slots plugged"
    assert checks["port"]["state"] == "ok"
    assert "local_only" in checks["mode"]["detail"]
    text = jf("doctor", url=live.url).out
    assert "✓ python" in text


def test_without_a_gateway_it_says_how_to_start_one(jf: Run, nowhere: str) -> None:
    said = jf("doctor", "--json", url=nowhere)
    assert said.code == 0
    gateway = by_name(said)["gateway"]
    assert (gateway["state"], gateway["fix"]) == ("warn", "start it: jackfield up")


def test_broken_settings_are_a_finding_and_not_the_end(jf: Run, tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("sever: {}\n")
    said = jf("doctor", "--json")
    assert said.code == 1
    settings = by_name(said)["settings"]
    assert settings["state"] == "fail"
    assert "jackfield.yaml:1: sever" in settings["detail"]
    assert settings["fix"]


def test_a_port_taken_by_another_program_is_named_with_its_holder(jf: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = jf("doctor", "--json", env={"JACKFIELD_SERVER_PORT": str(port)})
    check = by_name(said)["port"]
    assert (said.code, check["state"]) == (1, "fail")
    assert f"{port} is in use by" in check["detail"]
    assert "--port" in check["fix"]


@pytest.mark.parametrize("home", ["/proc/nothing/here", "/dev/null/below"])
def test_a_store_that_cannot_be_written_is_named(jf: Run, home: str) -> None:
    said = jf("doctor", "--json", env={"JACKFIELD_HOME": home})
    assert by_name(said)["store"]["state"] == "fail"
    assert said.code == 1


def test_keys_are_told_by_name(jf: Run) -> None:
    jf("secrets", "set", "stored-one", stdin="canary-0123456789")
    said = jf("doctor", "--json", env={"GROQ_API_KEY": "gsk_canary_0123456789"})
    assert by_name(said)["keys"]["detail"] == "environment: GROQ_API_KEY; stored: stored-one"
    assert "canary" not in said.out + said.err


def test_a_slot_that_is_not_there_is_told(jf: Run, live: Live) -> None:
    registry = live.gateway.house.registry
    live.run(registry.plug(3, "openai-compat", {"base_url": "http://127.0.0.1:1/v1"}, require_ready=False))
    check = by_name(jf("doctor", "--json", url=live.url))["gateway"]
    assert check["detail"].startswith(f"{live.url}, 3 of 32") or "slot 3" in check["detail"]


def test_ports_tells_who_usually_wants_what(jf: Run) -> None:
    places = {place["port"]: place for place in jf("doctor", "ports", "--json").json}
    assert {"vllm", "fastchat"} <= set(places[8000]["usual"])
    assert {"localai", "llama-server", "bitnet"} <= set(places[8080]["usual"])
    assert places[7311]["usual"] == ["jackfield"]
    text = jf("doctor", "ports").out
    assert json.dumps(8000) in text


def test_with_broken_settings_the_named_gateway_and_store_are_still_looked_at(jf: Run, live: Live, tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("sever: {}\n")
    checks = by_name(jf("doctor", "--json", url=live.url))
    assert checks["settings"]["state"] == "fail"
    assert (checks["gateway"]["state"], checks["port"]["state"]) == ("ok", "ok")
    assert str(tmp_path) in checks["store"]["detail"]
