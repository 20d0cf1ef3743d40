"""What routing knows, over HTTP: the report on every backend, one of them, and how a name would be resolved now."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from jackfield.routing.health import Look
from running_gateway import Gateway, running_gateway

V1 = "/control/v1"
FALLBACKS = {"twin": ["slot-2"], "lost": ["nobody-has-this"], "slot-0": ["slot-7"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("backends")
    async with running_gateway(folder, routing={"fallbacks": FALLBACKS}) as running:
        await running.plug(0, "scripted", model="twin", text="zero")
        await running.plug(1, "scripted", model="twin", text="one")
        await running.plug(2, "scripted", model="spare", text="two")
        await running.plug(3, "scripted", model="lost", text="three")
        yield running


async def get(gateway: Gateway, path: str, status: int = 200, **query: str) -> Any:
    answer = await gateway.http.get(f"{V1}/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


async def ask(gateway: Gateway, model: str) -> int:
    """The slot that answered."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    answer = await gateway.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.headers["x-jackfield-slot"])


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.behaviour("CTRL-07")
async def test_the_report_counts_and_each_backend_is_found_by_its_id(gateway: Gateway) -> None:
    before = (await get(gateway, "backends"))["total_successful"]
    await ask(gateway, "spare")
    report = await get(gateway, "backends")
    assert report["total_successful"] == before + 1
    assert report["total_backends"] == len(report["backends"]) >= 4
    assert sum(report["backends_by_status"].values()) == report["total_backends"]
    spare = next(backend for backend in report["backends"] if backend["slot"] == 2)
    assert "/" in spare["id"]
    assert (spare["metrics"]["failed"], spare["metrics"]["active"], spare["circuit"]) == (0, 0, "closed")
    for backend in report["backends"]:
        for written in (quote(backend["id"]), quote(backend["id"], safe="")):
            assert (await get(gateway, f"backends/{written}"))["id"] == backend["id"]


async def test_a_backend_that_is_not_there_and_a_misspelt_query_are_refused(gateway: Gateway) -> None:
    error = await get(gateway, "backends/nobody", 404)
    assert (error["param"], "'nobody'" in error["message"]) == ("backend", True)
    assert "did you mean 'model'" in (await get(gateway, "explain", 400, modle="twin"))["message"]
    assert "model" in (await get(gateway, "explain", 400))["message"]


@pytest.mark.behaviour("CTRL-07")
async def test_explaining_tells_the_order_of_the_next_request_and_takes_nobodys_turn(gateway: Gateway) -> None:
    for _ in range(4):
        told = [await get(gateway, "explain", model="twin") for _ in range(3)]
        assert told[0]["targets"] == told[1]["targets"] == told[2]["targets"]
        assert await ask(gateway, "twin") == told[0]["targets"][0]["slot"]
    targets = told[0]["targets"]
    assert sorted(target["slot"] for target in targets[:2]) == [0, 1]
    assert [target["place"] for target in targets] == [0, 1, 2]
    assert [target["is_fallback"] for target in targets] == [False, False, True]
    assert (targets[2]["slot"], targets[2]["provider"], targets[2]["model"]) == (2, "scripted", "spare")
    assert targets[0]["reason"] == "first by round_robin"
    assert targets[1]["reason"] == "next if the one before fails"
    assert (told[0]["model"], told[0]["exclusions"], told[0]["refusal"]) == ("twin", [], None)


async def test_the_only_one_with_a_name_is_its_target(gateway: Gateway) -> None:
    told = await get(gateway, "explain", model="slot-2")
    assert [(target["slot"], target["reason"]) for target in told["targets"]] == [(2, "nobody else has that name")]


@pytest.mark.behaviour("CTRL-07")
async def test_who_is_out_is_told_with_stage_and_reason(gateway: Gateway) -> None:
    backends = gateway.house.backends
    binding = gateway.house.registry.slot(1).binding
    assert binding is not None
    backend = backends.backend_of(binding, "twin")
    await backends.check()
    backend.note_look(Look(is_ready=False, detail="the disk is gone"))
    try:
        told = await get(gateway, "explain", model="twin")
        assert [target["slot"] for target in told["targets"]] == [0, 2]
        (out,) = told["exclusions"]
        assert (out["backend"], out["slot"], out["provider"], out["stage"]) == (backend.id, 1, "scripted", "policy")
        assert "the disk is gone" in out["reason"]
        (alone,) = (await get(gateway, "explain", model="slot-1"))["targets"]
        assert "not usable now" in alone["reason"]
    finally:
        await backends.check()


async def test_where_nobody_is_well_they_are_targets_all_the_same(gateway: Gateway) -> None:
    registry, backends = gateway.house.registry, gateway.house.backends
    await gateway.plug(10, "scripted", model="frail")
    await gateway.plug(11, "scripted", model="frail")
    await backends.check()
    try:
        for number in (10, 11):
            binding = registry.slot(number).binding
            assert binding is not None
            backends.backend_of(binding, "frail").note_look(Look(is_ready=False, detail="the disk is gone"))
        told = await get(gateway, "explain", model="frail")
        assert sorted(target["slot"] for target in told["targets"]) == [10, 11]
        assert all("not usable now: " in target["reason"] for target in told["targets"])
        assert (told["exclusions"], told["refusal"]) == ([], None)
        assert await ask(gateway, "frail") == told["targets"][0]["slot"]
    finally:
        for number in (10, 11):
            await registry.unplug(number)


@pytest.mark.parametrize(
    ("model", "code", "status"),
    [("slot-7", "slot_empty", 404), ("slot-5", "slot_empty", 404)],
)
async def test_what_a_request_would_be_refused_with_is_told(gateway: Gateway, model: str, code: str, status: int) -> None:
    told = await get(gateway, "explain", model=model)
    assert told["targets"] == []
    assert (told["refusal"]["code"], told["refusal"]["status"]) == (code, status)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    answer = await gateway.http.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"] == told["refusal"]["message"]


async def test_a_fallback_that_nobody_has_is_no_fallback(gateway: Gateway) -> None:
    assert [target["slot"] for target in (await get(gateway, "explain", model="lost"))["targets"]] == [3]
    assert await ask(gateway, "lost") == 3


async def test_a_name_that_nobody_has_is_not_found(gateway: Gateway) -> None:
    assert (await get(gateway, "explain", 404, model="nobody-at-all"))["code"] == "model_not_found"
    assert (await get(gateway, "explain", 400, model="slot-99"))["code"] == "slot_out_of_range"
