"""A client whose answer is copied on its way, for who keeps answers. Knows bytes and calls, no dialect."""

from collections.abc import Callable

from jackfield.core.errors import TimedOut
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client, Headers

OK = "ok"


class CopyingClient:
    """Hands all on to `client`; once an answer is whole and good, and before its last bytes leave, `keep` gets a copy.

    Answers longer than `room_bytes` are not copied.
    """

    __slots__ = ("_call", "_client", "_keep", "_pieces", "_room_bytes")

    def __init__(self, client: Client, call: Call, keep: Callable[[bytes], object], room_bytes: int) -> None:
        self._client = client
        self._call = call
        self._keep = keep
        self._pieces: list[bytes] = []
        self._room_bytes = room_bytes

    method = property(lambda self: self._client.method)
    path = property(lambda self: self._client.path)
    query = property(lambda self: self._client.query)
    headers = property(lambda self: self._client.headers)
    key_name = property(lambda self: self._client.key_name)
    has_started = property(lambda self: self._client.has_started)
    has_ended = property(lambda self: self._client.has_ended)
    is_gone = property(lambda self: self._client.is_gone)
    is_late = property(lambda self: self._client.is_late)
    last_chunk = property(lambda self: self._client.last_chunk)

    async def body(self) -> bytes:
        return await self._client.body()

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        self._copy(body)
        self._finish()
        await self._client.reply(status, headers, body)

    async def start(self, status: int, headers: Headers) -> None:
        await self._client.start(status, headers)

    async def write(self, chunk: bytes) -> None:
        self._copy(chunk)
        await self._client.write(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        self._copy(chunk)
        self._finish()
        await self._client.end(chunk)

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        self._client.nudge(head, chunk)

    def why_cancelled(self) -> TimedOut | None:
        return self._client.why_cancelled()

    def close(self) -> None:
        self._client.close()

    def _copy(self, chunk: bytes) -> None:
        self._room_bytes -= len(chunk)
        if self._room_bytes >= 0:
            self._pieces.append(bytes(chunk))
        else:
            self._pieces.clear()

    def _finish(self) -> None:
        if self._call.outcome == OK and self._room_bytes >= 0:
            self._keep(b"".join(self._pieces))
