"""GET /v1/models: complete when it can be, quick always, and honest about what it could not ask."""

import time
from typing import Any

import pytest
from openai import APIStatusError

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway


@pytest.mark.behaviour("HTTP-04", "SLOT-20")
async def test_every_slot_and_model_is_listed(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        models = [model.id async for model in client.models.list()]
        assert {"slot-0", "fake-model"} <= set(models)
        one = await client.models.retrieve("slot-0")
    assert one.id == "slot-0"
    assert one.owned_by == "openai-compat"


async def test_a_model_that_nobody_lists_is_404(gateway: Gateway) -> None:
    reply = await gateway.http.get("/v1/models/no-such-model")
    assert reply.status_code == 404
    assert reply.json()["error"]["param"] == "model"


async def test_a_model_is_not_deleted_by_openais_call(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        with pytest.raises(APIStatusError) as refused:
            await client.models.delete("fake-model")
    assert (refused.value.status_code, refused.value.response.headers["allow"]) == (405, "GET")
    assert "/v1/models/fake-model takes GET, not DELETE" in str(refused.value)


@pytest.mark.behaviour("HTTP-04")
async def test_one_hung_source_does_not_hold_up_the_list(gateway: Gateway) -> None:
    async with FakeOpenAI(models=["other-model"]) as hung:
        await gateway.plug(1, "openai-compat", base_url=hung.base_url, model="other-model")
        await gateway.http.get("/v1/models")
        hung.behaviour = Behaviour(everywhere=True, hang="before")
        worst = 0.0
        replies: list[Any] = []
        for _ in range(3):
            began = time.perf_counter()
            replies.append(await gateway.http.get("/v1/models"))
            worst = max(worst, time.perf_counter() - began)
    ids = [model["id"] for model in replies[-1].json()["data"]]
    assert {"slot-0", "slot-1", "fake-model"} <= set(ids)
    assert worst < 2  # 0.3 s are promised on a quiet machine; a hung source would hold it up for ever


async def test_a_source_that_was_never_seen_is_marked(gateway: Gateway) -> None:
    async with FakeOpenAI(models=["other-model"]) as dead:
        await dead.stop()
        config = {"base_url": dead.base_url}
        await gateway.house.registry.plug(1, "openai-compat", config, model="other-model", require_ready=False)
        reply = await gateway.http.get("/v1/models")
    marked = next(model for model in reply.json()["data"] if model["id"] == "slot-1")
    assert marked["jackfield"]["stale"]
    assert "slot-1" in reply.headers["x-jackfield-partial"]


@pytest.mark.behaviour("HTTP-07")
async def test_status_tells_what_is_plugged_and_what_this_machine_has(gateway: Gateway) -> None:
    status = (await gateway.http.get("/status")).json()
    assert status["status"] == "ok"
    assert status["uptime_s"] > 0
    assert status["version"]
    assert status["models_loaded"] == 1
    assert status["slots"][0]["provider"] == "openai-compat"
    assert status["hardware"]["cpus"] >= 1
    assert status["hardware"]["memory_bytes"] > 0


@pytest.mark.behaviour("HTTP-08")
async def test_health_is_200_only_while_ready(gateway: Gateway) -> None:
    assert (await gateway.http.get("/health")).json() == {"status": "ok"}
    gateway.house.is_ready = False
    reply = await gateway.http.get("/health")
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "1"


async def test_metrics_count_what_was_asked(gateway: Gateway) -> None:
    await gateway.http.post("/v1/chat/completions", json={"model": "slot-0", "messages": [{"role": "user", "content": "ping"}]})
    reply = await gateway.http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    counted = [line for line in reply.text.splitlines() if line.startswith("jackfield_requests_total{")]
    assert any('outcome="ok"' in line and line.endswith(" 1") for line in counted)
    assert "jackfield_backend_status{" in reply.text
    ended = [line for line in reply.text.splitlines() if line.startswith("jackfield_backend_requests_total{")]
    assert any('outcome="ok"' in line and line.endswith(" 1") for line in ended)
