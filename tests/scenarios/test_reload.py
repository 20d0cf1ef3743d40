"""The settings file of a running `jackfield up` is edited: what it says counts within two seconds, or is told to be wrong."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway_process import Up, jackfield_up_beside
from jackfield.testing.fakes import Behaviour, FakeOpenAI

WITHIN_S = 2.0
PING: Any = [{"role": "user", "content": "ping"}]


@pytest.fixture
async def first() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(models=["first"]) as fake:
        yield fake


@pytest.fixture
async def second() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(models=["second"]) as fake:
        yield fake


def at(fake: FakeOpenAI, model: str) -> str:
    return f'{{provider: openai-compat, config: {{base_url: "{fake.base_url}"}}, model: {model}}}'


def edit(up: Up, text: str) -> None:
    """As editors do: a new file in the old one's place."""
    fresh = up.settings.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, up.settings)


class Asker:
    """Asks the gateway while the fakes of this loop answer."""

    def __init__(self, up: Up) -> None:
        self._http = httpx2.AsyncClient(base_url=up.url, timeout=20, trust_env=False)

    async def __aenter__(self) -> "Asker":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(self, model: str = "slot-0", **fields: Any) -> httpx2.Response:
        return await self._http.post("/v1/chat/completions", json={"model": model, "messages": PING, **fields})

    async def model(self, model: str = "slot-0") -> str | None:
        """The model that really answered."""
        reply = await self.ask(model)
        return reply.json().get("model") if reply.status_code == 200 else None

    async def slot(self, number: int) -> dict[str, Any]:
        slot: dict[str, Any] = (await self._http.get(f"/control/v1/slots/{number}")).json()
        return slot


async def soon(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Within the two seconds that are promised."""
    deadline = time.monotonic() + WITHIN_S
    while not await is_so():
        assert time.monotonic() < deadline, f"not within {WITHIN_S:g} s"
        await asyncio.sleep(0.02)


@pytest.mark.behaviour("CONF-17", "CONF-18")
async def test_the_next_call_goes_where_the_edit_says(tmp_path: Path, first: FakeOpenAI, second: FakeOpenAI) -> None:
    settings = f"slots: {{0: {at(first, 'first')}}}\n"
    async with jackfield_up_beside(tmp_path, "--no-discover", settings=settings) as up, Asker(up) as asker:
        assert await asker.model() == "first"

        edit(up, f"slots: {{0: {at(second, 'second')}, 1: {at(first, 'first')}}}\n")

        async def goes_to_both() -> bool:
            return [await asker.model(), await asker.model("slot-1")] == ["second", "first"]

        await soon(goes_to_both)

        edit(up, f"mode: local_only\nslots:\n  0: {at(first, 'first')}\n  1: {{provder: scripted}}\n")

        async def is_told() -> bool:
            return "provder" in up.log

        await soon(is_told)
        assert "jackfield.yaml:4: slots.1.provder" in up.log
        assert "did you mean 'provider'?" in up.log
        assert "the settings in force stay as they were" in up.log
        assert await goes_to_both()

        edit(up, f"slots: {{0: {at(first, 'first')}}}\n")

        async def goes_back() -> bool:
            return await asker.model() == "first" and await asker.model("slot-1") is None

        await soon(goes_back)
        assert (await asker.slot(1))["state"] == "empty"


@pytest.mark.behaviour("CONF-17")
async def test_another_active_provider_and_another_block_count_at_once(
    tmp_path: Path, first: FakeOpenAI, second: FakeOpenAI
) -> None:
    blocks = f"""
  vllm: {{base_url: "{first.base_url}", model: first, timeout: 30}}
  sglang: {{base_url: "{second.base_url}", model: second}}
"""
    settings = f"providers:\n  active: vllm{blocks}"
    async with jackfield_up_beside(tmp_path, "--no-discover", settings=settings) as up, Asker(up) as asker:
        assert await asker.model("vllm/first") == "first"
        assert await asker.model("sglang/second") is None

        edit(up, f"providers:\n  active: sglang{blocks}")

        async def is_active() -> bool:
            return await asker.model("sglang/second") == "second"

        await soon(is_active)

        edit(up, f"providers:\n  active: sglang{blocks}".replace(first.base_url, second.base_url).replace("first", "second"))

        async def has_moved() -> bool:
            return await asker.model("vllm/second") == "second"

        await soon(has_moved)

        first.behaviour = Behaviour(delay_s=0.5)
        edit(up, f"providers:\n  active: sglang{blocks}".replace("timeout: 30", "first_byte_timeout: 0.2"))

        async def gives_up() -> bool:
            return (await asker.ask("vllm/first")).status_code == 504

        await soon(gives_up)

        edit(up, "providers:\n  active: sglang" + blocks.replace("model: first", "model: first, enabled: false"))

        async def is_off() -> bool:
            reply = await asker.ask("slot-0")
            return reply.status_code == 404 and "switched off in the settings" in reply.text

        await soon(is_off)
        assert "effective after a restart" not in up.log


@pytest.mark.behaviour("CONF-17")
async def test_a_stream_outlives_the_edit_that_moves_its_slot(tmp_path: Path, first: FakeOpenAI, second: FakeOpenAI) -> None:
    first.behaviour = Behaviour(piece_delay_s=0.15)
    settings = f"slots: {{0: {at(first, 'first')}}}\n"
    async with jackfield_up_beside(tmp_path, "--no-discover", settings=settings) as up, Asker(up) as asker:
        count: Any = [{"role": "user", "content": "Count to 9"}]
        running = asyncio.create_task(asker.ask(messages=count, stream=True))
        async with asyncio.timeout(10):
            await first.arrived.wait()
        edit(up, f"server: {{max_body_bytes: 4096}}\nslots: {{0: {at(second, 'second')}}}\n")

        async def goes_to_second() -> bool:
            return await asker.model() == "second"

        await soon(goes_to_second)
        reply = await running
        assert reply.text.endswith("data: [DONE]\n\n")
        assert '"second"' not in reply.text
        assert "changed in the settings, effective after a restart: server.max_body_bytes" in up.log
