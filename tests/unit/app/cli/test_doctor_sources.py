"""`jackfield doctor backends`, `latency` and `llama-cpp`, as a person calls them, before a real gateway."""

from pathlib import Path

import pytest

from command_line import Live, Run

MODEL = Path(__file__).parents[4] / "src/jackfield/app/demo/tiny-llm.gguf"
LOOKS = ["status report", "health checks", "logs", "network"]


@pytest.mark.behaviour("ERR-11")
def test_backends_shows_four_looks_at_each(jf: Run, live: Live) -> None:
    assert jf("ask", "ping", "--slot", 0, url=live.url).code == 0
    live.run(live.gateway.house.backends.check())
    said = jf("doctor", "backends", url=live.url)
    assert said.code == 0, said.out
    assert [said.out.count(f"✓ {look}") for look in LOOKS] == [2] * 4
    examined = {each["slot"]: each for each in jf("doctor", "backends", "--json", url=live.url).json}
    assert [check["name"] for check in examined[1]["checks"]] == LOOKS
    assert "something listens at 127.0.0.1" in examined[1]["checks"][3]["detail"]


@pytest.mark.behaviour("ERR-11")
def test_one_that_is_not_there_is_told_with_what_to_do(jf: Run, live: Live, nowhere: str) -> None:
    registry = live.gateway.house.registry
    live.run(registry.plug(2, "openai-compat", {"base_url": nowhere}, model="lost", require_ready=False))
    live.run(live.gateway.house.backends.check())
    assert jf("ask", "ping", "--slot", 2, url=live.url).code == 1
    said = jf("doctor", "backends", "--json", url=live.url)
    examined = {each["slot"]: each["checks"] for each in said.json}
    assert said.code == 1
    assert {check["state"] for check in examined[2]} == {"fail"}
    assert all(check["fix"] for check in examined[2])
    hint = live.gateway.house.registrar.get("openai-compat").card.hint
    assert hint in examined[2][0]["fix"]
    text = jf("doctor", "backends", url=live.url).out
    assert "✗ network" in text
    assert f"-> {hint}" in text


def test_a_gateway_with_nothing_plugged_says_how_to_plug(jf: Run, live: Live) -> None:
    for number in (0, 1):
        live.run(live.gateway.house.registry.unplug(number))
    said = jf("doctor", "backends", url=live.url)
    assert (said.code, said.out) == (0, "")
    assert "jackfield slots plug" in said.err


@pytest.mark.parametrize("command", ["backends", "latency"])
def test_without_a_gateway_they_say_how_to_start_one(jf: Run, nowhere: str, command: str) -> None:
    said = jf("doctor", command, url=nowhere)
    assert said.code == 3
    assert "jackfield up" in said.err


def test_latency_before_and_after_anything_was_asked(jf: Run, live: Live) -> None:
    words = ("doctor", "latency", "--watch", 0)
    before = jf(*words, "--json", url=live.url).json
    assert before["policy"] == "round_robin"
    assert [backend["requests"] for backend in before["backends"] if backend["pool"] == "fake-model"] == [0]
    assert jf("ask", "ping", "--slot", 0, url=live.url).code == 0
    said = jf(*words, url=live.url)
    assert said.code == 0
    assert said.out.startswith("no bottleneck: nothing waits")


@pytest.mark.behaviour("ERR-12")
def test_latency_names_the_bottleneck_of_a_gateway(jf: Run, live: Live) -> None:
    house = live.gateway.house
    live.run(house.registry.plug(2, "openai-compat", {"base_url": live.fake.base_url}, model="special"))
    live.run(house.backends.check())
    (backend,) = (each for each in house.backends.list_backends() if each.model == "special")

    async def five_at_once() -> None:
        for _ in range(5):
            backend.begin()

    live.run(five_at_once())
    found = jf("doctor", "latency", "--watch", 0.01, "--json", url=live.url).json["bottlenecks"]
    assert [(each["cause"], each["where"]) for each in found] == [("number of backends", "special")]
    said = jf("doctor", "latency", "--watch", 0, url=live.url).out
    assert said.startswith("bottleneck: number of backends (special): ")
    assert "-> plug another" in said


@pytest.mark.behaviour("ERR-09")
def test_llama_cpp_looks_at_what_is_given_and_fails_where_a_look_fails(jf: Run, tmp_path: Path) -> None:
    program = tmp_path / "llama-cli"
    program.write_text("#!/bin/sh\necho '-m -t -c'\n", encoding="utf-8")
    words = ("doctor", "llama-cpp", "--program", program, "--model", MODEL)
    said = jf(*words, "--json")
    assert said.code == 1
    (looked,) = said.json
    assert [(check["name"], check["state"]) for check in looked["checks"]] == [
        ("program format", "ok"), ("program exists", "ok"), ("program executable", "fail"),
        ("model format", "ok"), ("model exists", "ok"),
    ]  # fmt: skip
    program.chmod(0o755)
    well = jf(*words)
    assert well.code == 0
    assert well.out.count("✓") == 5


def test_llama_cpp_looks_at_what_the_settings_use(jf: Run, tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("slots: {3: {provider: llama-cli, model: /no/such.gguf}}\n")
    said = jf("doctor", "llama-cpp", env={"PATH": str(tmp_path)})
    assert said.code == 1
    assert said.out.startswith("slot 3\n")
    assert "is not on the PATH" in said.out
    assert "such.gguf" in said.out
