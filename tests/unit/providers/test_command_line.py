"""Programs as sources: real processes on this machine, what they are given, what becomes of what they write, and their end."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    EgressDenied,
    JackfieldError,
    NotSupported,
    StreamBroken,
    TimedOut,
    Unavailable,
)
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, text_message
from jackfield.core.requests import ChatRequest, Generation, Tool
from jackfield.providers.command_line import CommandLine, command_types
from jackfield.testing.tools import FakeTools
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient

NASTY = "say \"hi\"; rm -rf $HOME `id` 'x'\n--flag\n$(reboot) \\ end"
BY_ID = {kind.card.id: kind for kind in command_types()}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(EgressGate())
    yield client
    await client.aclose()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, body: str) -> Path:
    """An executable written in Python, with sys, json, os and time at hand."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\nsay = lambda x: print(json.dumps(x), flush=True)\n{body}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def tools(http: HttpClient, folder: Path, **environ: str) -> FakeTools:
    return FakeTools(http, {"env:MY_KEY": "key-of-mine"}, environ={"PATH": str(folder), "HOME": str(folder), **environ})


def own(http: HttpClient, path: Path, **config: Any) -> CommandLine:
    given = {"command": [str(path)], "hosts": [], **config}
    return CommandLine.create(given, tools(http, path.parent))


async def answered(provider: CommandLine, *messages: Message, **request: Any) -> ChatReply:
    asked = ChatRequest(messages or (text_message("user", "ping"),), **request)
    async with asyncio.timeout(20), provider.open(asked) as events:
        return await fold(events)


@pytest.mark.behaviour("PROV-40")
async def test_the_prompt_reaches_the_program_whole(http: HttpClient, programs: Path) -> None:
    path = program(programs, "echo", "sys.stdout.write(sys.stdin.read() + '\\n')")
    assert (await answered(own(http, path), text_message("user", NASTY))).message.text == NASTY


async def test_as_an_argument_it_is_one_argument_and_no_shell_sees_it(http: HttpClient, programs: Path) -> None:
    path = program(programs, "args", "print(json.dumps(sys.argv[1:]))")
    provider = own(http, path, command=[str(path), "-p", "{prompt}", "--brace={{}}"], prompt="argv")
    said = await answered(provider, text_message("user", NASTY))
    assert json.loads(said.message.text) == ["-p", NASTY, "--brace={}"]


async def test_chunks_come_before_the_program_ends(http: HttpClient, programs: Path) -> None:
    body = "print('one', flush=True)\nsys.stdin.read()\nopen(sys.argv[1]).read()\nprint('two')"
    gate = programs / "gate"
    os.mkfifo(gate)
    path = program(programs, "slow", body)
    provider = own(http, path, command=[str(path), str(gate)])
    async with asyncio.timeout(20), provider.open(ChatRequest((text_message("user", "x"),))) as events:
        async for event in events:
            if getattr(event, "text", "") == "one":
                break
        gate.write_text("go")
        rest = [event async for event in events]
    assert any(getattr(event, "text", "").strip() == "two" for event in rest)


@pytest.mark.parametrize("leaves", ["cancel", "break"])
async def test_whoever_leaves_ends_the_whole_group(http: HttpClient, programs: Path, leaves: str) -> None:
    child = "import subprocess\nchild = subprocess.Popen(['/bin/sleep', '60'])"
    body = f"{child}\nprint(os.getpid(), child.pid, flush=True)\ntime.sleep(60)"
    provider = own(http, program(programs, "family", body))
    pids: list[int] = []

    async def ask() -> None:
        async with provider.open(ChatRequest((text_message("user", "x"),))) as events:
            async for event in events:
                if text := getattr(event, "text", ""):
                    pids.extend(map(int, text.split()))
                    if leaves == "break":
                        return
                    asking.cancel()

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(20):
        await asyncio.gather(asking, return_exceptions=True)
    assert len(pids) == 2
    async with asyncio.timeout(20):  # one that was killed may need a moment to be gone
        while any(map(_runs, pids)):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_silence_and_length_have_limits(http: HttpClient, programs: Path) -> None:
    path = program(programs, "sleeper", "time.sleep(60)")
    with pytest.raises(TimedOut, match=r"sleeper was silent for 0\.2 s"):
        await answered(own(http, path, idle_timeout=0.2))
    chatty = program(programs, "chatty", "while True:\n  print('x', flush=True)\n  time.sleep(0.02)")
    with pytest.raises(TimedOut, match=r"longer than 0\.4 s"):
        await answered(own(http, chatty, timeout=0.4))


