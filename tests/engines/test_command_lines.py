"""The vendors' own programs as sources, each pointed at a real llama-server on this machine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from command_line_programs import assistant, environ_for
from engine_servers import EngineServer, llama_server
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.providers.command_line import command_types
from jackfield.testing.fake_gemini import FakeGemini
from jackfield.testing.tools import FakeTools
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient

pytestmark = pytest.mark.engine
BY_ID = {kind.card.id: kind for kind in command_types()}
COUNTING = ChatRequest((text_message("user", "Count to 5"),))
ASKED = ChatRequest((text_message("system", "Be brief."), text_message("user", "ping")))


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(EgressGate())
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """A llama-server with room for the long prompts that these programs write around a short question."""
    with llama_server(tmp_path_factory.mktemp("roomy"), "-c", "32768", "-np", "1", "--jinja") as server:
        yield server


@pytest.mark.parametrize(
    ("id_", "program", "path", "model", "answer"),
    [
        ("claude-cli", "claude", "", "tiny", "pong"),
        ("llm-cli", "llm", "/v1", "gpt-4o-mini", "pong"),
        ("codex-cli", "codex", "/v1", "tiny", None),
    ],
)
async def test_a_real_program_answers(
    http: HttpClient, roomy: EngineServer, tmp_path: Path, id_: str, program: str, path: str, model: str, answer: str | None
) -> None:
    environ = environ_for(tmp_path, assistant(program))
    config = {"base_url": roomy.root_url + path, "api_key": "env:KEY", "model": model, "folder": str(tmp_path)}
    provider = BY_ID[id_].create(config, FakeTools(http, {"env:KEY": "none"}, environ=environ))
    probed = await provider.probe()
    assert probed.is_ready, probed.detail
    async with asyncio.timeout(60), provider.open(ASKED) as events:
        reply = await fold(events)
    if answer is None:  # it wraps the question in so long a prompt that the tiny model says this or that
        assert reply.usage is not None
        assert reply.usage.prompt_tokens > 1000
    else:
        assert reply.message.text == answer
    assert reply.finish_reason == "stop"


async def test_the_real_gemini_answers_by_its_own_protocol(http: HttpClient, tmp_path: Path) -> None:
    """No engine on this machine speaks Google's protocol, so its API is a fake."""
    model = "gemini-2.5-flash"
    async with FakeGemini([model, "gemini-2.5-flash-lite", "gemini-2.5-pro"], require_key="a-key") as google:
        config = {"base_url": google.root_url, "api_key": "env:KEY", "model": model, "folder": str(tmp_path)}
        tools = FakeTools(http, {"env:KEY": "a-key"}, environ=environ_for(tmp_path, assistant("gemini")))
        provider = BY_ID["gemini-cli"].create(config, tools)
        probed = await provider.probe()
        assert probed.is_ready, probed.detail
        assert google.completions == 0
        async with asyncio.timeout(60), provider.open(COUNTING) as events:
            reply = await fold(events)
        assert (reply.message.text, reply.finish_reason) == ("1, 2, 3, 4, 5", "stop")
        assert reply.usage is not None
        assert reply.usage.completion_tokens > 0
        asked = google.requests[-1]
        assert asked.path.startswith(f"/v1beta/models/{model}:streamGenerateContent")
        assert asked.headers["x-goog-api-key"] == "a-key"
