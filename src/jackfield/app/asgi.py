"""The root: one bare ASGI callable in front of all doors, with no middleware.

Admits, finds the route, and is the outermost handler: whatever a door raises becomes that door's error body here. Knows no
dialect and no step; doors that are apps of their own are mounts.py's.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any

from jackfield.app.mounts import ASGIApp, Mount
from jackfield.core.errors import JackfieldError, TimedOut
from jackfield.core.redaction import redact
from jackfield.gateway.client import BODY_WITHIN_S, AsgiClient, Client, Headers, Receive, Scope, Send
from jackfield.gateway.door import Door, Handler, Methods
from jackfield.gateway.matching import Doors, WrongMethod
from jackfield.gateway.pages import PageClient, Pages, sending
from jackfield.gateway.steps.admit import Admission

logger = logging.getLogger("jackfield.gateway")
EncodeError = Callable[[JackfieldError], bytes]
OPEN_PATHS = frozenset({"/health", "/ready"})


class Root:
    """`extra_routes` are paths outside any dialect (/health, /status). `mounts` are doors that are apps of their own,
    `build_websocket` makes the one that every WebSocket goes to; without it none is served. `pages` says which pages of other
    origins may use all this; without it none may.
    """

    def __init__(
        self,
        admission: Admission,
        doors: Sequence[Door],
        extra_routes: Mapping[str, Methods],
        mounts: Sequence[Mount],
        *,
        max_body_bytes: int,
        patience_s: float,
        build_websocket: Callable[[], ASGIApp] | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._admission = admission
        self._doors = Doors(doors, extra_routes)
        self._mounts = tuple(mounts)
        self._build_websocket = build_websocket
        self._websocket: ASGIApp | None = None
        self._pages = pages
        self.max_body_bytes = max_body_bytes
        self.patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Any ASGI server's way in."""
        if scope["type"] != "http":
            await self._pass_to_websocket(scope, receive, send)
            return
        client = AsgiClient(scope, receive, send, self.max_body_bytes, self.patience_s)
        mount = next((mount for mount in self._mounts if mount.takes(client.path)), None)
        if mount is None:
            await self.serve(client)
            return

        async def pass_on(client: Client) -> None:
            client.close()
            headers = [] if self._pages is None else self._pages.may_read(client)
            await mount.serve(scope, in_time(receive), sending(send, headers), client.key_name)

        await self._guarded(client, mount.encode_error or self._doors.general.encode_error, pass_on)

    async def serve(self, client: Client) -> None:
        """Answers one request of a data route. Never raises but for a cancellation from outside."""
        door, handler = self._doors.find(client)
        await self._guarded(
            client, door.encode_error, partial(_raise, handler) if isinstance(handler, JackfieldError) else handler
        )

    async def _guarded(self, client: Client, encode_error: EncodeError, handler: Handler) -> None:
        if self._pages is not None:
            client = self._pages.recognise(client)
        try:
            if isinstance(client, PageClient) and await client.answer_first():
                return
            client.key_name = self._admission.admit(client.headers, client.query, is_open=client.path in OPEN_PATHS)
            await handler(client)
        except JackfieldError as error:
            await _fail(client, encode_error, error.without_trace())
        except asyncio.CancelledError:
            if not (client.is_gone or client.is_late):
                raise
            late = client.why_cancelled()
            if late is not None:
                await _fail(client, encode_error, late)
        except Exception as error:
            logger.error("%s %s failed: %s", client.method, client.path, redact(repr(error)), exc_info=True)
            await _fail(client, encode_error, JackfieldError("something went wrong inside the gateway; its log says more"))
        finally:
            client.close()

    async def _pass_to_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """That door checks credentials itself, before it accepts."""
        if scope["type"] != "websocket" or self._build_websocket is None:
            await _decline(scope, receive, send)
            return
        if self._websocket is None:
            self._websocket = self._build_websocket()
        await self._websocket(scope, receive, send)

    async def aclose(self) -> None:
        """Closes the mounted apps."""
        for mount in self._mounts:
            await mount.aclose()


async def _raise(error: JackfieldError, _: Client) -> None:
    raise error


async def _fail(client: Client, encode_error: EncodeError, error: JackfieldError) -> None:
    if client.has_started:
        return
    headers: Headers = [(b"content-type", b"application/json")]
    if error.request_id:
        headers.append((b"x-request-id", error.request_id.encode()))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", error.allowed.encode()))
    if error.status == 401 and error.provider is None:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status == 402:
        headers.append((b"x-should-retry", b"false"))
    await client.reply(error.status, headers, encode_error(error))


def in_time(receive: Receive, within_s: float = BODY_WITHIN_S) -> Receive:
    """`receive` for an app that sets no limits itself: raises TimedOut where the body takes longer than `within_s` seconds."""
    deadline = asyncio.get_running_loop().time() + within_s
    is_read = False

    async def receive_in_time() -> MutableMapping[str, Any]:
        nonlocal is_read
        if is_read:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise TimedOut(f"the body did not arrive within {within_s:g} s: send it again", status=408) from None
        is_read = not message.get("more_body", False)
        return message

    return receive_in_time


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket is served here"})
