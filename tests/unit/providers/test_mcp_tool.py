"""A tool of a real MCP server as a source: over its standard input and over HTTP, made with the official SDK."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

pytest.importorskip("mcp")

from jackfield.core.errors import BadRequest, EgressDenied, NotSupported, Unavailable
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Tool
from jackfield.providers.mcp_tool import McpTool
from jackfield.testing.tools import FakeTools, provider_tools

SERVER = """
import os, sys
from mcp.server import MCPServer

server = MCPServer("fake")

@server.tool()
def generate(prompt: str, system: str = "") -> str:
    if prompt == "die":
        os._exit(3)
    if prompt == "fail":
        raise ValueError("out of luck")
    if prompt == "environ":
        return " ".join(sorted(os.environ))
    return f"{system}|{prompt}" if system else {"ping": "pong"}.get(prompt, prompt)
"""


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": "key-of-mine"}) as made:
        made.environ = {"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "not yours"}
        yield made


@pytest.fixture
def stdio(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "server.py"
    path.write_text(f"{SERVER}\nserver.run()\n", encoding="utf-8")
    return {"command": [sys.executable, str(path)], "hosts": []}


async def answered(provider: McpTool, text: str = "ping", *, system: str | None = None, **request: Any) -> ChatReply:
    messages = (text_message("user", text),) if system is None else (text_message("system", system), text_message("user", text))
    async with asyncio.timeout(30), provider.open(ChatRequest(messages, **request)) as events:
        return await fold(events)


@asynccontextmanager
async def over_http() -> AsyncIterator[str]:
    space: dict[str, Any] = {}
    exec(SERVER, space)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        app = space["server"].streamable_http_app(streamable_http_path="/mcp")
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        serving = asyncio.create_task(server._serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
        server.should_exit = True
        await serving


@pytest.mark.behaviour("PROV-41")
async def test_a_server_on_its_standard_input(tools: FakeTools, stdio: dict[str, Any]) -> None:
    provider = McpTool.create(stdio, tools)
    try:
        assert (await answered(provider)).message.text == "pong"
        assert (await answered(provider, "x", system="be brief")).message.text == "be brief\n\nx"
        assert (await provider.probe()).detail == "tool generate"
        assert "OPENAI_API_KEY" not in (await answered(provider, "environ")).message.text
    finally:
        await provider.aclose()


async def test_a_server_over_http(tools: FakeTools) -> None:
    async with over_http() as url:
        provider = McpTool.create({"url": url, "system_argument": "system"}, tools)
        try:
            assert (await answered(provider)).message.text == "pong"
            assert (await answered(provider, "x", system="be brief")).message.text == "be brief|x"
            assert provider.info.hosts == (url.removeprefix("http://").removesuffix("/mcp"),)
        finally:
            await provider.aclose()


async def test_failures_are_told_and_the_next_call_finds_a_new_server(tools: FakeTools, stdio: dict[str, Any]) -> None:
    provider = McpTool.create(stdio, tools)
    try:
        with pytest.raises(Unavailable, match="the tool failed"):
            await answered(provider, "fail")
        with pytest.raises(Unavailable):
            await answered(provider, "die")
        async with asyncio.timeout(20):
            while True:
                try:
                    assert (await answered(provider)).message.text == "pong"
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
    finally:
        await provider.aclose()


async def test_what_cannot_work_says_so(tools: FakeTools, stdio: dict[str, Any]) -> None:
    nobody = McpTool.create({"url": "http://127.0.0.1:9/mcp"}, tools)
    assert not (await nobody.probe()).is_ready
    with pytest.raises(Unavailable, match="cannot be reached"):
        await answered(nobody)
    wrong = McpTool.create({**stdio, "tool": "paint"}, tools)
    with pytest.raises(BadRequest, match="one of the server's tools: generate"):
        await answered(wrong)
    await wrong.aclose()
    with pytest.raises(NotSupported):
        await answered(nobody, tools=(Tool("f"),))
    with pytest.raises(EgressDenied):
        await answered(McpTool.create({"url": "https://mcp.example/mcp"}, tools))


@pytest.mark.parametrize(
    ("config", "param"),
    [({}, "url"), ({"url": "http://x/", "command": ["y"]}, "url"), ({"command": ["y"]}, "hosts"), ({"command": []}, "command")],
)
async def test_a_config_that_cannot_be_names_its_key(tools: FakeTools, config: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        McpTool.create(config, tools)
    assert caught.value.param == param
