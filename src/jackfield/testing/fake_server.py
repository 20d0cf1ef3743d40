"""What every fake upstream is made of: a real HTTP/1.1 server on loopback that counts, remembers and misbehaves on request.

Knows HTTP as a server and no vendor's format: a fake adds the answers (testing/fakes.py, testing/fake_*.py). It knows nothing
of jackfield's own client or adapters.
"""

import asyncio
import contextlib
import math
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qs

import msgspec

MAX_BODY_BYTES = 16 * 1024 * 1024
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError, msgspec.MsgspecError)


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the fake answers completions and embeddings (and, with `everywhere`, model lists too).

    `status` of 400 or more answers with an error body; `hang` waits for ever "before" the answer or "inside" it, after
    `pieces_before` events; `cut_after`, `error_after` and `garbage_after` cut the connection, send an in-band error, or send
    half an event, after so many events; `cut_inside` is how many bytes of the next one still come before the cut. A plain
    answer, which has no events, is then silent or cut in its middle, an error with status 200, or half a JSON object.
    `first_event_delay_s` is between the head and the first event (or the body), and `heartbeat_s` sends a comment that often
    whenever a stream waits. `is_empty` answers with no content; `finish_reason`
    takes the place of the true one; `split_bytes` writes a stream in pieces of that size.
    """

    everywhere: bool = False
    status: int = 200
    message: str = "the fake was told to fail"
    code: str | None = None
    retry_after: str | None = None
    body: bytes | None = None
    location: str | None = None
    hang: Literal["before", "inside"] | None = None
    pieces_before: int = 1
    delay_s: float = 0.0
    first_event_delay_s: float = 0.0
    heartbeat_s: float | None = None
    piece_delay_s: float = 0.0
    cut_after: int | None = None
    cut_inside: int = 0
    error_after: int | None = None
    garbage_after: int | None = None
    is_empty: bool = False
    finish_reason: str | None = None
    sends_done: bool = True
    ignores_stream: bool = False
    split_bytes: int | None = None
    closes: bool = False


class Recorded(msgspec.Struct, frozen=True):
    """A request as it came. Header names are lower-case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class FakeServer:
    """`async with` serves until the block is left. A fake of one vendor overrides `serve`, `error` and what the format asks.

    `require_key` refuses other keys with 401. `behaviour` counts for every request, `script` holds behaviours for the next
    ones, first first. `completions` counts the answers that would cost money. With `tls` set before it serves, it speaks https.
    """

    heartbeat: ClassVar[bytes] = b": still there\n\n"
    stream_type: ClassVar[str] = "text/event-stream"
    event_end: ClassVar[bytes] = b"\n\n"
    base_path: ClassVar[str] = "/v1"
    key_headers: ClassVar[tuple[str, ...]] = ("authorization", "x-api-key", "api-key", "x-goog-api-key")

    def __init__(self, *, require_key: str | None = None, behaviour: Behaviour | None = None) -> None:
        self.require_key = require_key
        self.behaviour = behaviour or Behaviour()
        self.script: deque[Behaviour] = deque()
        self.requests: list[Recorded] = []
        self.connections = 0
        self.completions = 0
        self.disconnects = 0
        self.arrived = asyncio.Event()
        self.disconnected = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.answer_headers: dict[str, str] = {}
        """Go out with every answer."""

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: "Wire") -> bool:
        """Answers a request that is not refused or misused; False if the connection is to be closed."""
        return await wire.json(404, self.error(404, f"Not found: {request.path}", None))

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        """The vendor's error body."""
        return {"error": {"message": message, "code": code, "status": status}}

    def stream_error(self, message: str, code: str | None) -> bytes:
        """The error as an event in a stream."""
        return b"data: " + msgspec.json.encode(self.error(500, message, code)) + self.event_end

    def is_look(self, request: Recorded) -> bool:
        """Requests that misbehave only with `everywhere`: those that ask for no answer."""
        return request.method == "GET"

    def raw_question(self, text: str) -> tuple[str, dict[str, Any]] | None:
        """A call in the vendor's own format: its path below the API's root, and its fields, without model and stream."""
        return None

    def raw_answer(self, body: bytes) -> str:
        """The text of a whole answer to it."""
        return body.decode()

    def ends_stream(self, data: bytes) -> bool:
        """Are these all the bytes of a whole stream?"""
        return data.endswith(self.event_end)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=MAX_BODY_BYTES, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Closes the listener and cuts every connection. The port stays known, so that it can be started again."""
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    @property
    def root_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root_url}{self.base_path}"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    @property
    def asked(self) -> int:
        """How many answers were asked for, however they went; looks are not counted."""
        return sum(request.method == "POST" for request in self.requests)

    def choose(self) -> Behaviour:
        """The behaviour for the next request. A fake with a mind of its own overrides this."""
        return self.script.popleft() if self.script else self.behaviour

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                if request.method == "POST":
                    self.arrived.set()
                if not await self._answer(request, Wire(reader, writer, self.heartbeat, self.answer_headers)):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self._lost()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, request: Recorded, wire: "Wire") -> bool:
        if self.require_key is not None and self.require_key not in (given := self._keys(request)):
            message = f"Incorrect API key provided: {', '.join(given)}"
            return await wire.json(401, self.error(401, message, "invalid_api_key"))
        is_spared = self.is_look(request) and not self.behaviour.everywhere
        behaviour = Behaviour() if is_spared else self.choose()
        if behaviour.delay_s and not await wire.waits(behaviour.delay_s):
            return self._has_left()
        if behaviour.hang == "before":
            return await self._wait_for_goodbye(wire)
        if behaviour.body is not None or behaviour.status >= 300:
            return await self._misbehave(behaviour, wire)
        try:
            return await self.serve(request, behaviour, wire)
        except UNREADABLE as error:  # of a wrong kind, as a real server would find by its schema
            if wire.has_begun:
                raise
            return await wire.json(400, self.error(400, f"the request cannot be read: {error!r:.200}", "invalid_request_error"))

    def _keys(self, request: Recorded) -> list[str]:
        given = [request.headers[name].removeprefix("Bearer ") for name in self.key_headers if name in request.headers]
        return [*given, *parse_qs(request.path.partition("?")[2]).get("key", [])]

    async def _misbehave(self, behaviour: Behaviour, wire: "Wire") -> bool:
        headers = {"retry-after": behaviour.retry_after, "location": behaviour.location}
        given = {name: value for name, value in headers.items() if value is not None}
        body = behaviour.body
        if body is None:
            body = msgspec.json.encode(self.error(behaviour.status, behaviour.message, behaviour.code))
        return await wire.send(behaviour.status, body, {"content-type": "application/json", **given}) and not behaviour.closes

    async def whole(self, answer: dict[str, Any], behaviour: Behaviour, wire: "Wire") -> bool:
        """A plain answer, with what of the behaviour applies to one."""
        if behaviour.error_after is not None:
            answer = self.error(500, behaviour.message, behaviour.code)
        body = msgspec.json.encode(answer)
        half = body[: len(body) // 2]
        if behaviour.garbage_after is not None:
            body = half
        if behaviour.first_event_delay_s and not await wire.waits(behaviour.first_event_delay_s):
            return self._has_left()
        if behaviour.hang == "inside" or behaviour.cut_after is not None:
            await wire.open(200, {"content-type": "application/json", "content-length": str(len(body))}, half)
            return behaviour.hang == "inside" and await self._wait_for_goodbye(wire)
        return await wire.send(200, body, {"content-type": "application/json"}) and not behaviour.closes

    async def stream(self, events: Sequence[bytes], behaviour: Behaviour, wire: "Wire") -> bool:
        """The events, whole with their ends, with what of the behaviour applies to a stream."""
        await wire.begin(200, {"content-type": self.stream_type})
        if behaviour.first_event_delay_s and not await wire.waits(behaviour.first_event_delay_s, behaviour.heartbeat_s):
            return self._has_left()
        for number, event in enumerate(events):
            if behaviour.hang == "inside" and number >= behaviour.pieces_before:
                return await self._wait_for_goodbye(wire, behaviour.heartbeat_s)
            if behaviour.error_after is not None and number >= behaviour.error_after:
                await wire.piece(self.stream_error(behaviour.message, behaviour.code))
                return await wire.end()
            if behaviour.cut_after is not None and number >= behaviour.cut_after:
                if behaviour.cut_inside:
                    await wire.piece(event[: behaviour.cut_inside])
                return False
            if number == behaviour.garbage_after:
                event = event[: len(event) // 2] + self.event_end
            if not await self._write(event, behaviour, wire):
                return self._has_left()
        return await wire.end() and not behaviour.closes

    async def _write(self, event: bytes, behaviour: Behaviour, wire: "Wire") -> bool:
        """False if the client left while the next event was not due yet."""
        size = behaviour.split_bytes or len(event)
        for at in range(0, len(event), size):
            await wire.piece(event[at : at + size])
        return not behaviour.piece_delay_s or await wire.waits(behaviour.piece_delay_s, behaviour.heartbeat_s)

    async def _wait_for_goodbye(self, wire: "Wire", heartbeat_s: float | None = None) -> bool:
        """Until the client leaves (or the fake is stopped)."""
        await wire.waits(None, heartbeat_s)
        return self._has_left()

    def _has_left(self) -> bool:
        self._lost()
        return False

    def _lost(self) -> None:
        self.disconnects += 1
        self.disconnected.set()


class Wire:
    """The answering half of one connection. `heartbeat` is what a waiting stream sends."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heartbeat: bytes, headers: Mapping[str, str]
    ) -> None:
        self._headers = headers
        self._reader = reader
        self._writer = writer
        self._heartbeat = heartbeat
        self.has_begun = False

    async def json(self, status: int, value: Any) -> bool:
        return await self.send(status, msgspec.json.encode(value), {"content-type": "application/json"})

    async def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> bool:
        self.has_begun = True
        self._writer.write(_head(status, {**self._headers, **headers, "content-length": str(len(body))}) + body)
        await self._writer.drain()
        return True

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.has_begun = True
        self._writer.write(_head(status, {**self._headers, **headers, "transfer-encoding": "chunked"}))
        await self._writer.drain()

    async def piece(self, data: bytes) -> None:
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def end(self) -> bool:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def open(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A head and as much of its body as there is."""
        self.has_begun = True
        self._writer.write(_head(status, headers) + body)
        await self._writer.drain()

    async def waits(self, seconds: float | None, heartbeat_s: float | None = None) -> bool:
        """False if the client left meanwhile; None waits until it does. With `heartbeat_s` it gets a heartbeat that often."""
        loop = asyncio.get_running_loop()
        ends_at = math.inf if seconds is None else loop.time() + seconds
        while loop.time() < ends_at:
            until = ends_at if heartbeat_s is None else min(ends_at, loop.time() + heartbeat_s)
            try:
                async with asyncio.timeout_at(None if until == math.inf else until):
                    while await self._reader.read(65536):
                        pass
                    return False
            except TimeoutError:
                if until < ends_at:
                    await self.piece(self._heartbeat)
            except ConnectionError:
                return False
        return True


async def _read_request(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, body)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Fake", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
