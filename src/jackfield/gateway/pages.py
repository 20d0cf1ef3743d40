"""Pages of other origins that may use this gateway from a browser (CORS): their question before, and the answer to it.

Only for origins that the owner named; a key is asked for all the same. Source: the Fetch standard, "CORS protocol".
"""

from collections.abc import Collection, MutableMapping
from typing import Any

from jackfield.gateway.client import Client, Headers, Send
from jackfield.gateway.passing import PassingClient

ORIGIN = b"origin"
WANTED_METHOD = b"access-control-request-method"
WANTED_HEADERS = b"access-control-request-headers"
WANTED_NETWORK = b"access-control-request-private-network"
MAY_READ = b"access-control-allow-origin"
REMEMBER_S = b"600"
VARIES = (b"vary", b"origin")
SHOWN = (
    b"access-control-expose-headers",
    b"retry-after, x-request-id, x-should-retry, x-jackfield-attempts, x-jackfield-cache, "
    b"x-jackfield-cost-msat, x-jackfield-counted-by, x-jackfield-explain, x-jackfield-overhead-us, x-jackfield-partial, "
    b"x-jackfield-provider, x-jackfield-slot, x-jackfield-warnings",
)


class Pages:
    """`origins` as browsers send them: scheme, host and port, such as http://localhost:5173."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin.lower().encode() for origin in origins)

    def may_read(self, client: Client) -> Headers:
        """The headers that let the client's page read an answer. To others only that it is another one for pages: no cache
        may give theirs to a page."""
        origin = client.headers.get(ORIGIN, b"")
        return [(MAY_READ, origin), VARIES, SHOWN] if origin.lower() in self._origins else [VARIES]

    def recognise(self, client: Client) -> Client:
        """The client, as one whose answers say which pages may read them."""
        return PageClient(client, self.may_read(client))


class PageClient(PassingClient):
    """A client whose answers say whether its page may read them."""

    __slots__ = ("_headers",)

    def __init__(self, client: Client, headers: Headers) -> None:
        super().__init__(client)
        self._headers = headers

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        await self._client.reply(status, [*headers, *self._headers], body)

    async def start(self, status: int, headers: Headers) -> None:
        await self._client.start(status, [*headers, *self._headers])

    async def answer_first(self) -> bool:
        """Answers what a browser asks before a request (preflight), which never shows a key; False for anything else."""
        came = self._client.headers
        method = came.get(WANTED_METHOD)
        if self._client.method != "OPTIONS" or method is None or SHOWN not in self._headers:
            return False
        headers = [(b"access-control-allow-methods", method), (b"access-control-max-age", REMEMBER_S)]
        if wanted := came.get(WANTED_HEADERS):
            headers.append((b"access-control-allow-headers", wanted))
        if WANTED_NETWORK in came:
            headers.append((b"access-control-allow-private-network", b"true"))
        await self.reply(204, headers, b"")
        return True

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        self._client.nudge(None if head is None else [*head, *self._headers], chunk)


def sending(send: Send, headers: Headers) -> Send:
    """`send` of an app of its own, its answer with `headers`."""

    async def send_with(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_with if headers else send
