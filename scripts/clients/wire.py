"""What goes over the wire between clients and the gateway: a relay on loopback that passes bytes on and reads along.

Knows HTTP/1.1 and nothing of dialects or of the gateway. It changes no byte; what it cannot read it passes on unread.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httptools

CHUNK_BYTES = 65536


@dataclass
class Exchange:
    """A request as it came, and the status of its answer: 0 while there is none."""

    method: str
    path: str = ""
    body: bytes = b""
    status: int = 0

    def told(self) -> str:
        """In one line: method, path, and what it asked for beyond a plain answer."""
        try:
            fields = json.loads(self.body or b"{}")
        except ValueError:
            fields = {}
        return " ".join([f"{self.method} {self.path}", *_marks(fields if isinstance(fields, dict) else {})])


def _marks(fields: dict[str, Any]) -> list[str]:
    wishes = {
        "stream": fields.get("stream") is True,
        "usage": (fields.get("stream_options") or {}).get("include_usage") is True,
        "tools": bool(fields.get("tools")),
        "json_schema": (fields.get("response_format") or {}).get("type") == "json_schema",
        "base64": fields.get("encoding_format") == "base64",
        "token ids": isinstance(fields.get("input"), list) and not isinstance((fields["input"] or [""])[0], str | dict),
    }
    return [f"+{wish}" for wish, is_so in wishes.items() if is_so]


@dataclass
class _Asked:
    """Collects the requests of one connection."""

    seen: list[Exchange]
    own: list[Exchange] = field(default_factory=list)
    parser: Any = None

    def on_url(self, url: bytes) -> None:
        exchange = Exchange(self.parser.get_method().decode(), url.decode())
        self.own.append(exchange)
        self.seen.append(exchange)

    def on_body(self, body: bytes) -> None:
        self.own[-1].body += body


@dataclass
class _Answered:
    """Gives each answer's status to the request that it belongs to."""

    asked: _Asked
    count: int = 0
    parser: Any = None

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200 and self.count < len(self.asked.own):
            self.asked.own[self.count].status = status
            self.count += 1


@contextlib.asynccontextmanager
async def relay(port: int, seen: list[Exchange]) -> AsyncIterator[str]:
    """The address of a relay to `port` of this machine; what passes is put into `seen`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = _Asked(seen)
        answered = _Answered(asked)
        asked.parser, answered.parser = httptools.HttpRequestParser(asked), httptools.HttpResponseParser(answered)
        with contextlib.suppress(OSError):
            gateway_reader, gateway_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(
                _pass_on(reader, gateway_writer, asked.parser), _pass_on(gateway_reader, writer, answered.parser)
            )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parser: Any) -> None:
    readable = True
    try:
        while data := await reader.read(CHUNK_BYTES):
            if readable:
                try:
                    parser.feed_data(data)
                except httptools.HttpParserError:
                    readable = False
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
