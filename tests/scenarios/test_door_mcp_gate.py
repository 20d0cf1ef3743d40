"""Who gets in at /mcp, what no answer there may carry, and what the door is to a gateway that nobody speaks MCP to."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from jackfield.testing.fakes import FakeOpenAI
from mcp_talk import BOTH, REVISIONS, client_of, tell, text_of
from running_gateway import Gateway, running_gateway

CANARY = "CanaryOfTheSource7hT2kW9xB"
KEYS: dict[str, Any] = {"server": {"api_keys": {"a": "env:KEY_A", "b": "env:KEY_B"}}}
ENVIRON = {"KEY_A": "first-key-of-the-gate", "KEY_B": "other-key-of-the-gate"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"accept": "application/json, text/event-stream"}
BEGIN: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}


@BOTH
@pytest.mark.behaviour("SEC-17")
async def test_a_key_is_asked_for_here_too(tmp_path: Path, mode: str) -> None:
    async with running_gateway(tmp_path, ENVIRON, **KEYS) as gateway:
        for headers, status in (({}, 401), ({"authorization": "Bearer wrong"}, 403)):
            for path in ("/mcp", "/mcp/", "/mcp/sse", "/mcp/messages/?session_id=0"):
                for method in ("GET", "POST"):
                    said = await gateway.http.request(method, path, headers={**ACCEPT, **headers}, json=LIST)
                    assert said.status_code == status
        async with client_of(gateway, mode, key=ENVIRON["KEY_B"]) as client:
            assert (await tell(client, "list_slots"))["total"] == 32


async def test_a_session_is_good_for_the_key_that_opened_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, ENVIRON, **KEYS) as gateway:
        begun = await post(gateway, BEGIN, ENVIRON["KEY_A"])
        session = begun.headers["mcp-session-id"]
        theirs = await post(gateway, LIST, ENVIRON["KEY_B"], session)
        assert theirs.status_code == 404
        own = await post(gateway, LIST, ENVIRON["KEY_A"], session)
        assert own.status_code == 200


async def test_limits_of_a_key_hold_for_its_tools(tmp_path: Path) -> None:
    limits = {"gateway": {"requests_per_minute": 1}}
    async with running_gateway(tmp_path, ENVIRON, limits=limits, **KEYS) as gateway:
        await gateway.plug(0, "scripted", text="hello")
        async with client_of(gateway, key=ENVIRON["KEY_A"]) as client:
            assert not (await client.call_tool("generate", {"prompt": "x"})).is_error
            refused = await client.call_tool("generate", {"prompt": "x"})
            assert json.loads(text_of(refused))["error"]["status"] == 429


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}])
async def test_pages_of_others_are_kept_out(gateway: Gateway, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/mcp"), ("GET", "/mcp/sse"), ("POST", "/mcp/messages/?session_id=0")):
        said = await gateway.http.request(method, path, headers={**ACCEPT, **headers}, json=BEGIN)
        assert (said.status_code, said.json()["jsonrpc"]) == (403, "2.0")


@BOTH
@pytest.mark.behaviour("MCP-16")
async def test_no_tool_and_no_resource_tells_a_key(tmp_path: Path, mode: str) -> None:
    """The key is given as itself and by reference; the source repeats it in its errors."""
    environ = {"CANARY": f"{CANARY}2"}
    async with (
        FakeOpenAI(require_key=CANARY) as fake,
        running_gateway(tmp_path, environ) as gateway,
        client_of(gateway, mode) as client,
    ):
        told: list[str] = []

        async def call(tool: str, **arguments: Any) -> None:
            told.append(f"{tool}: {await client.call_tool(tool, arguments)!r}")

        where = {"base_url": fake.base_url, "model": "fake-model"}
        keys: list[dict[str, Any]] = [
            {"api_key": CANARY},
            {"api_key": "env:CANARY"},
            {"api_key": "wrong", "headers": {"authorization": f"Bearer {CANARY}"}},
            {"api_key": f"{CANARY}3"},
            {"no_such_setting": CANARY},
        ]
        for slot, config in enumerate(keys):
            await call("plug_provider", slot=slot, provider_id="openai-compat", config=json.dumps({**where, **config}))
        await call("plug_provider", slot=6, provider_id="openai-compat", config={"api_key": CANARY})
        await call("plug_model", model_id=f"{fake.base_url}?key={CANARY}&model=fake-model")
        assert fake.requests
        await call("invoke_slot", slot=0, text="ping")
        fake.require_key = "another"
        for name, arguments in EVERY_TOOL.items():
            await call(name, **arguments)
        for uri in ("jackfield://slots", "jackfield://slots/0", "jackfield://slots/1", "jackfield://status"):
            told.append(f"{uri}: {await client.read_resource(uri)!r}")
        listed = {tool.name for tool in (await client.list_tools()).tools}
    assert listed == set(EVERY_TOOL) | {"plug_provider", "plug_model"}
    assert [said for said in told if CANARY in said] == []


EVERY_TOOL: dict[str, dict[str, Any]] = {
    "list_slots": {},
    "slot_info": {"slot": 0},
    "list_providers": {},
    "provider_status": {},
    "estimate_cost": {"prompt": "ping"},
    "list_inference_backends": {},
    "get_backend_status": {},
    "select_backend_for_inference": {"task": "chat"},
    "get_supported_tasks": {},
    "route_inference_request": {"task": "chat", "model": "slot-0", "inputs": "ping"},
    "invoke_slot": {"slot": 0, "text": "ping"},
    "forward": {"text": "ping"},
    "generate": {"prompt": "ping"},
    "embed_text": {"text": "ping"},
    "rename_slot": {"slot": 0, "new_name": "fox"},
    "clone_slot": {"slot": 0},
    "mutate_slot": {"slot": 0},
    "swap_slots": {"slot_a": 0, "slot_b": 9},
    "grab_slot": {"slot": 9},
    "restore_slot": {"key": "fox-openai-compat"},
    "unplug_slot": {"slot": 9},
}


async def test_without_the_sdk_the_extra_is_named(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("jackfield.doors.mcp.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    said = await gateway.http.post("/mcp", headers=ACCEPT, json=BEGIN)
    assert said.status_code == 503
    assert said.json()["error"]["data"]["code"] == "missing_extra"
    assert "pip install 'jackfield[mcp]'" in said.json()["error"]["message"]
    assert (await gateway.http.get("/health")).status_code == 200
    monkeypatch.undo()
    assert (await gateway.http.post("/mcp", headers=ACCEPT, json=BEGIN)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"jsonrpc": "1.0"}', b'"x"', b"\xff", b"null", b"[" * 5000])
async def test_a_wrong_body_is_refused_in_the_protocols_own_way(gateway: Gateway, body: bytes) -> None:
    for version in ({}, {"mcp-protocol-version": "2025-11-25"}, {"mcp-protocol-version": "2026-07-28"}):
        headers = {**ACCEPT, **version, "content-type": "application/json"}
        said = await gateway.http.post("/mcp", headers=headers, content=body)
        assert 400 <= said.status_code < 500
        assert said.json()["jsonrpc"] == "2.0"
        assert said.json()["error"]["message"]


async def test_the_older_transport_refuses_in_the_protocols_own_way(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """And keeps what it was sent out of the log."""
    async with gateway.http.stream("GET", "/mcp/sse") as stream:
        lines = stream.aiter_lines()
        async with asyncio.timeout(10):
            place = [line async for line in _until(lines, "data:")][-1].removeprefix("data:").strip()
        for body in ({"jsonrpc": "2.0", "id": 1, "method": 3, "params": CANARY}, [CANARY], CANARY, {CANARY: 1}):
            said = await gateway.http.post(place, json=body)
            assert (said.status_code, said.json()["jsonrpc"]) == (400, "2.0")
            assert "no JSON-RPC message" in said.json()["error"]["message"]
        for other, status in (("/mcp/messages/?session_id=0", 400), ("/mcp/messages/", 400), ("/mcp/nothing", 404)):
            said = await gateway.http.post(other, json=LIST)
            assert (said.status_code, said.json()["jsonrpc"]) == (status, "2.0")
        assert (await gateway.http.post(place, json=LIST)).status_code == 202
    assert CANARY not in caplog.text


async def _until(lines: AsyncIterator[str], start: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith(start):
            return


async def test_a_prompt_that_is_not_there_is_the_clients_mistake(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    for mode in REVISIONS:
        async with client_of(gateway, mode) as client:
            assert (await client.list_prompts()).prompts == []
            with pytest.raises(MCPError, match="Unknown prompt: nix") as refused:
                await client.get_prompt("nix")
            assert refused.value.code == INVALID_PARAMS
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1000

    async with running_gateway(tmp_path, server={"max_body_bytes": 10_000}) as gateway:
        headers = {**ACCEPT, "content-type": "application/json"}
        for path in ("/mcp", "/mcp/messages/?session_id=0"):
            for body in (b" " * 10_001, pieces()):
                said = await gateway.http.post(path, headers=headers, content=body)
                assert said.status_code == 413
                assert "server.max_body_bytes" in said.json()["error"]["message"]


async def test_an_open_stream_does_not_keep_the_gateway(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """A client that listens and listens is told the end when the gateway stops."""
    async with Client(f"{gateway.url}/mcp", mode="legacy") as client:
        await tell(client, "list_slots")
        gateway.house.begin_to_stop()
    begun = await post(gateway, BEGIN, "")
    async with gateway.http.stream(
        "GET", "/mcp", headers={"accept": "text/event-stream", "mcp-session-id": begun.headers["mcp-session-id"]}
    ) as stream:
        assert stream.status_code == 200
        assert b"data" not in b"".join([chunk async for chunk in stream.aiter_bytes()])
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def post(gateway: Gateway, message: Any, key: str, session: str | None = None) -> httpx2.Response:
    headers = {**ACCEPT, **({"authorization": f"Bearer {key}"} if key else {})}
    if session is not None:
        headers |= {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    return await gateway.http.post("/mcp", headers=headers, json=message)
