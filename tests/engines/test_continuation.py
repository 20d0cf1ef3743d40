"""A stream that breaks off goes on at a real llama-server, by prefill: after a fake that is cut, and after a killed one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine_servers import EngineServer, llama_server
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.faults import AFTER_CONTENT
from running_gateway import Gateway, running_gateway

pytestmark = pytest.mark.engine

CHAT = "/v1/chat/completions"
CONTINUE = {"x-jackfield-continue": "1"}
BOUND_S = 60.0


@pytest.fixture
async def gateway(llama: EngineServer, tmp_path: Path) -> AsyncIterator[Gateway]:
    """The engine is in slot 1."""
    async with running_gateway(tmp_path) as gateway:
        await gateway.plug(1, "llama-server", base_url=llama.base_url, model=llama.model)
        yield gateway


async def chunks(gateway: Gateway, model: str, prompt: str, **fields: Any) -> AsyncIterator[dict[str, Any]]:
    """What a client that wants breaks to be continued gets, as it comes."""
    messages = [{"role": "user", "content": prompt}]
    wishes = {"model": model, "messages": messages, "stream": True, "provider": {"order": ["slot-0"]}, "temperature": 0}
    async with gateway.http.stream("POST", CHAT, json={**wishes, **fields}, headers=CONTINUE) as reply:
        assert (reply.status_code, reply.headers["x-jackfield-slot"]) == (200, "0")
        async for line in reply.aiter_lines():
            if line.startswith("data: {"):
                yield json.loads(line[6:])


def text_of(heard: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in heard for choice in chunk["choices"])


def assert_one_answer(gateway: Gateway, heard: list[dict[str, Any]], reason: str) -> None:
    assert [chunk for chunk in heard if "error" in chunk or "jackfield" in chunk] == []
    assert len({chunk["id"] for chunk in heard}) == 1
    assert [choice["finish_reason"] for choice in heard[-1]["choices"]] == [reason]
    assert [(row.slot, row.outcome) for row in gateway.rows()] == [(1, "ok"), (0, "stream_broken")]


@pytest.mark.behaviour("ERR-02")
async def test_the_rest_of_an_answer_comes_from_a_real_engine(gateway: Gateway, llama: EngineServer) -> None:
    async with FakeOpenAI([llama.model]) as fake, asyncio.timeout(BOUND_S):
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model=llama.model)
        fake.behaviour = AFTER_CONTENT["cut"]
        heard = [chunk async for chunk in chunks(gateway, llama.model, "Count to 9")]
    assert text_of(heard) == "1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert_one_answer(gateway, heard, "stop")


async def test_a_real_engine_that_is_killed_is_followed_by_another(
    gateway: Gateway, llama: EngineServer, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = []
    with llama_server(tmp_path, alias=llama.model) as other:
        await gateway.plug(0, "llama-server", base_url=other.base_url, model=llama.model)
        async with asyncio.timeout(BOUND_S):
            async for chunk in chunks(gateway, llama.model, "Tell me more", max_tokens=1900, ignore_eos=True):
                heard.append(chunk)
                if len(heard) == 3:
                    other.kill()
    assert_one_answer(gateway, heard, "length")
    assert len(heard) > 100
