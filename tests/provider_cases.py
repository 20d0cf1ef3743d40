"""What each provider that ships needs in order to be tried on this machine: its source as a fake, and its config.

One table for all tests that run over every provider. A provider that is new has a row in presets.toml, or a place here.
"""

import asyncio
import http
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from fake_assistants import fake_assistant, fake_llama
from fake_torch_model import model_folder, without_torch
from jackfield.core.requests import Generation
from jackfield.providers.command_line import command_types
from jackfield.providers.llama_direct import BitnetDirect, LlamaDirect
from jackfield.providers.presets import load_presets
from jackfield.testing.fake_anthropic import FakeAnthropic
from jackfield.testing.fake_bedrock import FakeBedrock
from jackfield.testing.fake_cohere import FakeCohere
from jackfield.testing.fake_completion import FakeKobold, FakeLlamaServer, FakeTei, FakeTgi
from jackfield.testing.fake_gemini import FakeGemini
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fake_replicate import FakeReplicate
from jackfield.testing.fake_server import FakeServer
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools

CANARY = "canary-5f1d0c9e7b3a4c2d"
KEY = {"api_key": "env:CANARY"}
PRESETS = load_presets()
DEMO_MODEL = Path(__file__).parents[1] / "src/jackfield/app/demo/tiny-llm.gguf"
NATIVE: dict[str, tuple[Callable[[], FakeServer], dict[str, Any]]] = {
    "anthropic": (FakeAnthropic, {"model": "claude-fake-1"}),
    "bedrock": (FakeBedrock, {"model": "fake-model"}),
    "cohere": (FakeCohere, {}),
    "gemini": (FakeGemini, {}),
    "kobold": (FakeKobold, {}),
    "ollama": (FakeOllama, {}),
    "ollama-cloud": (FakeOllama, {"model": "fake-model"}),
    "llama-server-native": (FakeLlamaServer, {}),
    "tgi-native": (FakeTgi, {}),
    "vertex": (FakeGemini, {"project": "a-project"}),
}
"""Chat over HTTP, by id: its fake, and what its config needs beside address and key."""
HTTP: dict[str, tuple[Callable[[], FakeServer], dict[str, Any]]] = {
    **NATIVE,
    "tei": (FakeTei, {}),
    "replicate": (FakeReplicate, {"model": "acme/fake-model", "look_every": 0.01}),
}
"""All that speak HTTP and are no row."""
COMMANDS = [kind.card.id for kind in command_types()]
DIRECT = {kind.card.id: kind for kind in (LlamaDirect, BitnetDirect)}
MCP_SERVER = """
import re
from mcp.server import MCPServer

server = MCPServer("fake")

@server.tool()
def generate(prompt: str) -> str:
    count = re.search(r"[Cc]ount to (\\d+)", prompt)
    return ", ".join(map(str, range(1, int(count[1]) + 1))) if count else "pong"

server.run()
"""

Config = dict[str, Any]


@dataclass
class Stand:
    """A provider's source, running. The three ways to be tried each give the config to plug with.

    `spent` counts the answers that were given. `refuse_key` is None where no key is taken, or where only an answer would tell
    whether it is good; `go_away` is None where nothing has to be reached. `last_body` is what was last asked, if that is seen.
    """

    config: Config
    spent: Callable[[], int]
    refuse_key: Callable[[], Awaitable[Config]] | None = None
    go_away: Callable[[], Awaitable[Config]] | None = None
    last_body: Callable[[], bytes] | None = None


Standing = Callable[[str, FakeTools, Path, pytest.MonkeyPatch], AbstractAsyncContextManager[Stand]]


def standing_of(provider_id: str) -> Standing:
    """Raises KeyError for a provider that has no place here."""
    if provider_id in PRESETS or provider_id in HTTP:
        return _over_http
    if provider_id in COMMANDS:
        return _program
    if provider_id in DIRECT:
        return _llama_program
    return _OTHERS[provider_id]


