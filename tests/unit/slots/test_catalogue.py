"""The models of the panel: complete when sources answer, marked when they do not, never late."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import pytest

from jackfield.slots.catalogue import Catalogue, CatalogueEntry
from jackfield.slots.registry import ProviderRegistry
from jackfield.testing.fakes import Behaviour, FakeOpenAI


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def panel(bench: Any, clock: Clock) -> AsyncIterator[ProviderRegistry]:
    registry = bench.panel(clock=clock)
    yield registry
    await registry.aclose()


@pytest.fixture
async def catalogue(panel: ProviderRegistry, clock: Clock) -> AsyncIterator[Catalogue]:
    made = Catalogue(panel, clock=clock, list_within_s=5)
    yield made
    await made.aclose()


def by_id(entries: tuple[CatalogueEntry, ...]) -> dict[str, CatalogueEntry]:
    assert len({entry.id for entry in entries}) == len(entries)
    return {entry.id: entry for entry in entries}


@pytest.mark.behaviour("SLOT-20", "SLOT-30")
async def test_slots_names_and_models_are_listed_once_each(
    panel: ProviderRegistry, catalogue: Catalogue, fake: FakeOpenAI
) -> None:
    fake.models = ["small", "big"]
    await panel.plug(1, "openai-compat", {"base_url": fake.base_url}, model="big", name="coder")
    await panel.plug(4, "scripted", {"models": ["big", "poet"]})
    found = by_id(await catalogue.models())
    assert list(found) == ["slot-1", "coder", "slot-4", "small", "big", "poet"]
    assert {name: int(entry.slot) for name, entry in found.items()} == {
        "slot-1": 1,
        "coder": 1,
        "slot-4": 4,
        "small": 1,
        "big": 1,
        "poet": 4,
    }
    assert (found["slot-1"].model, found["coder"].model, found["small"].model) == ("big", "big", "small")
    assert found["big"].profile is not None
    assert not any(entry.stale or entry.error for entry in found.values())
    assert catalogue.find("poet") is panel.slot(4)
    assert catalogue.find("coder") is None
    assert catalogue.find("nothing") is None
    await panel.unplug(4)
    assert catalogue.find("poet") is None


async def test_a_listing_is_kept_for_a_while_and_then_renewed(
    panel: ProviderRegistry, catalogue: Catalogue, fake: FakeOpenAI, clock: Clock
) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    asked = len(fake.requests)
    await catalogue.models()
    await catalogue.models()
    assert len(fake.requests) == asked
    fake.models = ["fake-model", "newer"]
    clock.now += 31
    assert "newer" in by_id(await catalogue.models())
    assert catalogue.find("newer") is panel.slot(0)
    assert len(fake.requests) == asked + 1


async def test_a_source_that_hangs_delays_nobody_and_is_marked(
    panel: ProviderRegistry, catalogue: Catalogue, fake: FakeOpenAI, clock: Clock
) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    await panel.plug(1, "scripted", {"models": ["poet"]})
    clock.now += 31
    fake.behaviour = Behaviour(everywhere=True, hang="before")
    began = perf_counter()
    found = by_id(await catalogue.models(0.1))
    assert perf_counter() - began < 2  # 0.15 s are promised; a hung source would hold it up for ever
    assert found["slot-0"].stale
    assert found["fake-model"].stale
    assert (found["slot-1"].stale, found["poet"].stale) == (False, False)
    asked = len(fake.requests)
    await catalogue.models(0.01)
    assert len(fake.requests) == asked, "it is being asked already"


@pytest.mark.behaviour("SLOT-30")
async def test_a_source_that_is_down_is_listed_with_its_error(
    panel: ProviderRegistry, catalogue: Catalogue, fake: FakeOpenAI, clock: Clock
) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    await panel.plug(1, "scripted")
    clock.now += 31
    await fake.stop()
    found = by_id(await catalogue.models(3))
    assert found["slot-0"].error
    assert "fake-model" in found, "what it last listed stays, marked"
    assert found["fake-model"].stale
    assert found["slot-1"].error is None
    async with fake:
        found = by_id(await catalogue.models(3))
        assert found["slot-0"].error is None
        assert not found["slot-0"].stale


async def test_a_source_that_was_never_reached_is_listed_too(
    panel: ProviderRegistry, catalogue: Catalogue, fake: FakeOpenAI
) -> None:
    await fake.stop()
    await panel.plug(2, "openai-compat", {"base_url": fake.base_url}, model="wanted", require_ready=False)
    entry = by_id(await catalogue.models(3))["slot-2"]
    assert (entry.model, entry.stale, bool(entry.error)) == ("wanted", True, True)


async def test_closing_ends_what_is_being_asked(
    panel: ProviderRegistry, catalogue: Catalogue, fake: FakeOpenAI, clock: Clock
) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    clock.now += 31
    fake.behaviour = Behaviour(everywhere=True, hang="before")
    await catalogue.models(0.01)
    await catalogue.aclose()
    await catalogue.aclose()
    await asyncio.wait_for(fake.disconnected.wait(), 1)
