"""Wrong messages and wrong arguments at /mcp, in both revisions: never a fault of ours, always an answer in the protocol."""

import asyncio
import json
import os
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_talk import BOTH, client_of
from running_gateway import Gateway

CASES = int(os.environ.get("JACKFIELD_FUZZ_CASES", "100"))
"""For each revision."""
VERSION = {"auto": "2026-07-28", "legacy": "2025-11-25"}
META = "io.modelcontextprocotol/"
METHODS = (
    "tools/call",
    "tools/list",
    "resources/read",
    "resources/list",
    "prompts/get",
    "completion/complete",
    "ping",
    "initialize",
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
GOOD = st.sampled_from(
    [
        0,
        1,
        31,
        32,
        -1,
        "slot-0",
        "ping",
        "chat",
        "rerank",
        "embedding",
        "{}",
        "openai-compat",
        "scripted",
        "all",
        "generate",
        "",
    ]
)
MESSAGE = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | JSON, "id": st.integers() | JSON, "method": st.sampled_from(METHODS) | JSON},
    optional={"params": JSON, "result": JSON, "error": JSON},
)
Schemas = dict[str, list[str]]


def calls(tools: Schemas) -> st.SearchStrategy[Any]:
    """Calls of tools that there are, with their own arguments' names and any values."""

    def call(name: str) -> st.SearchStrategy[Any]:
        values = GOOD | JSON
        named = st.fixed_dictionaries({}, optional=dict.fromkeys(tools[name], values))
        more = st.dictionaries(st.text(max_size=8), JSON, max_size=1)
        given = st.builds(lambda first, then: {**then, **first}, named, more) | JSON
        return st.builds(lambda arguments: {"name": name, "arguments": arguments}, given)

    return st.sampled_from(sorted(tools)).flatmap(call).map(lambda params: request("tools/call", params))


def request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 5, "method": method, "params": params}


@BOTH
async def test_no_message_is_our_fault(gateway: Gateway, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    await gateway.plug(1, "scripted", text="hello")
    loop = asyncio.get_running_loop()
    async with client_of(gateway, mode) as client:
        tools = {tool.name: list(tool.input_schema.get("properties", {})) for tool in (await client.list_tools()).tools}
    headers = await headers_of(gateway, mode)

    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(calls(tools) | MESSAGE | JSON)
    def any_message(message: Any) -> None:
        asyncio.run_coroutine_threadsafe(is_told(gateway, mode, headers, message), loop).result(30)

    await asyncio.to_thread(any_message)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def headers_of(gateway: Gateway, mode: str) -> dict[str, str]:
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": VERSION[mode]}
    if mode == "auto":
        return headers
    hello = {"protocolVersion": VERSION[mode], "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
    begun = await gateway.http.post("/mcp", headers=headers, json=request("initialize", hello))
    return {**headers, "mcp-session-id": begun.headers["mcp-session-id"]}


async def is_told(gateway: Gateway, mode: str, headers: dict[str, str], message: Any) -> None:
    sent = in_newest(message) if mode == "auto" else message
    said = await gateway.http.post("/mcp", headers={**headers, **names(sent, mode)}, json=sent)
    assert said.status_code < 500, said.text
    for told in answers(said):
        error = told.get("error", {})
        assert error.get("code") != -32603, told
        assert (told.get("result", {}).get("structuredContent") or {}).get("error", {}).get("status") != 500, told


def answers(said: httpx2.Response) -> list[dict[str, Any]]:
    """Every message of an answer, whether it came whole or as a stream."""
    if said.headers.get("content-type", "").startswith("text/event-stream"):
        return [json.loads(line[5:]) for line in said.text.splitlines() if line.startswith("data:") and line[5:].strip()]
    return [said.json()] if said.content else []


def in_newest(message: Any) -> Any:
    """The message with what the newest revision wants in each."""
    if not isinstance(message, dict) or not isinstance(message.get("params"), dict):
        return message
    about: dict[str, Any] = {
        "protocolVersion": VERSION["auto"],
        "clientInfo": {"name": "t", "version": "0"},
        "clientCapabilities": {},
    }
    return {**message, "params": {**message["params"], "_meta": {META + name: value for name, value in about.items()}}}


def names(message: Any, mode: str) -> dict[str, str]:
    """What the newest revision repeats in headers, where it is a header's text."""
    if mode == "legacy" or not isinstance(message, dict) or not isinstance(message.get("params"), dict):
        return {}
    found = {"mcp-method": message.get("method"), "mcp-name": message["params"].get("name")}
    return {name: value for name, value in found.items() if isinstance(value, str) and value.isascii() and value.isprintable()}
