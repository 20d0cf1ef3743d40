"""`jackfield mcp` as IDEs start it: for a gateway that runs, for a panel of its own, and where neither can be had."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from command_line import SCRIPT
from gateway_process import jackfield, surroundings
from mcp_talk import BOTH, REVISIONS, Person, refuse, tell
from running_gateway import Gateway, running_gateway

FAR = json.dumps({"command": ["/bin/cat"], "hosts": ["far.example:443"]})


@asynccontextmanager
async def spoken_to(folder: Path, mode: str, environ: dict[str, str], **options: Any) -> AsyncIterator[Client]:
    folder.mkdir(exist_ok=True)
    env = {**surroundings(folder), **environ}
    server = StdioServerParameters(command=str(SCRIPT), args=["mcp"], env=env, cwd=str(folder))
    chosen: Any = mode
    async with Client(server, mode=chosen, **options) as client:
        yield client


@BOTH
@pytest.mark.behaviour("MCP-09")
async def test_it_speaks_for_the_gateway_that_runs(gateway: Gateway, tmp_path: Path, mode: str) -> None:
    person = Person(["yes"])
    environ = {"JACKFIELD_URL": gateway.url}
    async with spoken_to(tmp_path / "ide", mode, environ, elicitation_callback=person) as client:
        assert client.protocol_version == REVISIONS[mode]
        assert len((await client.list_tools()).tools) == 23
        told = await tell(client, "invoke_slot", slot=0, text="ping")
        assert (told["output"], gateway.rows()[0].request_id) == ("pong", told["request_id"])
        assert (await refuse(client, "slot_info", slot=99))["code"] == "slot_out_of_range"
        await tell(client, "plug_provider", slot=1, provider_id="command-line", config=FAR)
        assert len(person.asked) == 1
        assert not gateway.house.registry.slot(1).is_empty
        assert len((await client.read_resource("jackfield://slots")).contents) == 1


@pytest.mark.behaviour("MCP-09")
async def test_without_a_gateway_it_has_a_panel_of_its_own_that_lasts(tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("discovery: {enabled: false}\nserver: {port: 1}\n", encoding="utf-8")
    async with spoken_to(tmp_path, "auto", {}) as client:
        await tell(client, "plug_provider", slot=0, provider_id="scripted", config='{"text": "hello {prompt}"}')
        assert (await tell(client, "invoke_slot", slot=0, text="ping"))["output"] == "hello ping"
    async with spoken_to(tmp_path, "legacy", {}) as client:
        assert (await tell(client, "forward", text="again"))["output"] == "hello again"


@pytest.mark.behaviour("SEC-17")
async def test_it_shows_the_gateway_its_key(tmp_path: Path) -> None:
    keyed: dict[str, Any] = {"server": {"api_key": "env:KEY"}}
    async with running_gateway(tmp_path / "gateway", {"KEY": "of-the-gate"}, **keyed) as gateway:
        where = {"JACKFIELD_URL": gateway.url}
        folder = tmp_path / "ide"
        async with spoken_to(folder, "auto", {**where, "JACKFIELD_API_KEY": "of-the-gate"}) as client:
            assert (await tell(client, "list_slots"))["total"] == 32
        refused = await asyncio.to_thread(jackfield, folder, "mcp", environ=where)
        assert (refused.code, refused.out) == (1, "")
        assert "asks for a key" in refused.err


def test_a_gateway_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    said = jackfield(tmp_path, "mcp", "--url", "http://127.0.0.1:1")
    assert (said.code, said.out) == (3, "")
    assert "no gateway answers at http://127.0.0.1:1" in said.err
