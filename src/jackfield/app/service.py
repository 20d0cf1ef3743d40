"""UnifiedInferenceService: the same house that `jackfield up` runs, started and stopped from a Python program.

Owns one task that opens the house, serves it and closes it. Leaves signals, logging and the event loop to the program.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from jackfield.app.compose import House
from jackfield.app.ports import listen
from jackfield.app.server import HouseServer, check_exposure, furnished_house, uvicorn_config
from jackfield.app.service_config import InferenceServiceConfig, load_service_settings
from jackfield.app.settings import Loaded
from jackfield.core.errors import Conflict
from jackfield.routing.manager import BackendManager


@dataclass(frozen=True)
class ServedHttp:
    """Where the HTTP server of a service is; `url` is without /v1."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class UnifiedInferenceService:
    """Also an async context manager. May be started again after it was stopped.

    `environ` stands for the process's environment, where given.
    """

    def __init__(self, config: InferenceServiceConfig | None = None, *, environ: Mapping[str, str] | None = None) -> None:
        self.config = config or InferenceServiceConfig()
        self._environ = environ
        self._running: _Running | None = None

    async def start(self) -> None:
        """Returns once requests are answered. Raises Conflict where it runs already, PortTaken, NotAllowed for an address
        that others reach without a key, and what load_service_settings and opening a house raise."""
        if self._running is not None:
            raise Conflict("this service runs already: stop it first")
        loaded = load_service_settings(self.config, self._environ)
        running = self._running = _Running(loaded, serves_http=self.config.enable_hf_server)
        try:
            await running.ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Lets running answers end within server.shutdown_grace_s, then closes everything. Idempotent."""
        running = self._running
        if running is not None:
            try:
                await running.end()
            finally:
                if self._running is running:
                    self._running = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.house is not None and self._running.house.is_ready

    def get_backend_manager(self) -> BackendManager | None:
        """Who routes and what is known of each source; None while the service does not run, or where it was not wanted."""
        house = self._house()
        return house.backends if house is not None and self.config.enable_backend_manager else None

    def get_hf_server(self) -> ServedHttp | None:
        """Where requests are answered; None while the service does not run, or where it was not wanted."""
        house = self._house()
        if house is None or not self.config.enable_hf_server:
            return None
        return ServedHttp(house.settings.server.host, house.port)

    def get_p2p_node(self) -> None:
        """None: this version has no peer-to-peer node, and a config that wants one is refused."""

    def _house(self) -> House | None:
        return self._running.house if self._running is not None else None


class _Running:
    """One run: takes the port at once, and has a task of its own for everything that follows."""

    def __init__(self, loaded: Loaded, *, serves_http: bool) -> None:
        self.house: House | None = None
        self._is_ready = asyncio.Event()
        self._is_ended = asyncio.Event()
        self._server: HouseServer | None = None
        self._task = asyncio.create_task(self._run(loaded, serves_http), name="jackfield service")

    async def ready(self) -> None:
        """Raises what kept the house from opening."""
        waiting = asyncio.create_task(self._is_ready.wait())
        try:
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()

    async def end(self) -> None:
        """Raises what went wrong while it was open, or in closing it."""
        self._is_ended.set()
        if self._server is not None:
            self._server.should_exit = True
        if not self._is_ready.is_set():
            self._task.cancel()
        await asyncio.wait({self._task})
        if self._is_ready.is_set():
            self._task.result()

    async def _run(self, loaded: Loaded, serves_http: bool) -> None:
        try:
            await (self._serve(loaded) if serves_http else self._keep(loaded))
        finally:
            self.house = None

    async def _serve(self, loaded: Loaded) -> None:
        settings = loaded.settings.server
        check_exposure(settings)
        with listen(settings.host, settings.port) as sock:
            async with furnished_house(loaded, port=sock.getsockname()[1]) as house:
                config = uvicorn_config(settings)
                config.app = house.asgi
                self._server = HouseServer(config, lambda: self._open(house), house.begin_to_stop, owns_process=False)
                await self._server.serve(sockets=[sock])

    async def _keep(self, loaded: Loaded) -> None:
        async with furnished_house(loaded, port=0) as house:
            self._open(house)
            await self._is_ended.wait()
            house.begin_to_stop()

    def _open(self, house: House) -> None:
        self.house = house
        house.is_ready = True
        self._is_ready.set()


async def start_unified_service(
    config: InferenceServiceConfig | None = None, *, environ: Mapping[str, str] | None = None
) -> UnifiedInferenceService:
    """A running service; `await service.stop()` ends it. Raises as `UnifiedInferenceService.start`."""
    service = UnifiedInferenceService(config, environ=environ)
    await service.start()
    return service
