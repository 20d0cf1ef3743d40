"""The MCP door through the official client: every tool, both revisions of the protocol, and what it costs who speaks none."""

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from mcp_talk import BOTH, REVISIONS, Person, client_of, refuse, tell
from running_gateway import Gateway, running_gateway
from source_tree import REPOSITORY

FAR: dict[str, Any] = {"command": ["/bin/cat"], "hosts": ["far.example:443"]}
"""A program of this machine that says that it sends prompts elsewhere."""
CLOCKS = ("timestamp", "last_seen_s_ago", "uptime_s")
TOOLS = {
    "list_slots": [],
    "slot_info": ["slot"],
    "plug_provider": ["slot", "provider_id", "config"],
    "plug_model": ["model_id", "slot_name"],
    "unplug_slot": ["slot"],
    "rename_slot": ["slot", "new_name"],
    "clone_slot": ["slot", "count"],
    "mutate_slot": ["slot", "rate", "scale", "seed"],
    "swap_slots": ["slot_a", "slot_b"],
    "grab_slot": ["slot"],
    "restore_slot": ["key", "slot"],
    "list_providers": [],
    "provider_status": [],
    "estimate_cost": ["prompt", "provider_id"],
    "list_inference_backends": ["backend_type", "status", "task"],
    "get_backend_status": [],
    "select_backend_for_inference": ["task", "model", "preferred_types", "required_protocols"],
    "get_supported_tasks": [],
    "route_inference_request": ["task", "model", "inputs", "parameters", "backend_id", "timeout"],
    "invoke_slot": ["slot", "text", "mode", "max_tokens", "messages"],
    "forward": ["text", "slot"],
    "generate": ["prompt", "max_tokens", "temperature"],
    "embed_text": ["text"],
}


@BOTH
@pytest.mark.behaviour("MCP-09", "MCP-15")
async def test_the_tools_are_there_under_their_names_with_their_parameters(gateway: Gateway, mode: str) -> None:
    async with client_of(gateway, mode) as client:
        assert client.protocol_version == REVISIONS[mode]
        tools = (await client.list_tools()).tools
    assert sorted(tool.name for tool in tools) == sorted(TOOLS)
    for tool in tools:
        assert list(tool.input_schema.get("properties", {})) == TOOLS[tool.name]
        assert tool.output_schema is not None
        assert tool.description
    described = {tool.name: tool.description or "" for tool in tools}
    for alias in ("forward", "generate", "embed_text"):
        assert described[alias].startswith("The older name")


def test_the_docs_tell_of_every_tool_and_its_parameters() -> None:
    _, _, told = (REPOSITORY / "docs" / "doors.md").read_text(encoding="utf-8").partition("| Tool | Parameters |")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", told, re.MULTILINE)
    assert {name: re.findall(r"\w+", parameters) for name, parameters in rows} == TOOLS


@pytest.mark.behaviour("MCP-09")
async def test_the_older_transport_is_served_too(gateway: Gateway) -> None:
    async with Client(sse_client(f"{gateway.url}/mcp/sse"), mode="legacy") as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS)
        assert (await tell(client, "invoke_slot", slot=0, text="ping"))["output"] == "pong"


@BOTH
@pytest.mark.behaviour("MCP-01")
async def test_plugging_and_what_cannot_be_plugged(gateway: Gateway, fake: FakeOpenAI, mode: str) -> None:
    config = json.dumps({"base_url": fake.base_url, "model": "fake-model"})
    async with client_of(gateway, mode) as client:
        told = await tell(client, "plug_provider", slot=3, provider_id="openai-compat", config=config)
        assert (told["status"], told["slot"], told["plugged"], told["model"]) == ("ok", 3, True, "fake-model")
        broken = await refuse(client, "plug_provider", slot=3, provider_id="openai-compat", config="{broken sk-canary")
        assert (broken["param"], broken["status"]) == ("config", 400)
        assert "canary" not in broken["message"]
        assert (await refuse(client, "plug_provider", slot=3, provider_id="openai-compat", config="[]"))["param"] == "config"
        unknown = await refuse(client, "plug_provider", slot=3, provider_id="nobody")
        assert (unknown["status"], unknown["code"]) == (404, "provider_not_found")
        assert (await refuse(client, "plug_provider", slot=99, provider_id="scripted"))["code"] == "slot_out_of_range"
        # "{}" takes what was saved for the provider
        assert (await tell(client, "plug_provider", slot=4, provider_id="openai-compat"))["model"] == "fake-model"


