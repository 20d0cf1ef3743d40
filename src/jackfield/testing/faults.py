"""What goes wrong with upstreams, by name: answers that are bad, late, cut or empty, and ports that are no better.

Knows how each fault looks on the wire and nothing of what a gateway should make of it. Faults of HTTP are behaviours of the
fake in testing/fakes.py; faults below it (TCP, TLS, names) are ports of their own. Loopback only.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import random
import socket
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jackfield.testing.fakes import Behaviour, FakeOpenAI

TOO_LATE_S = 30.0
"""When the slow ones answer: after any limit that a test sets. A client that leaves sooner ends the wait."""
UNRESOLVABLE = "https://nowhere.invalid/v1"
"""No resolver finds this name (RFC 6761). It is not this machine, so it needs consent before it is even asked for."""
WELL = Behaviour()

BEFORE_CONTENT: Mapping[str, Behaviour] = {
    "429": Behaviour(status=429, message="Rate limit reached", code="rate_limit_exceeded"),
    "429 with retry-after": Behaviour(status=429, message="Rate limit reached", code="rate_limit_exceeded", retry_after="1"),
    "500": Behaviour(status=500, message="The server had an error"),
    "502": Behaviour(status=502, body=b"<html><head><title>502 Bad Gateway</title></head></html>"),
    "503": Behaviour(status=503, message="Service unavailable"),
    "529": Behaviour(status=529, message="Overloaded", code="overloaded_error"),
    "key refused": Behaviour(status=401, message="Incorrect API key provided", code="invalid_api_key"),
    "payment required": Behaviour(status=402, message="Payment required"),
    "quota spent": Behaviour(status=429, message="You exceeded your current quota", code="insufficient_quota"),
    "model gone": Behaviour(status=404, message="The model does not exist", code="model_not_found"),
    "context too long": Behaviour(
        status=400, message="This model's maximum context length is 8 tokens", code="context_length_exceeded"
    ),
    "content refused": Behaviour(status=400, message="The prompt was filtered", code="content_filter"),
    "no answer": Behaviour(hang="before"),
    "slow first token": Behaviour(first_event_delay_s=TOO_LATE_S),
    "slow first token, heartbeats": Behaviour(first_event_delay_s=TOO_LATE_S, heartbeat_s=0.05),
    "cut": Behaviour(cut_after=1),
    "stalled": Behaviour(hang="inside", pieces_before=1),
    "malformed": Behaviour(garbage_after=1),
    "no JSON": Behaviour(body=b"<html><body>Welcome</body></html>"),
    "error with status 200": Behaviour(error_after=0, message="the engine ran out of memory"),
    "empty": Behaviour(is_empty=True),
}
"""Faults that show before any content has come, streamed or not: a client need never see them where another can answer."""

PACE_S = 0.02
AFTER_CONTENT: Mapping[str, Behaviour] = {
    "cut": Behaviour(cut_after=4, piece_delay_s=PACE_S),
    "stalled": Behaviour(hang="inside", pieces_before=4, piece_delay_s=PACE_S),
    "stalled, heartbeats": Behaviour(hang="inside", pieces_before=4, piece_delay_s=PACE_S, heartbeat_s=0.05),
    "malformed": Behaviour(garbage_after=4, piece_delay_s=PACE_S),
    "error in the stream": Behaviour(error_after=4, piece_delay_s=PACE_S, message="the engine ran out of memory"),
}
"""Faults of a stream whose first pieces (three words of text) are good: too late to hide, since each piece comes alone."""

TRICKLE = Behaviour(piece_delay_s=0.3)
"""About three words a second: alive, never silent for long, and too slow to be of use."""


class FaultyOpenAI(FakeOpenAI):
    """Plays one of `faults` in a `share` of all requests, drawn by `draw`, and else its `behaviour`. `played` counts them.

    Made for millions of requests: of what it got it remembers only the last `REMEMBERED`.
    """

    REMEMBERED = 100

    def __init__(self, faults: Mapping[str, Behaviour], share: float, draw: random.Random, **rest: Any) -> None:
        super().__init__(**rest)
        self.played: Counter[str] = Counter()
        self._asked = 0
        self._faults = faults
        self._names = tuple(faults)
        self._share = share
        self._draw = draw

    @property
    def asked(self) -> int:
        return self._asked

    def choose(self) -> Behaviour:
        self._asked += 1
        del self.requests[: -self.REMEMBERED]
        if self.script or self._draw.random() >= self._share:
            return super().choose()
        name = self._draw.choice(self._names)
        self.played[name] += 1
        return self._faults[name]


@contextlib.contextmanager
def refusing_port(port: int = 0) -> Iterator[str]:
    """The base URL of a port that refuses every connection and that nobody else can take meanwhile."""
    with _bound(port) as sock:
        yield _url(sock)


@contextlib.contextmanager
def hanging_port(port: int = 0) -> Iterator[str]:
    """The base URL of a port whose queue is full and that nobody serves: connecting to it neither succeeds nor fails."""
    with _bound(port) as sock, contextlib.ExitStack() as queue:
        sock.listen(0)
        for _ in range(4):  # the kernel lets one more wait than was said; the others find no room
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(sock.getsockname())
        yield _url(sock)


class TlsPort:
    """A port that is spoken to with https and cannot be. `connections` counts who tried, `requests` bytes that got through."""

    def __init__(self, kind: Literal["untrusted", "plain", "mute"]) -> None:
        self.kind = kind
        self.connections = 0
        self.requests = 0
        self.base_url = ""
        self._certificate = self_signed() if kind == "untrusted" else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            if self._certificate is not None:
                await writer.start_tls(self._certificate)
            hello = await reader.read(65536)
            if self.kind == "plain" and hello:
                writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
            elif self.kind == "untrusted" and hello:
                self.requests += 1
            else:
                while await reader.read(65536):
                    pass


@contextlib.asynccontextmanager
async def tls_port(kind: Literal["untrusted", "plain", "mute"]) -> AsyncIterator[TlsPort]:
    """ "untrusted" shows a certificate that nobody signed, "plain" speaks no TLS at all, "mute" never says a word."""
    port = TlsPort(kind)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await port.serve(reader, writer)
        finally:
            writer.transport.abort()  # a handshake that failed leaves nothing to wait for

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port.base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield port
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def self_signed() -> ssl.SSLContext:
    """A server's TLS with a certificate for 127.0.0.1 that it signed itself, made anew each time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        both.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(both)
    return context


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        yield sock


def _url(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
