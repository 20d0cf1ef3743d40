"""Runs a house behind uvicorn on one event loop: takes the port first, opens the house, serves, closes in order."""

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any, cast

import uvicorn

from jackfield.app.compose import House, open_house
from jackfield.app.http_protocol import GatewayProtocol
from jackfield.app.ports import listen
from jackfield.app.settings import Loaded, ServerSettings
from jackfield.app.settings_watch import SettingsWatcher
from jackfield.app.websocket_times import PING_EVERY_S, PONG_WITHIN_S
from jackfield.core.errors import NotAllowed

# A request makes a few hundred objects and no cycles: looking for cycles every 700 of them costs some percent of its time.
GC_THRESHOLD = (20_000, 20, 20)
OnReady = Callable[[House], None]


class HouseServer(uvicorn.Server):
    """Tells when it serves, and when it begins to stop. `owns_process`: it ends with SIGINT and SIGTERM."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None],
        *,
        owns_process: bool = True,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._owns_process = owns_process

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Inside somebody else's program the signals are theirs."""
        with super().capture_signals() if self._owns_process else contextlib.nullcontext():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends in order, with exit code 0. Uvicorn alone would die of the signal with the house still open."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True  # a second Ctrl-C does not wait for running answers
        self.should_exit = True


def run(loaded: Loaded, *, demo: bool = False, on_ready: OnReady) -> None:
    """Serves until SIGINT or SIGTERM. Raises PortTaken, NotAllowed, or what opening the house raises."""
    server = loaded.settings.server
    check_exposure(server)
    sock = listen(server.host, server.port)
    try:
        config = uvicorn_config(server)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(loaded, config, sock, demo, on_ready))
    finally:
        sock.close()


async def _serve(loaded: Loaded, config: uvicorn.Config, sock: socket.socket, demo: bool, on_ready: OnReady) -> None:
    async with furnished_house(loaded, port=sock.getsockname()[1], demo=demo) as house:
        config.app = house.asgi
        await HouseServer(config, lambda: _announce(house, on_ready), house.begin_to_stop).serve(sockets=[sock])


@contextlib.asynccontextmanager
async def furnished_house(loaded: Loaded, *, port: int, demo: bool = False) -> AsyncIterator[House]:
    """A house with everything plugged that should be; it takes over edits of its settings while the block lasts."""
    async with open_house(loaded, port=port) as house:
        await house.furnish(demo=demo)
        async with SettingsWatcher(loaded, house.take_over) if loaded.settings.reload else contextlib.nullcontext():
            yield house


def _announce(house: House, on_ready: OnReady) -> None:
    gc.collect()
    gc.freeze()  # what lives now lives for good: the collector need not look at it again
    gc.set_threshold(*GC_THRESHOLD)
    house.is_ready = True
    on_ready(house)


def uvicorn_config(server: ServerSettings) -> uvicorn.Config:
    """How uvicorn is run: httptools, no log line a request, no lifespan, WebSockets uncompressed. Whoever serves sets `app`."""
    return uvicorn.Config(
        app=lambda *_: None,
        loop="auto",
        http=GatewayProtocol,
        ws=cast("Any", websocket_protocol),
        ws_max_size=server.max_body_bytes,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        ws_per_message_deflate=False,
        interface="asgi3",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(server.shutdown_grace_s)),
        backlog=2048,
    )


def websocket_protocol(*args: Any, **kwargs: Any) -> asyncio.Protocol:
    """Uvicorn asks for one a connection; what it takes is loaded with the first."""
    from jackfield.app.websocket_protocol import GatewayWebSocket

    return GatewayWebSocket(*args, **kwargs)


def check_exposure(server: ServerSettings) -> None:
    """Raises NotAllowed for an address beyond loopback without both --expose and a key."""
    if is_loopback(server.host):
        return
    missing = [
        need
        for need, is_there in (("--expose", server.expose), ("a key (server.api_key)", server.api_key or server.api_keys))
        if not is_there
    ]
    if missing:
        raise NotAllowed(
            f"listening on {server.host} lets other machines in: that needs {' and '.join(missing)}; "
            "set a key with: jackfield secrets set gateway, and server.api_key: file:gateway or keyring:gateway"
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