@BOTH
async def test_what_the_sdk_refuses_is_an_error_object_without_what_was_given(gateway: Gateway, mode: str) -> None:
    async with client_of(gateway, mode) as client:
        wrong = await refuse(client, "plug_provider", slot=1, provider_id="openai-compat", config={"api_key": "canary"})
        assert wrong["message"] == "arguments are wrong: config: input should be a valid string"
        assert wrong["param"] == "config"
        assert "slot: field required" in (await refuse(client, "slot_info"))["message"]
        assert (await refuse(client, "no_such_tool"))["code"] == "unknown_tool"


@pytest.mark.behaviour("MCP-02", "MCP-03")
async def test_providers_and_how_they_are(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with client_of(gateway) as client:
        listed = await tell(client, "list_providers")
        ids = [provider["id"] for provider in listed]
        assert len(ids) == len(set(ids))
        assert {"openai-compat", "openai", "local"} <= set(ids)
        assert all("streaming" in provider["capabilities"] for provider in listed)
        await tell(client, "invoke_slot", slot=0, text="ping")
        (status,) = (await tell(client, "provider_status"))["providers"]
        assert (status["slot"], status["health"], status["tokens_used"], status["cost_sats"]) == (0, "healthy", 2, 0.0)
        assert status["latency_ms"] > 0
        await fake.stop()
        (status,) = (await tell(client, "provider_status"))["providers"]
        assert status["health"] == "unhealthy"
        assert status["problem"]


@pytest.mark.behaviour("MCP-06")
async def test_costs_are_estimated_and_nobody_is_asked(gateway: Gateway, fake: FakeOpenAI) -> None:
    await gateway.plug(1, "scripted", text="free")
    await gateway.plug(2, "openai", base_url=fake.base_url, api_key="of-the-fake", model="gpt-4o-mini")
    asked = len(fake.requests)
    async with client_of(gateway) as client:
        every = await tell(client, "estimate_cost", prompt="x" * 4000)
        assert [row["slot"] for row in every["estimates"]] == [0, 1, 2]
        unpriced, free, priced = every["estimates"]
        assert (unpriced["sats"], free["sats"], free["is_free"]) == (None, 0.0, True)
        assert priced["sats"] > 0
        assert every["cheapest"] == free
        one = await tell(client, "estimate_cost", prompt="x" * 8000, provider_id="openai")
        assert [row["provider"] for row in one["estimates"]] == ["openai"]
        assert one["estimates"][0]["sats"] > priced["sats"]
        assert (await refuse(client, "estimate_cost", prompt="x", provider_id="nobody"))["code"] == "provider_not_found"
    assert len(fake.requests) == asked


@pytest.mark.behaviour("MCP-10", "MCP-11")
async def test_backends_are_listed_filtered_and_reported(gateway: Gateway) -> None:
    await gateway.plug(1, "scripted", text="hello")
    await gateway.house.backends.check()
    async with client_of(gateway) as client:
        every = await tell(client, "list_inference_backends")
        assert every["total_backends"] == len(every["backends"]) == 2
        (api,) = (await tell(client, "list_inference_backends", backend_type="api"))["backends"]
        assert api["provider"] == "openai-compat"
        assert (await tell(client, "list_inference_backends", status="offline"))["backends"] == []
        assert (await tell(client, "list_inference_backends", task="chat"))["total_backends"] == 2
        for wrong in ({"backend_type": "steam"}, {"status": "merry"}):
            refused = await refuse(client, "list_inference_backends", **wrong)
            assert refused["param"] in wrong
            assert "gpu" in refused["beside"]["valid_types"]
            assert "healthy" in refused["beside"]["valid_statuses"]
        assert "rerank" in (await refuse(client, "list_inference_backends", task="cooking"))["beside"]["valid_tasks"]
        report = await tell(client, "get_backend_status")
    ours = json.loads(json.dumps(gateway.house.backends.get_backend_status_report()))
    assert without_times(report) == without_times(ours)


@pytest.mark.behaviour("MCP-12", "MCP-14")
async def test_who_would_be_asked_and_which_tasks_there_are(gateway: Gateway) -> None:
    backends = gateway.house.backends
    await gateway.plug(1, "scripted", text="hello")
    await backends.check()
    async with client_of(gateway) as client:
        chosen = await tell(client, "select_backend_for_inference", task="text-generation", preferred_types=["gpu"])
        found = backends.get_backend(chosen["backend_id"])
        assert found is not None
        assert found.provider == "scripted"
        assert chosen["reasons"][0] == "supports text-generation"
        assert {"tasks", "models", "protocols", "streaming", "batching"} <= set(chosen["capabilities"])
        nobody = await refuse(client, "select_backend_for_inference", task="rerank")
        assert nobody["code"] == "no_capable_provider"
        assert nobody["beside"]["available_backends"] == {"total": 2, "supporting_task": 0, "by_status": {}}
        bad = await refuse(client, "select_backend_for_inference", task="chat", preferred_types=["steam"])
        assert "gpu" in bad["beside"]["valid_types"]
        told = await tell(client, "get_supported_tasks")
    ids = sorted(backend.id for backend in backends.list_backends())
    task = told["tasks"]["text-generation"]
    assert (told["total_tasks"], task["backend_count"], sorted(task["backends"])) == (1, 2, ids)


@BOTH
@pytest.mark.behaviour("MCP-13")
async def test_inference_is_executed_and_stands_in_the_ledger(gateway: Gateway, fake: FakeOpenAI, mode: str) -> None:
    await gateway.plug(1, "scripted", text="hello {prompt}")
    async with client_of(gateway, mode) as client:
        told = await tell(
            client,
            "route_inference_request",
            task="text-generation",
            model="fake-model",
            inputs="ping",
            parameters={"temp": 0.5},
        )
        assert (told["status"], told["result"], told["slot"]) == ("ok", "pong", 0)
        assert fake.last.json["temperature"] == 0.5
        row = gateway.rows()[0]
        assert (row.request_id, row.slot, row.outcome) == (told["request_id"], 0, "ok")
        scripted = next(backend for backend in gateway.house.backends.list_backends() if backend.slot == 1)
        messages = [{"role": "user", "content": "you"}]
        other = await tell(
            client, "route_inference_request", task="chat", model="slot-1", inputs=messages, backend_id=scripted.id
        )
        assert (other["result"], other["backend_id"], other["cost_sats"]) == ("hello you", scripted.id, 0.0)
        refused: dict[str, dict[str, Any]] = {
            "model": {"model": "nobody-has-it"},
            "task": {"task": "cooking"},
            "backend_id": {"backend_id": "none"},
            "inputs": {"inputs": 3},
            "timeout": {"timeout": -1},
        }
        for param, wrong in refused.items():
            given = {"task": "chat", "model": "slot-0", "inputs": "ping", **wrong}
            assert (await refuse(client, "route_inference_request", **given))["param"] == param


async def test_vectors_take_the_steps_of_every_request(gateway: Gateway, fake: FakeOpenAI) -> None:
    await gateway.house.registry.plug(
        1, "openai-compat", {"base_url": fake.base_url}, model="fake-model", role="embed", name="vectors"
    )
    async with client_of(gateway) as client:
        one = await tell(client, "route_inference_request", task="embedding", model="vectors", inputs="ping")
        two = await tell(client, "route_inference_request", task="embedding", model="vectors", inputs=["ping", "pong"])
        assert len(one["result"]) == fake.dimensions
        assert two["result"][0] == one["result"]
        assert gateway.rows()[0].request_id == two["request_id"]
        old = await tell(client, "embed_text", text="ping")
        assert (old["slot"], old["dim"], old["embedding"]) == (1, fake.dimensions, one["result"])
        assert (await tell(client, "invoke_slot", slot=1, text="ping"))["embedding"] == one["result"]


@pytest.mark.behaviour("SLOT-17", "SLOT-12", "SLOT-13")
async def test_every_operation_on_slots(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with client_of(gateway) as client:
        listed = await tell(client, "list_slots")
        assert (listed["total"], listed["plugged"]) == (32, 1)
        first, second = listed["slots"][:2]
        assert (first["name"], first["plugged"], first["model_source"]) == ("slot_0", True, "fake-model")
        assert (second["name"], second["plugged"], second["model_source"]) == ("slot_1", False, None)
        renamed = await tell(client, "rename_slot", slot=0, new_name="fox")
        assert renamed == {"status": "ok", "slot": 0, "old": "slot_0", "new": "fox"}
        info = await tell(client, "slot_info", slot=0)
        assert (info["name"], info["plugged"], info["source"], info["parameters"]) == ("fox", True, "fake-model", {})
        assert await tell(client, "clone_slot", slot=0, count=2) == {
            "status": "ok", "source": 0, "cloned": 2, "clone_slots": [1, 2],
        }  # fmt: skip
        mutated = await tell(client, "mutate_slot", slot=1, seed=7)
        assert mutated["mutated_params"]
        assert await tell(client, "swap_slots", slot_a=1, slot_b=5) == {"status": "ok", "swapped": [1, 5]}
        grabbed = await tell(client, "grab_slot", slot=5)
        assert grabbed["source"] == "fake-model"
        assert await tell(client, "unplug_slot", slot=5) == {"status": "ok", "unplugged": 5, "was": "fake-model"}
        assert (await tell(client, "list_slots"))["slots"][5]["name"] == "slot_5"
        assert (await refuse(client, "unplug_slot", slot=5))["code"] == "slot_empty"
        assert (await refuse(client, "unplug_slot", slot=-1))["code"] == "slot_out_of_range"
        restored = await tell(client, "restore_slot", key=grabbed["key"])
        assert (restored["slot"], restored["source"]) == (1, "fake-model")
        assert (await refuse(client, "restore_slot", key="nothing"))["status"] == 404
        plugged = await tell(client, "plug_model", model_id=f"{fake.base_url}?model=fake-model", slot_name="far")
        assert (plugged["status"], plugged["slot"], plugged["model"]) == ("ok", 3, "fake-model")
        assert set(plugged["limits"]) == {"context_length", "max_gen_tokens"}


@pytest.mark.behaviour("SLOT-12")
async def test_a_full_panel_has_no_room_for_another_model(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, panel_size=1) as gateway, client_of(gateway) as client:
        await tell(client, "plug_provider", slot=0, provider_id="scripted", config='{"text": "x"}')
        refused = await refuse(client, "plug_model", model_id="x/y")
        assert "no empty slots" in refused["message"]


@pytest.mark.behaviour("SLOT-17", "MCP-15")
async def test_slots_are_asked_under_old_names_and_new(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with client_of(gateway) as client:
        asked = await tell(client, "invoke_slot", slot=0, text="ping", max_tokens=7)
        assert (asked["slot"], asked["name"], asked["mode"], asked["output"]) == (0, "slot_0", "generate", "pong")
        assert fake.last.json["max_tokens"] == 7
        talk = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "ping"}]
        await tell(client, "invoke_slot", slot=0, text="not this", messages=talk)
        assert fake.last.json["messages"] == talk
        assert "max_tokens" not in fake.last.json
        assert (await tell(client, "forward", text="ping"))["output"] == "pong"
        assert (await tell(client, "generate", prompt="ping"))["limits_used"] == {"max_tokens": 256, "temperature": 0.7}
        assert (fake.last.json["max_tokens"], fake.last.json["temperature"]) == (256, 0.7)
        for wrong, param in (({"mode": "dance"}, "mode"), ({"max_tokens": -1}, "max_tokens"), ({"text": ""}, "text")):
            assert (await refuse(client, "invoke_slot", **{"slot": 0, "text": "ping", **wrong}))["param"] == param
        assert (await refuse(client, "invoke_slot", slot=9, text="ping"))["code"] == "slot_empty"
        assert (await refuse(client, "forward", text="ping", slot=9))["code"] == "slot_empty"
        assert (await refuse(client, "embed_text", text="ping"))["code"] == "no_capable_provider"


@BOTH
async def test_a_person_is_asked_before_prompts_leave_this_machine(gateway: Gateway, mode: str) -> None:
    plug = {"slot": 1, "provider_id": "command-line", "config": json.dumps(FAR)}
    person = Person(["no", "decline", "cancel", "yes"])
    async with client_of(gateway, mode, elicitation_callback=person) as client:
        for _ in range(3):
            refused = await refuse(client, "plug_provider", **plug)
            assert (refused["code"], refused["status"]) == ("mode_forbids", 403)
        assert gateway.house.registry.slot(1).is_empty
        assert (await tell(client, "plug_provider", **plug))["plugged"] is True
        assert person.asked == ["command-line sends prompts to far.example, off this machine. Allow it?"] * 4
        await tell(client, "plug_provider", **{**plug, "slot": 2})
        assert len(person.asked) == 4
    assert gateway.house.gate.consents == {"command-line": frozenset({"far.example"})}


@BOTH
async def test_a_client_that_cannot_ask_gets_no_consent(gateway: Gateway, mode: str) -> None:
    async with client_of(gateway, mode) as client:
        refused = await refuse(client, "plug_provider", slot=1, provider_id="command-line", config=json.dumps(FAR))
        assert refused["code"] == "mode_forbids"
        assert "--yes" in refused["message"]


@BOTH
async def test_a_call_that_is_given_up_ends_upstream(gateway: Gateway, fake: FakeOpenAI, mode: str) -> None:
    fake.behaviour = Behaviour(hang="before")
    async with client_of(gateway, mode) as client:
        asking = asyncio.create_task(client.call_tool("invoke_slot", {"slot": 0, "text": "ping"}))
        async with asyncio.timeout(10):
            await fake.arrived.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            await fake.disconnected.wait()
        binding = gateway.house.registry.slot(0).binding
        assert binding is not None
        async with asyncio.timeout(5):
            while binding.live.in_flight:
                await asyncio.sleep(0.01)
        assert gateway.rows()[0].outcome == "cancelled"


async def test_a_time_limit_is_kept(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="before")
    async with client_of(gateway) as client:
        refused = await refuse(client, "route_inference_request", task="chat", model="slot-0", inputs="ping", timeout=0.05)
        assert (refused["status"], refused["param"]) == (504, "timeout")


@BOTH
async def test_slots_and_status_can_be_read(gateway: Gateway, mode: str) -> None:
    async with client_of(gateway, mode) as client:
        named = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert named == {"jackfield://slots", "jackfield://status"}
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "jackfield://slots/{number}"
        assert (await read(client, "jackfield://slots"))["plugged"] == 1
        assert (await read(client, "jackfield://slots/0"))["source"] == "fake-model"
        assert (await read(client, "jackfield://status"))["status"] == "ok"
        for uri in ("jackfield://slots/99", "jackfield://slots/x"):
            with pytest.raises(MCPError, match="numbers go from 0 to 31"):
                await client.read_resource(uri)


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert content.mime_type == "application/json"
    return json.loads(getattr(content, "text", ""))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in CLOCKS}
    return [without_times(item) for item in value] if isinstance(value, list) else value
