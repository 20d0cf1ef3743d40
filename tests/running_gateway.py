"""A whole gateway in this process, on a real port, for scenario tests: the same wiring that `jackfield up` uses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import uvicorn
from openai import AsyncOpenAI

from jackfield.app.compose import House, open_house
from jackfield.app.ports import listen
from jackfield.app.server import uvicorn_config
from jackfield.app.settings import Loaded, Settings
from jackfield.store.ledger import LedgerRow


class _QuietServer(uvicorn.Server):
    """Leaves the test runner's signal handlers alone."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@dataclass
class Gateway:
    """`url` has no /v1; `http` is a plain client on it."""

    house: House
    url: str
    http: httpx2.AsyncClient

    @property
    def port(self) -> int:
        return self.house.port

    def openai(self, path: str = "/v1") -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.url + path, api_key="none", max_retries=0, timeout=20)

    async def plug(self, number: int, provider: str, **config: Any) -> None:
        model = config.pop("model", None)
        await self.house.registry.plug(number, provider, config, model=model)

    def rows(self) -> list[LedgerRow]:
        """The ledger, newest first, the journal taken in."""
        assert self.house.journal is not None
        self.house.journal.rotate_and_replay(self.house.ledger)
        return self.house.ledger.recent(100)


def settings_for(directory: Path, **fields: Any) -> Settings:
    """Settings with an own store and no look around; `fields` are top-level sections as the file writes them."""
    plain = {"store": str(directory / "store"), "discovery": {"enabled": False}, "plugins": False, **fields}
    return msgspec.convert(plain, Settings)


@contextlib.asynccontextmanager
async def running_gateway(
    directory: Path, environ: Mapping[str, str] | None = None, *, port: int = 0, **fields: Any
) -> AsyncIterator[Gateway]:
    """A served house on a loopback port, any free one unless it is said. Leaving the block stops it as SIGTERM would."""
    settings = settings_for(directory, **fields)
    sock = listen("127.0.0.1", port)
    port = sock.getsockname()[1]
    async with open_house(Loaded(settings, environ=environ or {}), port=port) as house:
        await house.furnish()
        config = uvicorn_config(settings.server)
        config.app = house.asgi
        server = _QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.005)
        house.is_ready = True
        url = f"http://127.0.0.1:{port}"
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
                yield Gateway(house, url, http)
        finally:
            house.is_ready = False
            server.should_exit = True
            await serving
            sock.close()
