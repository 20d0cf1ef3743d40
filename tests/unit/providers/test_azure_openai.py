"""Azure's way to OpenAI's API: the deployment in the address, a version in the query, the key in a header of its own."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest

from jackfield.core.contracts import Provider
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest
from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.registry import load_registrar
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools

KEY = "key-of-azure"


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": KEY}) as made:
        yield made


def path_of_the_official_client(version: str, deployment: str, root_url: str) -> str:
    """Where Microsoft's client, which is OpenAI's, sends a chat."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(500)

    client = openai.AzureOpenAI(
        api_key=KEY,
        api_version=version,
        azure_endpoint=root_url,
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=deployment, messages=[{"role": "user", "content": "x"}])
    assert seen[0].headers["api-key"] == KEY
    return seen[0].url.raw_path.decode()


@pytest.mark.behaviour("PROV-27")
async def test_calls_go_where_the_official_client_sends_them(tools: FakeTools) -> None:
    kind = load_registrar(plugins=False).get("azure")
    async with FakeOpenAI(["my deployment", "vectors"]) as fake:
        provider = kind.create({"base_url": fake.root_url, "api_key": "env:KEY", "model": "my deployment"}, tools)
        assert isinstance(provider, OpenAICompatible)
        assert await ask(provider) == "pong"
        sent = fake.last
        assert sent.path == path_of_the_official_client("2024-10-21", "my deployment", fake.root_url)
        assert sent.headers["api-key"] == KEY
        assert "authorization" not in sent.headers
        assert len((await provider.embed(EmbedRequest(("x",), model="vectors"))).vectors) == 1
        assert fake.last.path == "/openai/deployments/vectors/embeddings?api-version=2024-10-21"
        await provider.probe()
        assert fake.last.path == "/openai/models?api-version=2024-10-21"


async def test_another_version_and_a_token(tools: FakeTools) -> None:
    kind = load_registrar(plugins=False).get("azure-openai")
    quirks = {"api_version": "2025-01-01-preview", "auth_header": "authorization"}
    async with FakeOpenAI(["d"]) as fake:
        provider = kind.create({"base_url": fake.root_url, "api_key": "env:KEY", "model": "d", "quirks": quirks}, tools)
        assert await ask(provider) == "pong"
        assert fake.last.path.endswith("?api-version=2025-01-01-preview")
        assert fake.last.headers["authorization"] == f"Bearer {KEY}"


async def ask(provider: object) -> str:
    assert isinstance(provider, Provider)
    async with asyncio.timeout(10), provider.open(ChatRequest((text_message("user", "ping"),))) as events:
        return (await fold(events)).message.text
