"""A panel on real parts: the real registrar, client, store and secrets, with fake upstreams on loopback."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jackfield.providers.registry import Registrar, load_registrar
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.workbench import Toolbox
from jackfield.store.consents import ConsentRepository
from jackfield.store.engine import Database
from jackfield.store.secrets import SecretStore
from jackfield.store.slots import SlotRepository
from jackfield.testing.fakes import FakeOpenAI
from jackfield.transport.egress import EgressGate


class Bench:
    """Everything around a registry, kept for a look and for a restart on the same folder."""

    def __init__(self, folder: Path, environ: Mapping[str, str], registrar: Registrar) -> None:
        self.folder = folder
        self.registrar = registrar
        self.database = Database(folder / "jackfield.db")
        self.secrets = SecretStore(folder / "secrets", environ, use_keyring=False)
        self.consents = ConsentRepository(self.database)
        self.gate = EgressGate(consents=self.consents.load())
        self.tools = Toolbox.fresh(self.gate, self.secrets, str(folder / "models"))

    def panel(self, **given: Any) -> ProviderRegistry:
        options: dict[str, Any] = {"size": 6, "consents": self.consents, "drain_s": 5.0, **given}
        repository = SlotRepository(self.database)
        return ProviderRegistry(self.registrar, self.tools, repository, secrets=self.secrets, gate=self.gate, **options)

    async def aclose(self) -> None:
        await self.tools.aclose()
        self.database.close()

    def stored_bytes(self) -> bytes:
        """Every byte of every file of the store."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


@asynccontextmanager
async def open_bench(folder: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Bench]:
    bench = Bench(folder, {} if environ is None else environ, load_registrar(plugins=False))
    try:
        yield bench
    finally:
        await bench.aclose()


OpenBench = Callable[..., Any]


@pytest.fixture
def restart() -> OpenBench:
    """`async with restart(folder) as bench` opens the same folder again."""
    return open_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture
async def panel(bench: Bench) -> AsyncIterator[ProviderRegistry]:
    registry = bench.panel()
    try:
        yield registry
    finally:
        await registry.aclose()


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server
