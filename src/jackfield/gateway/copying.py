"""A client whose answer is copied on its way, for who keeps answers. Knows bytes and calls, no dialect."""

from collections.abc import Callable

from jackfield.gateway.call import Call
from jackfield.gateway.client import Client, Headers
from jackfield.gateway.passing import PassingClient

OK = "ok"


class CopyingClient(PassingClient):
    """Hands all on to `client`; once an answer is whole and good, and before its last bytes leave, `keep` gets a copy.

    Answers longer than `room_bytes` are not copied.
    """

    __slots__ = ("_call", "_keep", "_pieces", "_room_bytes")

    def __init__(self, client: Client, call: Call, keep: Callable[[bytes], object], room_bytes: int) -> None:
        super().__init__(client)
        self._call = call
        self._keep = keep
        self._pieces: list[bytes] = []
        self._room_bytes = room_bytes

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        self._copy(body)
        self._finish()
        await self._client.reply(status, headers, body)

    async def write(self, chunk: bytes) -> None:
        self._copy(chunk)
        await self._client.write(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        self._copy(chunk)
        self._finish()
        await self._client.end(chunk)

    def _copy(self, chunk: bytes) -> None:
        self._room_bytes -= len(chunk)
        if self._room_bytes >= 0:
            self._pieces.append(bytes(chunk))
        else:
            self._pieces.clear()

    def _finish(self) -> None:
        if self._call.outcome == OK and self._room_bytes >= 0:
            self._keep(b"".join(self._pieces))
