"""POST /models/load and /models/unload, GET /models/loaded, with a model that is really loaded into this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

FILE = "tiny-llm.gguf"
DEMO = Path(__file__).parents[3] / "src/jackfield/app/demo" / FILE
CHAT: Any = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}], "temperature": 0}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """Slot 0 holds the tiny model, not loaded yet; slot 1 a source that loads nothing."""
    async with FakeOpenAI() as fake, running_gateway(tmp_path) as running:
        await running.plug(0, "local", model="tiny-llm", models_dir=str(DEMO.parent), threads=1, context_length=512, parallel=1)
        await running.plug(1, "openai-compat", base_url=fake.base_url, model="fake-model")
        yield running


async def loaded(gateway: Gateway) -> list[dict[str, Any]]:
    said = (await gateway.http.get("/models/loaded")).json()
    assert said["object"] == "list"
    return list(said["data"])


def is_mapped() -> bool:
    """Whether this process has the model's file in its memory."""
    return FILE in Path("/proc/self/maps").read_text(encoding="utf-8")


async def post(gateway: Gateway, path: str, **body: Any) -> tuple[int, Any]:
    reply = await gateway.http.post(path, json=body)
    return reply.status_code, reply.json()


@pytest.mark.behaviour("HTTP-05", "HTTP-06")
async def test_a_model_is_loaded_listed_and_freed(gateway: Gateway) -> None:
    assert await loaded(gateway) == []
    assert not is_mapped()
    status, said = await post(gateway, "/models/load", model="tiny-llm")
    assert (status, said) == (
        200,
        {"success": True, "model": "tiny-llm", "slot": 0, "provider": "local", "loaded": True},
    )
    assert is_mapped()
    (entry,) = await loaded(gateway)
    assert (entry["slot"], entry["provider"], entry["model"]) == (0, "local", "tiny-llm")
    assert (entry["size_bytes"], entry["context_length"]) == (DEMO.stat().st_size, 512)
    assert (await post(gateway, "/v1/chat/completions", **CHAT))[1]["choices"][0]["message"]["content"] == "pong"
    status, said = await post(gateway, "/models/unload", model="slot-0")
    assert (status, said["loaded"], said["model"]) == (200, False, "tiny-llm")
    assert await loaded(gateway) == []
    assert not is_mapped()
    assert (await post(gateway, "/models/unload", model="tiny-llm"))[0] == 200, "no matter if it is in none"


async def test_what_was_unloaded_is_loaded_again_when_it_is_asked(gateway: Gateway) -> None:
    for _ in range(2):
        assert (await post(gateway, "/v1/chat/completions", **CHAT))[0] == 200
        assert len(await loaded(gateway)) == 1
        assert (await post(gateway, "/models/unload", model="slot-0"))[0] == 200
        assert await loaded(gateway) == []


async def test_an_answer_that_is_being_given_is_not_cut_off(gateway: Gateway) -> None:
    assert (await post(gateway, "/models/load", model="slot-0"))[0] == 200
    body = {**CHAT, "messages": [{"role": "user", "content": "Count to 5"}]}
    asking = asyncio.create_task(post(gateway, "/v1/chat/completions", **body))
    async with asyncio.timeout(10):
        while not (gateway.house.registry.slot(0).binding or pytest.fail("gone")).live.in_flight:
            await asyncio.sleep(0)
        assert (await post(gateway, "/models/unload", model="slot-0"))[0] == 200
        status, answer = await asking
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "1, 2, 3, 4, 5")


@pytest.mark.behaviour("HTTP-12")
async def test_the_hardware_that_is_chosen_is_the_one_that_is_used(gateway: Gateway) -> None:
    status, said = await post(gateway, "/models/load", model="slot-0", hardware="cpu")
    assert (status, said["hardware"]) == (200, "cpu")
    assert [entry["hardware"] for entry in await loaded(gateway)] == ["cpu"]


@pytest.mark.behaviour("HTTP-12")
@pytest.mark.parametrize("hardware", ["rocm", "abacus"])
async def test_hardware_that_is_not_to_be_had_is_refused(gateway: Gateway, hardware: str) -> None:
    status, said = await post(gateway, "/models/load", model="slot-0", hardware=hardware)
    assert (status, said["error"]["param"], said["error"]["code"]) == (422, "hardware", "hardware_unavailable")
    assert hardware in said["error"]["message"]
    assert await loaded(gateway) == []


@pytest.mark.behaviour("HTTP-12")
async def test_where_nobody_may_look_the_engine_itself_says_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        pytest.fail("it was looked for hardware")

    monkeypatch.setattr("jackfield.app.loading.find_devices", look)
    async with running_gateway(tmp_path, discovery={"enabled": False, "hardware": False}) as gateway:
        await gateway.plug(0, "local", model="tiny-llm", models_dir=str(DEMO.parent), threads=1, context_length=512, parallel=1)
        status, said = await post(gateway, "/models/load", model="slot-0", hardware="rocm")
        assert (status, said["error"]["param"], said["error"]["code"]) == (422, "hardware", "not_supported")
        assert (await post(gateway, "/models/load", model="slot-0", hardware="cpu"))[0] == 200


@pytest.mark.behaviour("HTTP-06")
@pytest.mark.parametrize("path", ["/models/load", "/models/unload"])
async def test_what_is_wrong_is_named(gateway: Gateway, path: str) -> None:
    for body, status, param in (
        ({"model": "nobody"}, 404, "model"),
        ({"model": "local/nobody"}, 404, None),
        ({"model": "slot-7"}, 404, "model"),
        ({"model": "slot-1"}, 422, "model"),
        ({"model": 5}, 400, "model"),
        ({}, 400, "model"),
    ):
        given, said = await post(gateway, path, **body)
        assert (given, said["error"]["param"] if param else None) == (status, param), said
    assert (await gateway.http.post(path, content=b"{")).status_code == 400
    assert (await gateway.http.get(path)).status_code == 405
    assert (await post(gateway, "/models/load", model="slot-0", hardware=5))[0] == 400


async def test_the_gate_stands_before_them(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, {"GATE_KEY": "a-long-gateway-key"}, server={"api_key": "env:GATE_KEY"}) as gateway:
        right = {"authorization": "Bearer a-long-gateway-key"}
        for method, path in (("POST", "/models/load"), ("POST", "/models/unload"), ("GET", "/models/loaded")):
            assert (await gateway.http.request(method, path)).status_code == 401
            assert (await gateway.http.request(method, path, headers={**right, "host": "evil.example"})).status_code == 403
            assert (await gateway.http.request(method, path, headers=right)).status_code in (200, 400)
