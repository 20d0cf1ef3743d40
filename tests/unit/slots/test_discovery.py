"""Discovery on real sockets: real engines and fakes told by what they answer, hanging ones given up, keys never read out."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest

from engine_servers import EngineServer
from jackfield.slots.discovery import Discovery, discover
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fakes import Behaviour, FakeOpenAI

NOTHING = Path("/nonexistent")


def look(bench: Any, *ports: int, **given: Any) -> Any:
    options: dict[str, Any] = {"path_lookup": lambda name: None, "root": NOTHING, "only_ports": True, **given}
    return discover(bench.tools.http, bench.registrar, options.pop("environ", ()), ports=ports, **options)


@pytest.fixture
async def hanging() -> AsyncIterator[int]:
    """A port that takes connections and says nothing."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.engine
@pytest.mark.behaviour("DISC-01")
async def test_real_engines_are_told_apart_on_any_port(bench: Any, llama: EngineServer, lemonade: EngineServer) -> None:
    found: Discovery = await look(bench, llama.port, lemonade.port)
    told = {server.port: server for server in found.servers}
    assert told[llama.port].provider == "llama-server"
    assert told[lemonade.port].provider == "lemonade", "it answers Ollama's API too"
    assert told[llama.port].models == (llama.model,)
    assert lemonade.model in told[lemonade.port].models
    panel = bench.panel()
    for number, server in enumerate(found.servers):
        await panel.plug(number, server.provider, {"base_url": server.base_url})
        binding = panel.slot(number).binding
        assert server.address in binding.info.hosts
    assert (await panel.invoke_slot(0, "ping"))["output"].startswith("pong")
    await panel.aclose()


@pytest.mark.behaviour("DISC-01")
async def test_a_plain_server_is_openai_compatible_and_its_models_are_named(bench: Any, fake: FakeOpenAI) -> None:
    (server,) = (await look(bench, fake.port)).servers
    assert (server.provider, server.base_url, server.models, server.needs_key) == (
        "openai-compat",
        fake.base_url,
        ("fake-model",),
        False,
    )
    assert server.address == f"127.0.0.1:{fake.port}"
    assert fake.completions == 0, "looking spends nothing"


@pytest.mark.behaviour("LOCL-12")
async def test_ollama_is_proposed_by_its_own_api(bench: Any) -> None:
    async with FakeOllama() as fake:
        (server,) = (await look(bench, fake.port)).servers
        told = (server.provider, server.base_url, server.version, server.models)
        assert told == ("ollama", fake.root_url, "0.33.0", ("fake-model:latest",))
        panel = bench.panel()
        await panel.plug(0, server.provider, {"base_url": server.base_url})
        assert (await panel.invoke_slot(0, "ping"))["output"] == "pong"
        assert fake.last.path == "/api/chat"
        await panel.aclose()


async def test_a_server_that_wants_a_key_is_found_and_says_so(bench: Any) -> None:
    async with FakeOpenAI(require_key="sk-0123456789abcdef") as fake:
        (server,) = (await look(bench, fake.port)).servers
        assert (server.needs_key, server.models) == (True, ())
        assert all("authorization" not in request.headers for request in fake.requests)


@pytest.mark.behaviour("DISC-02")
async def test_nobody_is_waited_for(bench: Any, fake: FakeOpenAI, hanging: int) -> None:
    async with FakeOpenAI(behaviour=Behaviour(everywhere=True, hang="before")) as deaf:
        began = perf_counter()
        found = await look(bench, fake.port, hanging, deaf.port, 1)
        assert perf_counter() - began < 4
    assert [server.port for server in found.servers] == [fake.port]


async def test_our_own_port_is_never_asked(bench: Any, fake: FakeOpenAI) -> None:
    assert (await look(bench, fake.port, skip_ports=(fake.port,))).servers == ()
    assert fake.connections == 0


@pytest.mark.behaviour("HTTP-11")
async def test_the_machine_is_not_looked_at_where_nobody_wants_it(bench: Any) -> None:
    assert (await look(bench)).devices != ()
    found = await look(bench, hardware=False)
    assert (found.gpus, found.devices) == ((), ())


@pytest.mark.behaviour("DISC-03")
async def test_keys_are_reported_by_name_only(bench: Any) -> None:
    environ = {"OPENAI_API_KEY": "sk-canary-0123456789", "GROQ_API_KEY": "  ", "HOME": "/root"}
    found = await look(bench, environ=environ)
    assert [(key.variable, key.provider) for key in found.keys if key.provider == "openai"] == [("OPENAI_API_KEY", "openai")]
    assert "GROQ_API_KEY" not in {key.variable for key in found.keys}
    assert b"canary" not in msgspec.json.encode(found)
    names = await look(bench, environ=["GROQ_API_KEY"])
    assert [key.provider for key in names.keys] == ["groq"]


async def test_programs_come_from_the_lookup(bench: Any) -> None:
    found = await look(bench, path_lookup={"ollama": "/usr/bin/ollama", "claude": "/usr/bin/claude"}.get)
    assert [(program.name, program.path, program.provider) for program in found.clis] == [
        ("ollama", "/usr/bin/ollama", "ollama"),
        ("claude", "/usr/bin/claude", "claude-cli"),
    ]


async def test_an_empty_machine_is_an_empty_answer(bench: Any) -> None:
    found = await look(bench, 1)
    assert [device.kind for device in found.devices][-1] == "cpu"
    assert msgspec.structs.replace(found, devices=()) == Discovery()
