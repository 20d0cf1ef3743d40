"""Claude Code and Gemini CLI, as people run them, through the gateway to a real llama-server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line_programs import assistant, environ_for
from engine_servers import EngineServer, llama_server
from running_gateway import Gateway, running_gateway

pytestmark = pytest.mark.engine
WITHIN_S = 60


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """A llama-server with room for the long prompts that these programs write around a short question."""
    with llama_server(tmp_path_factory.mktemp("roomy"), "-c", "65536", "-np", "1", "--jinja") as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, roomy: EngineServer) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path) as running:
        await running.plug(0, "llama-server", base_url=roomy.base_url)
        yield running


async def run(folder: Path, environ: dict[str, str], *command: str) -> Any:
    """What the program says, as JSON. Its exit code is told where it says nothing."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            out, trouble = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out, f"{command[0]} ended with {process.returncode}: {trouble.decode()[-500:]}"
    return json.loads(out)


@pytest.mark.behaviour("DOOR-05")
async def test_claude_code_is_answered(gateway: Gateway, tmp_path: Path) -> None:
    programs = assistant("claude")
    environ = environ_for(tmp_path, programs) | {
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_AUTH_TOKEN": "anything",
        "IS_SANDBOX": "1",
    }
    told = await run(
        tmp_path,
        environ,
        str(programs / "claude"),
        *("-p", "ping", "--model", "slot-0", "--output-format", "json", "--no-session-persistence"),
        *("--tools", "", "--system-prompt", "Be brief."),
    )
    assert (told["is_error"], told["result"]) == (False, "pong")
    assert told["usage"]["output_tokens"] > 0
    assert [row.outcome for row in gateway.rows()] == ["ok"] * len(gateway.rows())


async def test_claude_code_is_told_what_is_wrong(gateway: Gateway, tmp_path: Path) -> None:
    programs = assistant("claude")
    environ = environ_for(tmp_path, programs) | {
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_AUTH_TOKEN": "anything",
        "IS_SANDBOX": "1",
    }
    told = await run(
        tmp_path,
        environ,
        str(programs / "claude"),
        *("-p", "ping", "--model", "nobody", "--output-format", "json", "--no-session-persistence", "--tools", ""),
    )
    assert told["is_error"]
    assert "nobody" in told["result"]


@pytest.mark.behaviour("DOOR-05")
async def test_gemini_cli_is_answered(gateway: Gateway, tmp_path: Path) -> None:
    programs = assistant("gemini")
    environ = environ_for(tmp_path, programs) | {"GOOGLE_GEMINI_BASE_URL": gateway.url, "GEMINI_API_KEY": "anything"}
    told = await run(tmp_path, environ, str(programs / "gemini"), *("-p", "ping", "-m", "slot-0", "-o", "json", "--skip-trust"))
    assert told["response"]
    assert {row.outcome for row in gateway.rows()} == {"ok"}
    assert gateway.rows()[0].prompt_tokens > 1000