async def test_a_failure_tells_the_programs_last_words(http: HttpClient, programs: Path) -> None:
    path = program(programs, "failing", "print('out of luck', file=sys.stderr)\nsys.exit(3)")
    with pytest.raises(Unavailable, match="failing ended with exit code 3: out of luck") as caught:
        await answered(own(http, path))
    assert caught.value.provider == "command-line"


async def test_a_program_that_reads_no_input_is_no_error(http: HttpClient, programs: Path) -> None:
    path = program(programs, "deaf", "print('pong')")
    assert (await answered(own(http, path), text_message("user", "x" * 500_000))).message.text == "pong"


@pytest.mark.parametrize("id_", sorted(set(BY_ID) - {"command-line"}))
async def test_a_missing_program_says_how_to_get_it(http: HttpClient, programs: Path, id_: str) -> None:
    provider = BY_ID[id_].create({"base_url": "http://127.0.0.1:9"}, tools(http, programs))
    probed = await provider.probe()
    assert not probed.is_ready
    assert provider.card.hint is not None
    assert provider.card.hint in probed.detail
    with pytest.raises(Unavailable, match="is not on the PATH"):
        await answered(provider)


async def test_only_what_it_needs_of_the_environment_is_given(http: HttpClient, programs: Path) -> None:
    body = "say({'type': 'result', 'result': json.dumps(dict(os.environ))})"
    program(programs, "claude", body)
    given = tools(http, programs, OPENAI_API_KEY="other", ANTHROPIC_MODEL="mine", JACKFIELD_KEY="no", LANG="C")
    config = {"api_key": "env:MY_KEY", "base_url": "http://127.0.0.1:9"}
    said = await answered(BY_ID["claude-cli"].create(config, given))
    seen = json.loads(said.message.text)
    assert {"OPENAI_API_KEY", "JACKFIELD_KEY"}.isdisjoint(seen)
    assert (seen["ANTHROPIC_API_KEY"], seen["ANTHROPIC_MODEL"], seen["LANG"]) == ("key-of-mine", "mine", "C")
    assert seen["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"


async def test_prompts_leave_only_where_the_gate_allows(http: HttpClient, programs: Path) -> None:
    program(programs, "claude", "say({'type': 'result', 'result': 'pong'})")
    provider = BY_ID["claude-cli"].create({}, tools(http, programs))
    assert provider.info.hosts == ("api.anthropic.com:443",)
    with pytest.raises(EgressDenied, match=r"api\.anthropic\.com"):
        await answered(provider)


CLAUDE = """
say({"type": "system", "subtype": "init", "model": "claude-x"})
say({"type": "stream_event", "event": {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}})
for word in ("po", "ng"):
    say({"type": "stream_event", "event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}}})
say({"type": "result", "is_error": False, "result": "pong", "usage":
    {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2}})
"""
CODEX = """
say({"type": "thread.started", "thread_id": "t"})
say({"type": "item.completed", "item": {"type": "reasoning", "text": "hm"}})
say({"type": "item.completed", "item": {"type": "agent_message", "text": "pong"}})
say({"type": "turn.completed", "usage": {"input_tokens": 7, "cached_input_tokens": 4, "output_tokens": 2}})
"""
GEMINI = """
print("Loaded cached credentials.")
say({"type": "init", "model": "gemini-x"})
for word in ("po", "ng"):
    say({"type": "message", "role": "assistant", "content": word, "delta": True})
say({"type": "result", "status": "success", "stats": {"input_tokens": 7, "output_tokens": 2, "cached": 4}})
"""
SPOKEN = [("claude-cli", "claude", CLAUDE), ("codex-cli", "codex", CODEX), ("gemini-cli", "gemini", GEMINI)]


@pytest.mark.parametrize(("id_", "name", "body"), SPOKEN, ids=[id_ for id_, _, _ in SPOKEN])
async def test_json_lines_become_an_answer(http: HttpClient, programs: Path, id_: str, name: str, body: str) -> None:
    program(programs, name, body)
    provider = BY_ID[id_].create({"base_url": "http://127.0.0.1:9", "model": "m"}, tools(http, programs))
    said = await answered(provider)
    assert said.message.text == "pong"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens, said.usage.cached_tokens) == (7, 2, 4)
    assert said.finish_reason == "stop"


