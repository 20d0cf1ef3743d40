"""What is plugged at start and after an edit of the settings, in a whole gateway on real sockets."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jackfield.app.furnish import plug_found
from jackfield.app.settings import Loaded
from jackfield.core.errors import Conflict
from jackfield.slots.discovery import FoundServer
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway, settings_for

ELSEWHERE = "https://api.example.com/v1"


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


def at(fake: FakeOpenAI, **more: Any) -> dict[str, Any]:
    return {"provider": "openai-compat", "config": {"base_url": fake.base_url}, "model": "fake-model", **more}


async def edited(gateway: Gateway, folder: Path, **fields: Any) -> None:
    await gateway.house.take_over(Loaded(settings_for(folder, **fields)))


def block(provider: str, **fields: Any) -> dict[str, Any]:
    return {"blocks": {provider: fields}}


async def test_what_stands_already_is_not_plugged_again(tmp_path: Path, fake: FakeOpenAI) -> None:
    async with running_gateway(tmp_path, slots={0: at(fake, name="one")}) as gateway:
        await gateway.house.registry.mutate_slot(0, temperature=0.5)
    async with running_gateway(tmp_path, slots={0: at(fake, name="one")}) as gateway:
        slot = gateway.house.registry.slot(0)
        assert slot.spec is not None
        assert (slot.name, slot.spec.generation.temperature) == ("one", 0.5)
        assert [row.kind for row in gateway.house.registry.history()] == ["mutate", "plug"]


async def test_denied_at_the_slot_it_stays_empty_whatever_was_allowed_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    denied = {"provider": "openai-compat", "config": {"base_url": ELSEWHERE}, "consent": "deny"}
    caplog.set_level(logging.WARNING)
    async with running_gateway(tmp_path) as gateway:
        gateway.house.gate.grant("openai-compat", ["api.example.com"])
        await edited(gateway, tmp_path, slots={0: denied})
        assert gateway.house.registry.slot(0).is_empty
    assert "slots.0.consent is deny" in caplog.text


async def test_denied_at_the_provider_the_slot_says_so_whatever_was_allowed_before(tmp_path: Path) -> None:
    wanted = {"provider": "openai-compat", "config": {"base_url": ELSEWHERE}, "consent": "allow"}
    async with running_gateway(tmp_path) as gateway:
        gateway.house.gate.grant("openai-compat", ["api.example.com"])
        await edited(gateway, tmp_path, slots={0: wanted}, providers=block("openai-compat", consent="deny"))
        slot = gateway.house.registry.slot(0)
        assert slot.binding is None
        assert "providers.openai-compat.consent is deny" in (slot.problem or "")


async def test_deny_is_no_reason_to_leave_this_machines_own_servers_out(tmp_path: Path, fake: FakeOpenAI) -> None:
    async with running_gateway(tmp_path, slots={0: at(fake, consent="deny")}) as gateway:
        assert gateway.house.registry.slot(0).binding is not None


async def test_without_consent_it_is_shown_and_with_it_tried_again(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, mode="airgapped", providers=block("openai", enabled=True)) as gateway:
        slot = gateway.house.registry.slot(0)
        assert slot.spec is not None
        assert (slot.spec.provider, slot.binding) == ("openai", None)
        before = slot.problem
        await edited(gateway, tmp_path, mode="airgapped", providers=block("openai", enabled=True, api_key="env:NOT_SET"))
        again = gateway.house.registry.slot(0)
        assert again.problem != before
        assert "NOT_SET" in (again.problem or "")
        assert gateway.house.registry.first_free() == 1


async def test_a_changed_block_makes_the_slot_anew_and_keeps_what_was_set_there(tmp_path: Path, fake: FakeOpenAI) -> None:
    address = block("vllm", enabled=True, base_url=fake.base_url)
    async with running_gateway(tmp_path, providers=address) as gateway:
        registry = gateway.house.registry
        await registry.rename_slot(0, "mine")
        await registry.mutate_slot(0, temperature=0.5)
        before = registry.slot(0).binding
        await edited(gateway, tmp_path, providers=address)
        assert registry.slot(0).binding is before
        async with FakeOpenAI() as other:
            await edited(gateway, tmp_path, providers=block("vllm", enabled=True, base_url=other.base_url))
            slot = registry.slot(0)
            assert slot.binding is not before
            assert slot.binding is not None
            assert slot.binding.info.hosts == (f"127.0.0.1:{other.port}",)
            assert (slot.name, slot.binding.spec.generation.temperature) == ("mine", 0.5)
        await edited(gateway, tmp_path, providers=block("vllm", enabled=False))
        assert registry.slot(0).binding is None
        assert "switched off" in (registry.slot(0).problem or "")


async def test_an_edit_that_fails_midway_leaves_the_old_settings_to_compare_with(tmp_path: Path, fake: FakeOpenAI) -> None:
    async with running_gateway(tmp_path, slots={0: at(fake, name="one")}) as gateway:
        old = gateway.house.loaded
        with pytest.raises(Conflict, match="one"):
            await edited(gateway, tmp_path, slots={0: at(fake, name="one"), 1: at(fake, name="one")})
        assert gateway.house.loaded is gateway.house.blocks.loaded is old
        await edited(gateway, tmp_path, slots={0: at(fake, name="one"), 1: at(fake, name="two")})
        assert [slot.name for slot in gateway.house.registry.plugged()] == ["one", "two"]


async def test_what_was_found_is_plugged_once_and_only_where_it_may(
    tmp_path: Path, fake: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    server = FoundServer("openai-compat", "a server", fake.port, fake.base_url, f"127.0.0.1:{fake.port}")
    async with running_gateway(tmp_path, panel_size=1) as gateway:
        await plug_found(gateway.house, server)
        await plug_found(gateway.house, server)
        assert len(gateway.house.registry.plugged()) == 1
        async with FakeOpenAI() as other:
            found = FoundServer("openai-compat", "another", other.port, other.base_url, f"127.0.0.1:{other.port}")
            await plug_found(gateway.house, found)
            await gateway.house.registry.unplug(0)
            await edited(gateway, tmp_path, panel_size=1, providers=block("openai-compat", enabled=False))
            await plug_found(gateway.house, found)
            assert other.requests == []
        assert gateway.house.registry.plugged() == ()
    assert "every slot is taken" in caplog.text


async def test_a_source_that_hangs_holds_up_no_other(tmp_path: Path, fake: FakeOpenAI) -> None:
    async with FakeOpenAI(behaviour=Behaviour(everywhere=True, hang="before")) as hung, running_gateway(tmp_path) as gateway:
        registry = gateway.house.registry
        edit = asyncio.create_task(edited(gateway, tmp_path, slots={0: at(hung), 1: at(fake)}))
        async with asyncio.timeout(10), registry.subscribe() as events:
            async for event in events:
                if event.slots == (1,):
                    break
        assert registry.slot(1).binding is not None
        assert registry.slot(0).is_empty
        await edit
        assert "did not say within" in (registry.slot(0).problem or "")
