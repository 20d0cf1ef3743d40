"""The installed `jackfield` script: streams, exit codes, colour, terminals, completion, and how soon help is there."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from command_line import SCRIPT, Live, Run

ESC = "\x1b["


@contextmanager
def serving(environ: dict[str, str], folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`jackfield up --json --port 0` and what it said when it was ready."""
    with subprocess.Popen(
        [str(SCRIPT), "up", "--json", "--port", "0", "--no-discover", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, **environ},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield process, json.loads(line)
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.mark.behaviour("CMD-01", "CMD-02")
def test_results_are_on_stdout_and_all_else_on_stderr(script: Run, live: Live, nowhere: str) -> None:
    said = script("ask", "ping", "--url", live.url)
    assert (said.code, said.out, said.err) == (0, "pong\n", "")
    for words, code in (
        (("slots", "list", "--url", nowhere), 3),
        (("slots", "info", 77, "--url", live.url), 1),
        (("slots", "plug"), 2),
        (("no-such-command",), 2),
        (("ask", "no money", "--url", live.url), 4),
    ):
        said = script(*words)
        assert (said.code, said.out) == (code, "")
        assert said.err


@pytest.mark.behaviour("CMD-03")
def test_nothing_is_asked_where_nobody_can_answer(script: Run, live: Live) -> None:
    said = script(
        "slots", "plug", 4, "openai-compat", "--base-url", "https://api.example.com/v1", "--url", live.url, stdin="y\n"
    )
    assert (said.code, said.out) == (2, "")
    assert "--yes answers yes" in said.err


def test_no_colour_goes_into_a_pipe(script: Run, live: Live) -> None:
    said = script("slots", "list", "--url", live.url, env={"NO_COLOR": ""})
    assert "scripted" in said.out
    assert ESC not in said.out + said.err


@contextmanager
def terminal(environ: dict[str, str], *words: str, **env: str) -> Iterator[Any]:
    surroundings = {**environ, "PATH": os.environ["PATH"], "TERM": "xterm-256color", **env}
    child = pexpect.spawn(str(SCRIPT), list(words), encoding="utf-8", timeout=20, env=surroundings, dimensions=(40, 160))
    try:
        yield child
    finally:
        child.close()


@pytest.mark.behaviour("CMD-04")
def test_a_terminal_gets_colour_unless_no_color_is_set(live: Live, environ: dict[str, str]) -> None:
    with terminal(environ, "slots", "list", "--url", live.url) as child:
        coloured = child.read()
    with terminal(environ, "slots", "list", "--url", live.url, NO_COLOR="1") as child:
        plain = child.read()
    assert f"{ESC}32m● ready" in coloured
    assert "● ready" in plain
    assert "32m" not in plain


def test_a_person_may_say_no_to_sending_prompts_away(live: Live, environ: dict[str, str]) -> None:
    words = ("slots", "plug", "4", "openai-compat", "--base-url", "https://api.example.com/v1", "--url", live.url)
    with terminal(environ, *words) as child:
        child.expect(r"openai-compat sends prompts to api\.example\.com; allow\? \[y/N\]")
        child.sendline("n")
        child.expect(pexpect.EOF)
    assert child.exitstatus == 1
    assert live.gateway.house.registry.slot(4).is_empty


def test_a_secret_is_asked_for_without_echo(environ: dict[str, str]) -> None:
    with terminal(environ, "secrets", "set", "openai") as child:
        child.expect("openai: ")
        child.sendline("canary-0123456789")
        child.expect("file:openai")
        child.expect(pexpect.EOF)
        shown = child.before
    assert "canary" not in shown


def test_completion_knows_the_commands(script: Run) -> None:
    words = {"_JACKFIELD_COMPLETE": "complete_bash", "COMP_WORDS": "jackfield sl", "COMP_CWORD": "1"}
    assert script(env=words).out.split() == ["slots"]
    words = {"_JACKFIELD_COMPLETE": "complete_bash", "COMP_WORDS": "jackfield slots mu", "COMP_CWORD": "2"}
    assert script(env=words).out.split() == ["mutate"]


def test_every_command_has_help(script: Run) -> None:
    assert script("--version").out.startswith("jackfield ")
    out = script("--help").out
    for name in ("up", "ask", "chat", "slots", "providers", "discover", "models", "config", "secrets", "doctor"):
        assert f"\n  {name} " in out


def test_a_reader_that_leaves_is_no_error(environ: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{SCRIPT} providers list | head -1; exit 0"],
        capture_output=True, text=True, timeout=30, env={**os.environ, **environ},
    )  # fmt: skip
    assert done.stdout.startswith("ID")
    assert done.stderr == ""


def test_up_tells_a_program_where_it_serves(script: Run, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("slots: {0: {provider: scripted, name: parrot, config: {text: polly}}}\n")
    with serving(environ, tmp_path) as (process, said):
        assert said["base_url"] == f"http://127.0.0.1:{said['port']}/v1"
        assert [(slot["number"], slot["name"]) for slot in said["slots"]] == [(0, "parrot")]
        assert script("ask", "hello", "--url", said["url"]).out == "polly\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_up_shows_a_person_the_panel_and_how_to_use_it(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text(
        "slots:\n  0: {provider: scripted, name: parrot}\n  1: {provider: openai, config: {api_key: 'env:NONE'}}\n"
    )
    with terminal(
        environ, "--config", str(tmp_path / "jackfield.yaml"), "up", "--port", "0", "--no-discover", NO_COLOR="1"
    ) as child:
        child.expect("Ctrl-C stops")
        panel = child.before
        child.expect("OPENAI_BASE_URL=http://127.0.0.1")
        child.expect("curl http://127.0.0.1")
        child.expect("from openai import OpenAI")
        child.sendintr()
        child.expect(pexpect.EOF)
    assert "● ready" in panel
    assert "○" in panel
    assert child.exitstatus == 0


def test_up_with_nothing_to_plug_says_what_it_looked_for(environ: dict[str, str]) -> None:
    with terminal(environ, "up", "--port", "0", "--no-discover", NO_COLOR="1") as child:
        child.expect("Nothing is plugged")
        child.expect("jackfield up --demo")
        child.expect("jackfield serves at")
        child.sendintr()
        child.expect(pexpect.EOF)


def test_up_refuses_a_port_that_is_taken_and_names_a_free_one(script: Run, live: Live) -> None:
    said = script("up", "--port", live.gateway.port, "--no-discover")
    assert (said.code, said.out) == (1, "")
    assert f"Port {live.gateway.port} already in use" in said.err
    assert "jackfield up --port" in said.err


def test_up_refuses_to_let_others_in_without_a_key(script: Run) -> None:
    said = script("up", "--host", "0.0.0.0", "--port", 0)
    assert said.code == 1
    assert "--expose" in said.err
    assert "secrets set" in said.err


def test_up_refuses_bad_settings_with_their_line(script: Run, tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("sever: {}\n")
    said = script("up", "--json")
    assert (said.code, said.out) == (1, "")
    assert "jackfield.yaml:1: sever" in json.loads(said.err)["error"]["message"]
