"""Servers on loopback that play whatever a test scripts, byte by byte, and count what clients do to them."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\npong"
PATIENCE_S = 10.0


class Visit:
    """One client connection, as the script sees it."""

    def __init__(self, upstream: "Upstream", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.upstream = upstream
        self.reader = reader
        self.writer = writer
        upstream.connections += 1
        self.number = upstream.connections

    async def request(self) -> bytes | None:
        """The next whole request, or None when the client has gone."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            body = await self.reader.readexactly(_content_length(head))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.upstream.requests.append(head + body)
        return head + body

    async def send(self, *pieces: bytes) -> None:
        """Each piece as a write of its own, in a turn of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def gone(self) -> None:
        """Returns once the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.upstream.departures.set()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Visit], Awaitable[None]]


class Upstream:
    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.departures = asyncio.Event()
        self.url = ""
        self.port = 0

    async def left(self) -> None:
        """Waits until a client has gone away."""
        async with asyncio.timeout(PATIENCE_S):
            await self.departures.wait()


async def answer_all(visit: Visit) -> None:
    """The well-behaved server: the same small answer to every request."""
    while await visit.request() is not None:
        await visit.send(OK)


def answers(*pieces: bytes, then: str = "wait") -> Script:
    """A script that sends `pieces` to every request and then waits for the client, closes, or resets."""

    async def script(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(*pieces)
            if then == "close":
                return
            if then == "reset":
                visit.reset()
                return
            if then == "wait":
                await visit.gone()
                return

    return script


@contextlib.asynccontextmanager
async def listening(
    script: Script, *, tls: ssl.SSLContext | None = None, unix_path: str | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Upstream]:
    upstream = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await script(Visit(upstream, reader, writer))
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(visit(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    if unix_path is not None:
        server = await asyncio.start_unix_server(connected, unix_path)
        upstream.url = f"unix://{unix_path}"
    else:
        server = await asyncio.start_server(connected, host, 0, ssl=tls)
        upstream.port = server.sockets[0].getsockname()[1]
        upstream.url = f"{'https' if tls else 'http'}://{host}:{upstream.port}"
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


class BlockingPeer:
    """A server in a thread of its own, on bare sockets: it can act while the client's event loop stands still."""

    def __init__(self, play: Callable[["BlockingPeer"], None], tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._sockets: list[socket.socket] = []
        self._is_over = False
        self._tls = tls
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self.requests = 0
        self.cue = threading.Event()
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(play,), daemon=True)
        self._thread.start()

    def _run(self, play: Callable[["BlockingPeer"], None]) -> None:
        with contextlib.suppress(OSError):
            play(self)
        for sock in self._sockets:
            sock.close()

    def accept(self) -> socket.socket:
        while True:
            try:
                sock, _ = self._listener.accept()
                break
            except TimeoutError:
                if self._is_over:
                    raise
        sock.settimeout(PATIENCE_S)
        self.accepted += 1
        if self._tls:
            sock = self._tls.wrap_socket(sock, server_side=True)
        self._sockets.append(sock)
        return sock

    def take(self, sock: socket.socket) -> None:
        """Reads one whole request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        while len(body) < _content_length(head + b"\r\n\r\n"):
            body += sock.recv(65536)
        self.requests += 1

    def close(self) -> None:
        self._is_over = True
        self.cue.set()
        self._thread.join(PATIENCE_S)
        self._listener.close()
        assert not self._thread.is_alive()


@contextlib.contextmanager
def blocking_peer(play: Callable[[BlockingPeer], None], tls: ssl.SSLContext | None = None) -> Iterator[BlockingPeer]:
    peer = BlockingPeer(play, tls)
    try:
        yield peer
    finally:
        peer.close()


def closed_port() -> int:
    """A port nobody listens on (it was free a moment ago)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
