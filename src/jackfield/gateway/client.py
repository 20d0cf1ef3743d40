"""The client of one request: its body, its bytes back, and whether it is still there. Knows nothing of dialects.

`Client` is the face that doors and steps see; `AsgiClient` stands behind it under any ASGI server (app/http_protocol.py has
a shorter way). Bare ASGI does not tell an application that its client left, so a request that has waited `WATCH_AFTER_S`
gets a watcher task, which cancels the handler. Requests that are answered sooner never pay for one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

from jackfield.core.errors import BodyTooLarge, TimedOut

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
"""Of every streamed answer: no cache keeps it, and no nginx in front holds it back."""

LENGTH_MAX_DIGITS = 19
WATCH_AFTER_S = 0.05
BODY_WITHIN_S = 60.0
NO_CONTENT = 204


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; the values of one that came more than once stand in one list, as RFC 9110 (5.3) has them.

    So a second Host, Origin or key never stands in for the first: the list is neither of them.
    """
    pairs = [*headers]
    named = dict(pairs)
    if len(named) == len(pairs):
        return named
    lists: dict[bytes, bytes] = {}
    for name, value in pairs:
        lists[name] = lists[name] + b", " + value if name in lists else value
    return lists


class Answers(Protocol):
    """Where an answer goes: whole, or in pieces."""

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer at once."""
        ...

    async def start(self, status: int, headers: Headers) -> None: ...

    async def write(self, chunk: bytes) -> None:
        """Sends on at once; waits while the client reads slower than we write."""
        ...

    async def end(self, chunk: bytes = b"") -> None: ...


class Client(Answers, Protocol):
    """One request and its answer. `method`, `path` (decoded), `query` (raw, without its mark) and `headers` (lower-case
    names) are settled when it begins, `key_name` when it is admitted.

    A handler that is cancelled because of the client finds `is_gone` (it left) or `is_late` (it dawdled) set.
    """

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    key_name: str
    has_started: bool
    has_ended: bool
    is_gone: bool
    is_late: bool
    last_chunk: bytes
    """The last piece of the answer that was written, b"" before there is one."""

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        """Sends `chunk` without waiting, after the head of a 200 if one is given; drops it where the client does not read."""
        ...

    async def body(self) -> bytes:
        """The whole request body. Raises BodyTooLarge; a body that trickles past `BODY_WITHIN_S` cancels the handler."""
        ...

    def why_cancelled(self) -> TimedOut | None:
        """After a CancelledError with `is_gone` or `is_late` set: the error to answer with, None if nobody is there.

        Takes the cancellation back from the task.
        """
        ...

    def close(self) -> None:
        """Frees what watches the client. Call it in a finally."""
        ...


def declares_over(headers: Mapping[bytes, bytes], max_body_bytes: int) -> bool:
    """Whether a request says itself that its body is over the limit."""
    declared = headers.get(b"content-length", b"")
    if len(declared) > LENGTH_MAX_DIGITS:
        declared = declared.lstrip(b"0")  # there may be more of them than `int` reads
    return len(declared) > LENGTH_MAX_DIGITS or (declared.isdigit() and int(declared) > max_body_bytes)


def too_large(max_body_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request body is over the limit of {max_body_bytes} bytes (server.max_body_bytes)")


def given_up() -> TimedOut:
    return TimedOut("the request was not received or answered in time and was given up", status=408, code="request_timeout")


class AsgiClient:
    """Reads and answers one request over ASGI. Use `close()` in a finally: it ends the watcher and the timer."""

    __slots__ = (
        "_body_is_read",
        "_body_is_slow",
        "_loop",
        "_max_body_bytes",
        "_nudging",
        "_receive",
        "_send",
        "_task",
        "_timer",
        "_watcher",
        "has_ended",
        "has_started",
        "headers",
        "is_gone",
        "is_late",
        "key_name",
        "last_chunk",
        "method",
        "path",
        "patience_s",
        "query",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int, patience_s: float = 600.0) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers = joined(scope["headers"])
        self.patience_s = patience_s
        self.key_name = ""
        self.last_chunk = b""
        self._nudging: asyncio.Task[None] | None = None
        self.has_started = False
        self.has_ended = False
        self.is_gone = False
        self.is_late = False
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._body_is_read = False
        self._body_is_slow = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(WATCH_AFTER_S, self._look)

    async def body(self) -> bytes:
        """The whole request body. Raises BodyTooLarge; a body that trickles past `BODY_WITHIN_S` ends in TimedOut."""
        if declares_over(self.headers, self._max_body_bytes):
            raise self._too_large()
        message = await self._receive_body()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._long_body(body)
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        self._body_is_read = True
        if self._body_is_slow and self._timer is not None:
            self._timer.cancel()  # it was waiting for the body; from here on it is for the watcher again
            self._timer = self._loop.call_later(WATCH_AFTER_S, self._look)
        return body

    async def _long_body(self, first: bytes) -> bytes:
        pieces, size = [first], len(first)
        more = True
        while more:
            message = await self._receive_body()
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._max_body_bytes:
                raise self._too_large()
            pieces.append(piece)
            more = message.get("more_body", False)
        return b"".join(pieces)

    async def _receive_body(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
            raise asyncio.CancelledError
        return message

    def _too_large(self) -> BodyTooLarge:
        return too_large(self._max_body_bytes)

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer at once."""
        if status != NO_CONTENT:  # which has no length (RFC 9110, 8.6)
            headers.append((b"content-length", b"%d" % len(body)))
        self.has_started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self.has_ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: Headers) -> None:
        self.has_started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """Sends on at once; waits while the client reads slower than we write."""
        self.last_chunk = chunk
        if self._nudging is not None:
            await self._nudged()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        """Sends without waiting; while an earlier one is still under way nothing more is sent."""
        if self.has_ended or self._nudging is not None:
            return
        self.has_started = True
        self.last_chunk = chunk
        self._nudging = self._loop.create_task(self._nudge(head, chunk))

    async def _nudge(self, head: Headers | None, chunk: bytes) -> None:
        if head is not None:
            await self._send({"type": "http.response.start", "status": 200, "headers": head})
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _nudged(self) -> None:
        if self._nudging is not None:
            await self._nudging
            self._nudging = None

    async def end(self, chunk: bytes = b"") -> None:
        await self._nudged()
        self.has_ended = True
        await self._send({"type": "http.response.body", "body": chunk, "more_body": False})

    def _look(self) -> None:
        """The one timer of a request: first it starts the watcher, or, while the body is still coming, grants it time."""
        self._timer = None
        if self._body_is_read:
            self._watcher = self._loop.create_task(self._watch())
        else:
            self._body_is_slow = True
            self._timer = self._loop.call_later(BODY_WITHIN_S, self._cancel, True)

    async def _watch(self) -> None:
        patience = self._loop.call_later(self.patience_s, self._cancel, True)
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:
            patience.cancel()
        if not self.has_ended:
            self._cancel(late=False)

    def _cancel(self, late: bool) -> None:
        self.is_late = late
        self.is_gone = not late
        if self._task is not None:
            self._task.cancel()

    def why_cancelled(self) -> TimedOut | None:
        """After a CancelledError that `_cancel` caused: the error to answer with, or None if nobody is there to read it.

        Takes the cancellation back from the task. Call it only if `is_gone` or `is_late`.
        """
        if self._task is not None:
            self._task.uncancel()
        return None if self.is_gone else given_up()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._watcher, self._nudging):
            if task is not None:
                task.cancel()
