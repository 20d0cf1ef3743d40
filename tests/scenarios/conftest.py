"""A gateway with one fake upstream in slot 0, for most scenarios, and one between two of them, for those of failure."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway
from two_sources import House, two_sources


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, fake: FakeOpenAI) -> AsyncIterator[Gateway]:
    """Slot 0 holds `openai-compat` at the fake, model `fake-model`."""
    async with running_gateway(tmp_path) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        yield running


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with two_sources(tmp_path) as both:
        yield both


@pytest.fixture
async def lonely(tmp_path: Path) -> AsyncIterator[House]:
    """Only slot 0."""
    async with two_sources(tmp_path, alone=True) as one:
        yield one
