"""A panel on real parts, with fake upstreams on loopback, and a manager that follows it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jackfield.providers.registry import load_registrar
from jackfield.routing.manager import BackendManager, ManagerConfig
from jackfield.routing.probing import LookSettings
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.workbench import Toolbox
from jackfield.store.engine import Database
from jackfield.store.health import HealthRepository
from jackfield.store.secrets import SecretStore
from jackfield.store.slots import SlotRepository
from jackfield.testing.fakes import FakeOpenAI
from jackfield.transport.egress import EgressGate

QUICK = ManagerConfig(looks=LookSettings(interval_s=0.2, recheck_s=0.05, deadline_s=1.0))


class House:
    """A registry and a manager on one folder: opened again, they know what they knew."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "jackfield.db")
        self.secrets = SecretStore(folder / "secrets", {}, use_keyring=False)
        self.gate = EgressGate()
        self.tools = Toolbox.fresh(self.gate, self.secrets)
        self.repository = HealthRepository(self.database)
        self.panel = ProviderRegistry(
            load_registrar(plugins=False),
            self.tools,
            SlotRepository(self.database),
            secrets=self.secrets,
            gate=self.gate,
            size=8,
            drain_s=5.0,
        )

    def manager(self, config: ManagerConfig | None = QUICK, **more: Any) -> BackendManager:
        return BackendManager(config, gate=self.gate, repository=self.repository, **more)

    async def aclose(self) -> None:
        await self.panel.aclose()
        await self.tools.aclose()
        self.database.close()


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    house = House(folder)
    try:
        yield house
    finally:
        await house.aclose()


@pytest.fixture
def opened() -> Any:
    """`async with opened(folder) as house`, again and again."""
    return open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as found:
        yield found


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server