@asynccontextmanager
async def _over_http(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    model = PRESETS[id_].default_model if id_ in PRESETS else None
    fake_of, more = HTTP.get(id_, (lambda: FakeOpenAI([model or "fake-model"]), {}))
    async with fake_of() as fake:
        yield _http_stand(fake, {"base_url": fake.root_url, **KEY, **more})


def _http_stand(fake: FakeServer, config: Config) -> Stand:
    async def refuse_key() -> Config:
        fake.require_key = "another-key-entirely"
        return config

    async def go_away() -> Config:
        await fake.stop()
        return config

    return Stand(config, lambda: fake.completions, refuse_key, go_away, lambda: _last_body(fake))


def _last_body(fake: FakeServer) -> bytes:
    return next(request.body for request in reversed(fake.requests) if request.body)


@asynccontextmanager
async def _program(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    name, config = fake_assistant(folder, id_)
    tools.environ = {"PATH": str(folder)}

    async def go_away() -> Config:
        (folder / name).unlink()
        return config

    yield Stand(config, lambda: len(_asked(folder)), None, go_away)


@asynccontextmanager
async def _llama_program(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    fake_llama(folder, DIRECT[id_].programs[0])
    tools.environ = {"PATH": str(folder)}

    async def go_away() -> Config:
        return {"model": str(folder / "nothing.gguf")}

    yield Stand({"model": str(DEMO_MODEL)}, lambda: len(_asked(folder)), None, go_away, lambda: _asked(folder)[-1])


def _asked(folder: Path) -> list[bytes]:
    """The arguments of each run in which a fake program was asked something, as JSON."""
    told = folder / "asked"
    return told.read_bytes().splitlines() if told.exists() else []


@asynccontextmanager
async def _engine(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async def go_away() -> Config:
        return {"model": str(folder / "nothing.gguf")}

    yield Stand({"model": str(DEMO_MODEL), "context_length": 2048, "threads": 1}, lambda: 0, None, go_away)


@asynccontextmanager
async def _torch_model(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    loaded = without_torch(patch)

    async def go_away() -> Config:
        return {"model": str(folder / "nothing")}

    def answered() -> list[Generation]:
        return [wish for model in loaded for wish in model.answered]

    config = {"model": str(model_folder(folder / "tiny"))}
    yield Stand(config, lambda: len(answered()), None, go_away, lambda: msgspec.json.encode(answered()[-1]))


@asynccontextmanager
async def _script(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async def go_away() -> Config:
        return {"text": "pong", "ready": False}

    yield Stand({"text": "pong"}, lambda: 0, None, go_away)


@asynccontextmanager
async def _person(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    yield Stand({}, lambda: 0)


@asynccontextmanager
async def _library(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    patch.setitem(sys.modules, "litellm", ModuleType("litellm"))  # which knows no call, so that none is made unseen
    yield Stand({"base_url": "http://127.0.0.1:9", **KEY, "model": "openai/gpt-4o"}, lambda: 0)


@asynccontextmanager
async def _tool(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    tools.environ = {"PATH": "/usr/bin:/bin"}
    async with FakeServer(require_key="another-key-entirely") as fake:
        path = folder / "server.py"
        path.write_text(MCP_SERVER, encoding="utf-8")

        async def refuse_key() -> Config:
            return {"url": f"{fake.root_url}/mcp", **KEY}

        async def go_away() -> Config:
            await fake.stop()
            return {"url": f"{fake.root_url}/mcp"}

        config = {"command": [sys.executable, str(path)], "hosts": []}
        yield Stand(config, lambda: fake.completions, refuse_key, go_away)
        for _ in range(10):  # the loop has yet to hear that the server's pipes are closed
            await asyncio.sleep(0)


@asynccontextmanager
async def _socket(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async with fake_socket() as socket:
        config = {"url": socket.url, **KEY}

        async def refuse_key() -> Config:
            socket.require_key = "another-key-entirely"
            return config

        async def go_away() -> Config:
            await socket.stop()
            return config

        yield Stand(config, lambda: socket.asked, refuse_key, go_away, lambda: socket.last_body)


@asynccontextmanager
async def _both_ways(id_: str, tools: FakeTools, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async with fake_socket() as socket, FakeOpenAI() as fake:
        config: Config = {"http": {"base_url": fake.base_url, "model": fake.models[0], **KEY}, "websocket": {"url": socket.url}}

        async def refuse_key() -> Config:
            fake.require_key = socket.require_key = "another-key-entirely"
            return config

        async def go_away() -> Config:
            await fake.stop()
            await socket.stop()
            return config

        yield Stand(config, lambda: fake.completions + socket.asked, refuse_key, go_away, lambda: _last_body(fake))


_OTHERS: Mapping[str, Standing] = {
    "local": _engine,
    "local_transformers": _torch_model,
    "scripted": _script,
    "human": _person,
    "litellm": _library,
    "mcp": _tool,
    "websocket": _socket,
    "hybrid": _both_ways,
}


def spoken(prompt: str) -> list[str]:
    """What the simple fakes answer, word by word."""
    count = re.search(r"[Cc]ount to (\d+)", prompt)
    text = ", ".join(map(str, range(1, int(count[1]) + 1))) if count else "pong"
    return re.findall(r"\S+\s*", text)


class FakeSocket:
    """A WebSocket endpoint that answers prompts in chunks. `require_key` refuses other keys; `asked` counts the prompts."""

    def __init__(self) -> None:
        self.require_key: str | None = None
        self.asked = 0
        self.last_body = b""
        self.url = ""
        self.stop: Callable[[], Awaitable[None]]

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        said = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.require_key in (None, said):
            return None
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong key\n")

    async def answer(self, connection: ServerConnection) -> None:
        try:
            said = await connection.recv(decode=False)
        except ConnectionClosed:  # somebody only looked
            return
        self.asked += 1
        self.last_body = said
        asked = json.loads(said)
        for word in spoken(asked["prompt"]):
            await connection.send(json.dumps({"type": "chunk", "content": word}))
        await connection.send(json.dumps({"type": "complete"}))
        await connection.wait_closed()


@asynccontextmanager
async def fake_socket() -> AsyncIterator[FakeSocket]:
    fake = FakeSocket()
    async with serve(fake.answer, "127.0.0.1", 0, process_request=fake.admit) as server:

        async def stop() -> None:
            server.close()
            await server.wait_closed()

        fake.stop = stop
        fake.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield fake
