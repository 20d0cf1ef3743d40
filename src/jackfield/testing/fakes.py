"""A fake OpenAI-compatible upstream on loopback: a real HTTP/1.1 server with fixed answers and any misbehaviour asked of it.

Knows HTTP as a server and nothing of jackfield's own client or adapters. It counts connections, requests, completions and
clients that left, and keeps every request it got. What it says is in testing/answers.py.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from jackfield.testing.answers import Answer, answer_for, chunk_bodies, model_list, vectors, whole_body

MAX_BODY_BYTES = 16 * 1024 * 1024
REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the fake answers completions and embeddings (and, with `everywhere`, model lists too).

    `status` of 400 or more answers with an error body; `hang` waits for ever "before" the answer or "inside" it, after
    `pieces_before` events; `cut_after`, `error_after` and `garbage_after` cut the connection, send an in-band error, or send
    half an event, after so many events. A plain answer, which has no events, is then silent or cut in its middle, an error
    with status 200, or half a JSON object. `first_event_delay_s` is between the head and the first event (or the body), and
    `heartbeat_s` sends a comment that often whenever a stream waits. `is_empty` answers with no content; `finish_reason`
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


class FakeOpenAI:
    """`async with FakeOpenAI() as fake:` serves until the block is left. Any path that ends in a known call is served.

    `require_key` refuses other keys with 401; `strict_reasoning` refuses what OpenAI's reasoning models refuse; `prefill` is
    what it makes of a last message by the assistant: goes on after it, refuses it, or answers as if it were a question.
    `behaviour` counts for every request, `script` holds behaviours for the next ones, first first.
    """

    def __init__(
        self,
        models: Sequence[str | Mapping[str, Any]] = ("fake-model",),
        *,
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        dimensions: int = 8,
        strict_reasoning: bool = False,
        prefill: Literal["goes on", "refuses", "ignores"] = "ignores",
    ) -> None:
        self.models = list(models)
        self.require_key = require_key
        self.behaviour = behaviour or Behaviour()
        self.script: deque[Behaviour] = deque()
        self.dimensions = dimensions
        self.strict_reasoning = strict_reasoning
        self.prefill = prefill
        self.requests: list[Recorded] = []
        self.connections = 0
        self.completions = 0
        self.disconnects = 0
        self.arrived = asyncio.Event()
        self.disconnected = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=MAX_BODY_BYTES)
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
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root_url}/v1"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    @property
    def asked(self) -> int:
        """How many answers were asked for, however they went; looks at the model list are not counted."""
        return sum(request.method == "POST" for request in self.requests)

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
                if not await self._answer(request, _Wire(reader, writer)):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self._lost()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _lost(self) -> None:
        self.disconnects += 1
        self.disconnected.set()

    async def _answer(self, request: Recorded, wire: "_Wire") -> bool:
        """Answers one request; False if the connection is to be closed."""
        path = request.path.partition("?")[0]
        if self.require_key is not None and not self._knows(request):
            return await wire.json(401, _error("Incorrect API key provided: " + _key_of(request), "invalid_api_key"))
        is_list = request.method == "GET" and path.endswith("/models")
        behaviour = self._next_behaviour(is_list)
        if behaviour.delay_s and not await wire.waits(behaviour.delay_s):
            return self._has_left()
        if behaviour.hang == "before":
            return await self._wait_for_goodbye(wire)
        if behaviour.body is not None or behaviour.status >= 300:
            return await self._misbehave(behaviour, wire)
        if is_list:
            return await wire.json(200, model_list(self.models))
        if request.method != "POST":
            return await wire.json(405, _error("Method not allowed", None))
        if path.endswith("/chat/completions"):
            return await self._complete(request, behaviour, wire)
        if path.endswith("/embeddings"):
            given = request.json
            inputs = given["input"] if isinstance(given["input"], list) else [given["input"]]
            return await wire.json(200, vectors(inputs, given["model"], given.get("dimensions") or self.dimensions))
        return await wire.json(404, _error(f"Not found: {path}", None))

    def _next_behaviour(self, is_list: bool) -> Behaviour:
        if is_list and not self.behaviour.everywhere:
            return Behaviour()
        return self.choose()

    def choose(self) -> Behaviour:
        """The behaviour for the next request. A fake with a mind of its own overrides this."""
        return self.script.popleft() if self.script else self.behaviour

    def _knows(self, request: Recorded) -> bool:
        return self.require_key in (_key_of(request), request.headers.get("x-api-key"), request.headers.get("api-key"))

    async def _misbehave(self, behaviour: Behaviour, wire: "_Wire") -> bool:
        headers = {"retry-after": behaviour.retry_after, "location": behaviour.location}
        told = {name: value for name, value in headers.items() if value is not None}
        body = behaviour.body
        if body is None:
            body = msgspec.json.encode(_error(behaviour.message, behaviour.code))
        return await wire.send(behaviour.status, body, {"content-type": "application/json", **told}) and not behaviour.closes

    async def _complete(self, request: Recorded, behaviour: Behaviour, wire: "_Wire") -> bool:
        self.completions += 1
        body = request.json
        refusal = self._refusal(body)
        if refusal is not None:
            return await wire.json(*refusal)
        answer = self._altered(self._continued(body), behaviour)
        if not body.get("stream") or behaviour.ignores_stream:
            return await self._whole(whole_body(answer, body["model"], self.completions), behaviour, wire)
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = chunk_bodies(answer, body["model"], self.completions, include_usage=include_usage)
        return await self._stream(chunks, behaviour, wire)

    def _continued(self, body: Mapping[str, Any]) -> Answer:
        """The answer, or what is left of it after the beginning that the request holds."""
        last = body["messages"][-1] if body.get("messages") else {}
        if self.prefill != "goes on" or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
            return answer_for(body)
        whole = answer_for({**body, "messages": body["messages"][:-1]})
        return msgspec.structs.replace(whole, text=whole.text.removeprefix(last["content"]))

    def _altered(self, answer: Answer, behaviour: Behaviour) -> Answer:
        if behaviour.is_empty:
            answer = Answer(prompt_tokens=answer.prompt_tokens)
        if behaviour.finish_reason is not None:
            answer = msgspec.structs.replace(answer, finish_reason=behaviour.finish_reason)
        return answer

    async def _whole(self, answer: dict[str, Any], behaviour: Behaviour, wire: "_Wire") -> bool:
        if behaviour.error_after is not None:
            answer = _error(behaviour.message, behaviour.code)
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

    def _refusal(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        names = [model if isinstance(model, str) else model["id"] for model in self.models]
        if body.get("model") not in names:
            return 404, _error(f"The model `{body.get('model')}` does not exist", "model_not_found")
        if self.strict_reasoning and str(body["model"]).startswith(REASONING_MODELS):
            for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens"):
                if name in body:
                    return 400, _error(f"Unsupported parameter: '{name}'", "unsupported_parameter")
        last = body["messages"][-1] if body.get("messages") else {}
        if self.prefill == "refuses" and last.get("role") == "assistant":
            return 400, _error("This model does not take a last message by the assistant", "invalid_request_error")
        return None

    async def _stream(self, chunks: list[dict[str, Any]], behaviour: Behaviour, wire: "_Wire") -> bool:
        events = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
        if behaviour.sends_done:
            events.append(b"data: [DONE]\n\n")
        await wire.begin(200, {"content-type": "text/event-stream"})
        if behaviour.first_event_delay_s and not await wire.waits(behaviour.first_event_delay_s, behaviour.heartbeat_s):
            return self._has_left()
        for number, event in enumerate(events):
            if behaviour.hang == "inside" and number >= behaviour.pieces_before:
                return await self._wait_for_goodbye(wire, behaviour.heartbeat_s)
            if behaviour.error_after is not None and number >= behaviour.error_after:
                await wire.piece(b"data: " + msgspec.json.encode(_error(behaviour.message, behaviour.code)) + b"\n\n")
                return await wire.end()
            if behaviour.cut_after is not None and number >= behaviour.cut_after:
                return False
            if number == behaviour.garbage_after:
                event = event[: len(event) // 2] + b"\n\n"
            if not await self._write(event, behaviour, wire):
                return self._has_left()
        return await wire.end() and not behaviour.closes

    async def _write(self, event: bytes, behaviour: Behaviour, wire: "_Wire") -> bool:
        """False if the client left while the next event was not due yet."""
        size = behaviour.split_bytes or len(event)
        for at in range(0, len(event), size):
            await wire.piece(event[at : at + size])
        return not behaviour.piece_delay_s or await wire.waits(behaviour.piece_delay_s, behaviour.heartbeat_s)

    async def _wait_for_goodbye(self, wire: "_Wire", heartbeat_s: float | None = None) -> bool:
        """Until the client leaves (or the fake is stopped)."""
        await wire.waits(None, heartbeat_s)
        return self._has_left()

    def _has_left(self) -> bool:
        self._lost()
        return False


class _Wire:
    """The answering half of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def json(self, status: int, value: Any) -> bool:
        return await self.send(status, msgspec.json.encode(value), {"content-type": "application/json"})

    async def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> bool:
        self._writer.write(_head(status, {**headers, "content-length": str(len(body))}) + body)
        await self._writer.drain()
        return True

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._writer.write(_head(status, {**headers, "transfer-encoding": "chunked"}))
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
        self._writer.write(_head(status, headers) + body)
        await self._writer.drain()

    async def waits(self, seconds: float | None, heartbeat_s: float | None = None) -> bool:
        """False if the client left meanwhile; None waits until it does. With `heartbeat_s` it gets a comment that often."""
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
                    await self.piece(b": still there\n\n")
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


def _key_of(request: Recorded) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def _error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "fake_error", "param": None, "code": code}}
