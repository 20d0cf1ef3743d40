"""Codex, which speaks the Responses API only, as people run it: through the gateway to a real llama-server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from command_line_programs import assistant, environ_for
from engine_servers import EngineServer, llama_server
from jackfield.testing.answers import Answer
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

pytestmark = pytest.mark.engine
WITHIN_S = 90
CODEX_MODEL = "gpt-5.5"


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """A llama-server with room for the long prompts that this program writes around a short question."""
    with llama_server(tmp_path_factory.mktemp("roomy"), "-c", "32768", "-np", "1", "--jinja") as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, roomy: EngineServer) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path) as running:
        await running.plug(0, "llama-server", base_url=roomy.base_url)
        yield running


async def codex(folder: Path, *options: str, model: str = "slot-0", sandbox: str = "read-only") -> list[dict[str, Any]]:
    """The events that it tells, one a line."""
    programs = assistant("codex")
    process = await asyncio.create_subprocess_exec(
        str(programs / "codex"), "exec", "--json", "--ephemeral", "--skip-git-repo-check", "-s", sandbox, "-m", model,
        *options, "Say hello.",
        cwd=folder,
        env={**environ_for(folder, programs), "KEY": "none", "OPENAI_API_KEY": "none"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WITHIN_S):
            out, trouble = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    events = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    assert events, f"codex ended with {process.returncode}: {trouble.decode()[-500:]}"
    return events


def as_provider(url: str) -> tuple[str, ...]:
    row = f'{{name="gateway",base_url="{url}/v1",env_key="KEY",wire_api="responses"}}'
    return "-c", "model_provider=gateway", "-c", f"model_providers.gateway={row}"


async def test_codex_is_answered(gateway: Gateway, tmp_path: Path) -> None:
    events = await codex(tmp_path, *as_provider(gateway.url))
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "turn.completed", events
    assert events[-1]["usage"]["input_tokens"] > 1000
    assert any(event.get("item", {}).get("type") == "agent_message" for event in events)
    (row,) = gateway.rows()
    assert (row.outcome, row.slot) == ("ok", 0)


async def test_codex_that_tries_a_websocket_first_comes_back_by_http(gateway: Gateway, tmp_path: Path) -> None:
    """With only its address changed it takes the gateway for OpenAI itself."""
    events = await codex(tmp_path, "-c", f'openai_base_url="{gateway.url}/v1"')
    assert events[-1]["type"] == "turn.completed", events


class Caller(FakeOpenAI):
    """Calls a function that Codex offers in a namespace, and is done when it has the result."""

    def _continued(self, body: Mapping[str, Any]) -> Answer:
        if body["messages"][-1]["role"] == "tool":
            return Answer("done")
        return Answer("", tool_calls=(("multi_agent_v1__close_agent", '{"target":"nobody"}'),), finish_reason="tool_calls")


async def test_codex_knows_its_function_in_a_namespace_again(tmp_path: Path) -> None:
    async with Caller(["m"]) as fake, running_gateway(tmp_path) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model="m")
        events = await codex(tmp_path, *as_provider(running.url))
        assert events[-1]["type"] == "turn.completed", events
        told = fake.requests[-1].json["messages"][-1]["content"]
        assert "nobody" in told
        assert "unsupported" not in told


PATCH = """*** Begin Patch
*** Add File: made.txt
+fünf "5"
*** End Patch
"""


class Patcher(FakeOpenAI):
    """Calls the freeform tool by which Codex edits files, and is done when it has the result."""

    def _continued(self, body: Mapping[str, Any]) -> Answer:
        if body["messages"][-1]["role"] == "tool":
            return Answer("done")
        return Answer("", tool_calls=(("apply_patch", json.dumps({"input": PATCH})),), finish_reason="tool_calls")


@pytest.mark.behaviour("DOOR-42")
async def test_codex_edits_a_file_by_a_patch_from_a_source_that_knows_functions_only(tmp_path: Path) -> None:
    """It offers that tool to models that it knows by name."""
    async with Patcher([CODEX_MODEL]) as fake, running_gateway(tmp_path) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model=CODEX_MODEL)
        options = as_provider(running.url)
        events = await codex(tmp_path, *options, model=CODEX_MODEL, sandbox="danger-full-access")
        assert events[-1]["type"] == "turn.completed", events
        assert "Success" in fake.requests[-1].json["messages"][-1]["content"]
        assert (tmp_path / "made.txt").read_text(encoding="utf-8") == 'fünf "5"\n', events
