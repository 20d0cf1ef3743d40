"""The MCP door as an ASGI app: streamable HTTP at /mcp, both protocol revisions, and the older SSE transport at /mcp/sse.

Knows the SDK's transports and how they are started and ended. Keys, hosts and origins are checked by whoever mounts the app;
the name of the key that was shown comes in the scope, and a session is good for that key only.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings

from jackfield.doors.mcp.panel import McpPanel
from jackfield.doors.mcp.server import create_server
from jackfield.gateway.client import Receive, Scope, Send

PATH = "/mcp"
SSE_PATH = f"{PATH}/sse"
MESSAGES_PATH = f"{PATH}/messages/"
SESSIONS_MAX = 256
KEY_NAME = "jackfield.key_name"
# Hosts and origins have been checked before, for every door alike.
_CHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def create_mcp_app(panel: McpPanel, stopping: asyncio.Event, *, max_body_bytes: int) -> "McpApp":
    """The app. `stopping` ends the streams that would never end by themselves; `aclose` everything else."""
    return McpApp(panel, stopping, max_body_bytes)


class McpApp:
    """Serves full paths. Its sessions begin with the first request, in a task of its own, and end with `aclose`."""

    def __init__(self, panel: McpPanel, stopping: asyncio.Event, max_body_bytes: int) -> None:
        self._server = create_server(panel)
        self._stopping = stopping
        self._streamable = self._server.streamable_http_app(
            streamable_http_path=PATH,
            max_sessions=SESSIONS_MAX,
            max_request_body_size=max_body_bytes,
            transport_security=_CHECKED,
        )
        self._older = self._server.sse_app(
            sse_path=SSE_PATH,
            message_path=MESSAGES_PATH,
            max_request_body_size=max_body_bytes,
            transport_security=_CHECKED,
        )
        self._ready: asyncio.Future[None] | None = None
        self._leave = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = _with_user(scope)
        if scope["method"] == "GET":
            receive = self._until_stopping(receive)
        if scope["path"].startswith(f"{PATH}/") and scope["path"] != f"{PATH}/":
            await self._older(scope, receive, send)
            return
        await self._sessions()
        await self._streamable({**scope, "path": PATH, "raw_path": PATH.encode()}, receive, send)

    async def aclose(self) -> None:
        """Ends every session. Idempotent."""
        self._leave.set()
        if self._holding is not None:
            await asyncio.gather(self._holding, return_exceptions=True)

    async def _sessions(self) -> None:
        """Returns once sessions can be held. Raises what kept them from it."""
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._holding = asyncio.create_task(self._hold(self._ready), name="MCP sessions")
        await asyncio.shield(self._ready)

    async def _hold(self, ready: "asyncio.Future[None]") -> None:
        try:
            async with self._server.session_manager.run():
                ready.set_result(None)
                await self._leave.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    def _until_stopping(self, receive: Receive) -> Receive:
        """A client's own stream is at its end when the gateway is: then it is told that the client left."""

        async def receive_or_stop() -> MutableMapping[str, Any]:
            asked = asyncio.ensure_future(receive())
            stopped = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({asked, stopped}, return_when=asyncio.FIRST_COMPLETED)
                return asked.result() if asked.done() else {"type": "http.disconnect"}
            finally:
                asked.cancel()
                stopped.cancel()
                await asyncio.gather(asked, stopped, return_exceptions=True)

        return receive_or_stop


def _with_user(scope: Scope) -> Scope:
    """The key as the SDK's user, so that a session which one key opened is unknown to the others."""
    name = scope.get(KEY_NAME, "")
    if not name:
        return scope
    return {**scope, "user": AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))}
