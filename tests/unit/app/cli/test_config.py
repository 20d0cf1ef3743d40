"""`jackfield config` and `jackfield secrets`: what is set, where it came from, and keys that go in and never come out."""

import stat
from pathlib import Path

import pytest

from command_line import Run

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jackfield.yaml"


def test_show_tells_values_and_where_they_came_from(jf: Run, file: Path) -> None:
    file.write_text("server:\n  port: 7400\n")
    said = jf("config", "show", "--origin", "--json", env={"JACKFIELD_LOG_LEVEL": "debug"}).json
    assert said["server.port"] == {"value": 7400, "origin": "jackfield.yaml:2"}
    assert said["log.level"] == {"value": "debug", "origin": "env JACKFIELD_LOG_LEVEL"}
    assert said["mode"] == {"value": "local_only", "origin": "default"}
    assert "server.port = 7400" in jf("config", "show").out
    assert jf("config", "show", "server.port", "--json").json == {"server.port": 7400}
    assert set(jf("config", "show", "server", "--json").json) >= {"server.port", "server.host"}
    line = next(line for line in jf("config", "show", "--origin").out.splitlines() if line.startswith("server.port"))
    assert line.split() == ["server.port", "7400", "jackfield.yaml:2"]


def test_show_of_an_unknown_key_names_the_nearest(jf: Run) -> None:
    said = jf("config", "show", "server.prot")
    assert (said.code, said.out) == (1, "")
    assert "did you mean 'server.port'" in said.err


@pytest.mark.behaviour("CONF-08")
def test_a_key_of_the_environment_is_shown_as_a_reference(jf: Run) -> None:
    said = jf("config", "show", "providers.openai", "--origin", "--json", env={"OPENAI_API_KEY": CANARY})
    assert said.json == {"providers.openai.api_key": {"value": "env:OPENAI_API_KEY", "origin": "env OPENAI_API_KEY"}}
    assert CANARY not in said.out + said.err


@pytest.mark.behaviour("CONF-18")
def test_check_names_every_problem_with_its_line(jf: Run, file: Path) -> None:
    assert jf("config", "check").code == 0
    file.write_text("mode: brust\nserver:\n  prt: 1\n")
    said = jf("config", "check")
    assert (said.code, said.out) == (1, "")
    assert "jackfield.yaml:3: server.prt: server has no key 'prt' (did you mean 'port'?)" in said.err
    found = jf("config", "check", "--json")
    assert found.code == 1
    assert found.json["valid"] is False
    assert [problem["key"] for problem in found.json["problems"]] == ["server.prt", "mode"]


@pytest.mark.behaviour("SEC-04")
def test_a_literal_key_stops_every_command_and_is_not_repeated(jf: Run, file: Path) -> None:
    file.write_text(f"openai:\n  api_key: {CANARY}\n")
    for words in (("config", "check"), ("config", "show"), ("ask", "x", "--provider", "openai"), ("doctor",)):
        said = jf(*words)
        assert said.code == 1
        assert "jackfield secrets set openai" in said.out + said.err
        assert CANARY not in said.out + said.err


def test_config_may_be_named_before_or_after_the_command(jf: Run, tmp_path: Path) -> None:
    named = tmp_path / "other.yaml"
    named.write_text("panel_size: 5\n")
    assert jf("--config", named, "config", "show", "panel_size", "--json").json == {"panel_size": 5}
    assert jf("config", "show", "panel_size", "--json", "--config", named).json == {"panel_size": 5}
    assert jf("--json", "config", "show", "panel_size", env={"JACKFIELD_CONFIG": str(named)}).json == {"panel_size": 5}
    assert "no file at" in jf("--config", tmp_path / "absent.yaml", "config", "show").err


def test_init_writes_a_private_file_with_references_only(jf: Run, environ: dict[str, str]) -> None:
    said = jf("config", "init", env={"OPENAI_API_KEY": CANARY})
    path = Path(said.out.strip())
    assert path == Path(environ["XDG_CONFIG_HOME"]) / "jackfield" / "jackfield.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert 'openai: {api_key: "env:OPENAI_API_KEY"}' in path.read_text()
    assert CANARY not in path.read_text() + said.out + said.err
    assert jf("config", "check").out == f"{path}: ok\n"
    assert (jf("config", "init").code, jf("config", "init", "--force").code) == (1, 0)


def test_secrets_go_in_and_never_come_out(jf: Run, environ: dict[str, str]) -> None:
    said = jf("secrets", "set", "openai", stdin=f"{CANARY}\n")
    assert (said.code, said.out) == (0, "file:openai\n")
    listed = jf("secrets", "list")
    assert listed.out == "openai\n"
    assert jf("secrets", "list", "--json").json == ["openai"]
    for path in Path(environ["JACKFIELD_HOME"]).rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes()
    assert CANARY not in said.out + said.err + listed.out + listed.err
    refused = jf("secrets", "delete", "openai")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert jf("secrets", "delete", "openai", "--yes").code == 0
    assert jf("secrets", "list", "--json").json == []
    assert jf("secrets", "delete", "openai", "--yes").code == 1


def test_an_empty_secret_is_refused(jf: Run) -> None:
    said = jf("secrets", "set", "openai", stdin="\n")
    assert (said.code, said.out) == (1, "")


def test_a_secret_is_not_taken_from_the_command_line(jf: Run) -> None:
    assert jf("secrets", "set", "openai", CANARY, stdin="x").code == 2
