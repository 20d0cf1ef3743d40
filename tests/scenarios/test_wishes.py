"""What a request says about who may answer it holds for everybody who could, fallbacks too."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

CHAT = "/v1/chat/completions"
DOWN = Behaviour(status=500, message="down")
TOOLS: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@pytest.fixture
async def sources(tmp_path: Path) -> AsyncIterator[tuple[Gateway, FakeOpenAI, FakeOpenAI]]:
    """`big` in slot 0, with `small` in slot 1 to fall back to."""
    async with (
        FakeOpenAI(models=["big"]) as big,
        FakeOpenAI(models=["small"]) as small,
        running_gateway(tmp_path, routing={"fallbacks": {"big": ["small"]}}) as gateway,
    ):
        await gateway.plug(0, "openai-compat", base_url=big.base_url, model="big")
        await gateway.plug(1, "openai-compat", base_url=small.base_url, model="small")
        yield gateway, big, small


async def ask(gateway: Gateway, **fields: Any) -> Any:
    messages = [{"role": "user", "content": "ping"}]
    return await gateway.http.post(CHAT, json={"model": "big", "messages": messages, **fields})


async def test_a_fallback_answers_when_the_first_choice_fails(sources: tuple[Gateway, FakeOpenAI, FakeOpenAI]) -> None:
    gateway, big, small = sources
    big.behaviour = DOWN
    reply = await ask(gateway)
    assert (reply.status_code, reply.headers["x-jackfield-slot"]) == (200, "1")
    assert int(reply.headers["x-jackfield-attempts"]) >= 2
    assert small.requests[-1].json["model"] == "small"
    assert "provider" not in small.requests[-1].json


@pytest.mark.parametrize(
    "wishes",
    [{"only": ["slot-0"]}, {"ignore": ["slot-1"]}, {"allow_fallbacks": False}, {"order": ["slot-0"], "allow_fallbacks": False}],
)
async def test_a_fallback_that_the_request_rules_out_gets_nothing(
    sources: tuple[Gateway, FakeOpenAI, FakeOpenAI], wishes: dict[str, Any]
) -> None:
    gateway, big, small = sources
    big.behaviour = DOWN
    reply = await ask(gateway, provider=wishes)
    assert reply.status_code == 502
    assert small.completions == 0


async def test_a_wish_that_nobody_understands_is_named(sources: tuple[Gateway, FakeOpenAI, FakeOpenAI]) -> None:
    gateway, big, small = sources
    reply = await ask(gateway, provider={"onyl": ["slot-0"]})
    assert reply.status_code == 400
    assert "did you mean 'only'" in reply.json()["error"]["message"]
    assert (big.completions, small.completions) == (0, 0)


async def test_required_parameters_keep_out_who_is_not_known_to_have_them(
    sources: tuple[Gateway, FakeOpenAI, FakeOpenAI],
) -> None:
    gateway, big, small = sources
    assert (await ask(gateway, tools=TOOLS)).status_code == 200
    reply = await ask(gateway, tools=TOOLS, provider={"require_parameters": True})
    assert reply.status_code >= 400
    assert "tools" in reply.json()["error"]["message"]
    assert (big.completions, small.completions) == (1, 0)


@pytest.mark.behaviour("SLOT-33")
async def test_a_rule_of_the_settings_picks_by_use_case(tmp_path: Path) -> None:
    rules = {"coding": ["llama-cpp/qwen3-coder-30b", "openai-compat/gpt-4"]}
    async with (
        FakeOpenAI(["qwen3-coder-30b"]) as local,
        FakeOpenAI(["gpt-4"]) as other,
        running_gateway(tmp_path, routing={"use_cases": rules}) as gateway,
    ):
        await gateway.plug(0, "openai-compat", base_url=other.base_url, model="gpt-4")
        body = {"model": "use-case/coding", "messages": [{"role": "user", "content": "ping"}]}
        assert (await gateway.http.post("/v1/chat/completions", json=body)).headers["x-jackfield-slot"] == "0"
        await gateway.plug(3, "llama-server", base_url=local.base_url, model="qwen3-coder-30b")
        assert (await gateway.http.post("/v1/chat/completions", json=body)).headers["x-jackfield-slot"] == "3"
        assert local.requests[-1].json["model"] == "qwen3-coder-30b"
        await gateway.house.registry.unplug(3)
        assert (await gateway.http.post("/v1/chat/completions", json=body)).headers["x-jackfield-slot"] == "0"
