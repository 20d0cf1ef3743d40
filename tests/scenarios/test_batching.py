"""A source that answers several at once, from the callers' side: many requests over HTTP, each gets its own answer."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply
from jackfield.core.requests import ChatRequest
from jackfield.providers.scripted import Scripted
from running_gateway import running_gateway

CALLERS = 40
SIZE = 8


class Engine(Scripted):
    """A simulated engine; `sizes` of all batches that it was asked for."""

    card: ClassVar[ProviderCard] = msgspec.structs.replace(Scripted.card, id="engine", aliases=())
    sizes: ClassVar[list[int]] = []

    async def complete_batch(self, requests: Sequence[ChatRequest]) -> list[ChatReply | JackfieldError]:
        Engine.sizes.append(len(requests))
        return await super().complete_batch(requests)


@pytest.mark.behaviour("MGR-35")
async def test_many_callers_are_answered_in_few_batches(tmp_path: Path) -> None:
    Engine.sizes.clear()
    async with running_gateway(tmp_path) as gateway:
        gateway.house.registry.register("engine", Engine)
        script = [{"match": "^caller 7$", "error": {"code": "content_filter"}}, {"text": "{prompt}", "delay_s": 0.02}]
        await gateway.plug(0, "engine", replies=script, max_batch_size=SIZE)

        async def ask(number: int) -> tuple[int, str]:
            messages = [{"role": "user", "content": f"caller {number}"}]
            reply = await gateway.http.post("/v1/chat/completions", json={"model": "slot-0", "messages": messages})
            body = reply.json()
            return reply.status_code, body["choices"][0]["message"]["content"] if reply.is_success else body["error"]["code"]

        answers = await asyncio.gather(*(ask(number) for number in range(CALLERS)))
        assert answers.pop(7) == (400, "content_filter")
        assert answers == [(200, f"caller {number}") for number in range(CALLERS) if number != 7]
        assert max(Engine.sizes) <= SIZE
        assert sum(Engine.sizes) == CALLERS
        assert len(Engine.sizes) < CALLERS / 2
        assert len(gateway.rows()) == CALLERS
        slot = gateway.house.registry.slots()[0]
        assert slot.binding is not None
        assert slot.binding.live.in_flight == 0