@pytest.mark.parametrize(
    ("id_", "name", "line", "kind"),
    [
        ("claude-cli", "claude", {"type": "result", "is_error": True, "result": "no", "api_error_status": 401}, AuthFailed),
        ("codex-cli", "codex", {"type": "turn.failed", "error": {"message": "no"}}, Unavailable),
        ("gemini-cli", "gemini", {"type": "result", "status": "error", "error": {"message": "no"}}, Unavailable),
        ("claude-cli", "claude", {"type": "something-new"}, StreamBroken),
    ],
)
async def test_json_lines_that_tell_of_a_failure(
    http: HttpClient, programs: Path, id_: str, name: str, line: dict[str, Any], kind: type[JackfieldError]
) -> None:
    program(programs, name, f"say({line!r})")
    with pytest.raises(kind) as caught:
        await answered(BY_ID[id_].create({"base_url": "http://127.0.0.1:9"}, tools(http, programs)))
    assert caught.value.provider == id_


async def test_system_and_turns_are_told_apart(http: HttpClient, programs: Path) -> None:
    path = program(programs, "llm", "print(json.dumps([sys.argv[1:], sys.stdin.read()]))")
    provider = BY_ID["llm-cli"].create({"base_url": "http://127.0.0.1:9", "model": "m"}, tools(http, path.parent))
    turns = (
        text_message("system", "be brief"),
        text_message("user", "a"),
        text_message("assistant", "b"),
        text_message("user", "c"),
    )
    argv, stdin = json.loads((await answered(provider, *turns)).message.text)
    assert argv == ["prompt", "-m", "m", "-s", "be brief"]
    assert stdin == "User: a\n\nAssistant: b\n\nUser: c\n\nAssistant:"


async def test_what_a_program_cannot_be_told_is_refused_or_named(http: HttpClient, programs: Path) -> None:
    provider = own(http, program(programs, "pong", "print('pong')"))
    with pytest.raises(NotSupported, match="tools"):
        await answered(provider, tools=(Tool("f"),))
    with pytest.raises(NotSupported, match="no images"):
        await answered(provider, Message("user", (ImagePart(url="data:image/png;base64,AA=="),)))
    asked = ChatRequest((text_message("user", "x"),), generation=Generation(temperature=0.5))
    async with provider.open(asked) as events:
        first = await anext(events)
    assert "temperature is not passed on" in str(getattr(first, "extra", {}).get("warnings"))


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({}, "command"),
        ({"command": ["x"]}, "hosts"),
        ({"command": ["x"], "hosts": [], "prompt": "argv"}, "command"),
        ({"command": ["x"], "hosts": [], "prompt": "shell"}, "prompt"),
        ({"command": ["x", "{"], "hosts": []}, "command"),
        ({"command": "x y", "hosts": []}, "command"),
        ({"comand": ["x"], "hosts": []}, "comand"),
    ],
)
async def test_a_config_that_cannot_be_names_its_key(
    http: HttpClient, tmp_path: Path, config: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        CommandLine.create(config, tools(http, tmp_path))
    assert caught.value.param == param
