"""The MCP door as an ASGI app: streamable HTTP at /mcp, both protocol revisions, and the older SSE transport at /mcp/sse.

Knows the SDK's transports and how they are started and ended. Keys, hosts and origins are checked by whoever mounts the app;
the name of the key that was shown comes in the scope, and a session is good for that key only.
"""

import asyncio

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings

from jackfield.core.errors import Overloaded
from jackfield.doors.mcp.endless import Endless
from jackfield.doors.mcp.errors import InProtocol
from jackfield.doors.mcp.messages import ASGIApp, serve_whole
from jackfield.doors.mcp.panel import McpPanel
from jackfield.doors.mcp.server import create_server
from jackfield.doors.mcp.sessions import Sessions
from jackfield.gateway.client import Receive, Scope, Send

PATH = "/mcp"
SSE_PATH = f"{PATH}/sse"
MESSAGES_PATH = f"{PATH}/messages/"
SESSIONS_MAX = 256
KEY_NAME = "jackfield.key_name"
# Hosts and origins have been checked before, for every door alike.
_CHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def create_mcp_app(
    panel: McpPanel, stopping: asyncio.Event, *, max_body_bytes: int, sessions_max: int = SESSIONS_MAX
) -> "McpApp":
    """The app. `stopping` ends the streams that would never end by themselves; `aclose` everything else.

    `sessions_max` holds for the older revision over either transport; the newest has no sessions.
    """
    return McpApp(panel, stopping, max_body_bytes, sessions_max)


class McpApp:
    """Serves full paths. Its sessions begin with the first request, in a task of its own, and end with `aclose`."""

    def __init__(self, panel: McpPanel, stopping: asyncio.Event, max_body_bytes: int, sessions_max: int) -> None:
        self._server = create_server(panel)
        self._stopping = stopping
        self._sessions_max = sessions_max
        self._max_body_bytes = max_body_bytes
        self._older_open = 0
        streamable = self._server.streamable_http_app(
            streamable_http_path=PATH,
            max_sessions=sessions_max,
            max_request_body_size=max_body_bytes,
            transport_security=_CHECKED,
        )
        self._older = self._server.sse_app(
            sse_path=SSE_PATH,
            message_path=MESSAGES_PATH,
            max_request_body_size=max_body_bytes,
            transport_security=_CHECKED,
        )
        self._sessions = Sessions(streamable, sessions_max)
        self._ready: asyncio.Future[None] | None = None
        self._leave = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope, send = _with_user(scope), InProtocol(send)
        app = self._app_for(scope)
        if scope["method"] == "GET":
            await Endless(receive, send, self._stopping).serve(app, scope)
        else:
            # The newer transport tells itself what is wrong with a message.
            checked = app is self._older and scope["method"] == "POST"
            await serve_whole(app, scope, receive, send, most=self._max_body_bytes, checked=checked)

    async def aclose(self) -> None:
        """Ends every session. Idempotent."""
        self._leave.set()
        if self._holding is not None:
            await asyncio.gather(self._holding, return_exceptions=True)

    def _app_for(self, scope: Scope) -> ASGIApp:
        path = scope["path"]
        if path in (PATH, f"{PATH}/"):
            return self._serve_streamable
        if path == SSE_PATH and scope["method"] == "GET":
            return self._serve_older
        return self._older

    async def _serve_streamable(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._begun()
        await self._sessions.serve({**scope, "path": PATH, "raw_path": PATH.encode()}, receive, send)

    async def _serve_older(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A session that is as long as its stream."""
        if self._older_open >= self._sessions_max:
            raise Overloaded(f"{self._sessions_max} sessions are open: close one, or speak the newest revision at {PATH}")
        self._older_open += 1
        try:
            await self._older(scope, receive, send)
        finally:
            self._older_open -= 1

    async def _begun(self) -> None:
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


def _with_user(scope: Scope) -> Scope:
    """The key as the SDK's user, so that a session which one key opened is unknown to the others."""
    name = scope.get(KEY_NAME, "")
    if not name:
        return scope
    return {**scope, "user": AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))}
