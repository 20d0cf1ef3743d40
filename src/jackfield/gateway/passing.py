"""A client that hands all on to another one: for who changes or watches a part of an answer. Knows no dialect."""

from jackfield.core.errors import TimedOut
from jackfield.gateway.client import Client, Headers


class PassingClient:
    """Subclasses say what they do otherwise."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    method = property(lambda self: self._client.method)
    path = property(lambda self: self._client.path)
    query = property(lambda self: self._client.query)
    headers = property(lambda self: self._client.headers)
    key_name = property(lambda self: self._client.key_name, lambda self, name: setattr(self._client, "key_name", name))
    has_started = property(lambda self: self._client.has_started)
    has_ended = property(lambda self: self._client.has_ended)
    is_gone = property(lambda self: self._client.is_gone)
    is_late = property(lambda self: self._client.is_late)
    last_chunk = property(lambda self: self._client.last_chunk)

    async def body(self) -> bytes:
        return await self._client.body()

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        await self._client.reply(status, headers, body)

    async def start(self, status: int, headers: Headers) -> None:
        await self._client.start(status, headers)

    async def write(self, chunk: bytes) -> None:
        await self._client.write(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        await self._client.end(chunk)

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        self._client.nudge(head, chunk)

    def why_cancelled(self) -> TimedOut | None:
        return self._client.why_cancelled()

    def close(self) -> None:
        self._client.close()


_satisfies: type[Client] = PassingClient
