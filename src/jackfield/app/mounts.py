"""Doors that are ASGI apps of their own: heavy, seldom asked for, and so built when the first request for them comes.

Knows when they are built and closed, not what they serve. What a request showed as its key goes with it in the scope.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from jackfield.core.errors import JackfieldError
from jackfield.gateway.client import Receive, Scope, Send

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
KEY_NAME = "jackfield.key_name"
CONTROL = "/control"
MCP = "/mcp"
MOUNTED = (CONTROL, MCP)
"""How paths begin that may belong to a mounted app."""


class Mount:
    """The app that `build` makes, for `path` and everything under it.

    `encode_error` shapes what goes wrong before the app is asked; without it the general door does.
    """

    def __init__(
        self, path: str, build: Callable[[], ASGIApp], encode_error: Callable[[JackfieldError], bytes] | None = None
    ) -> None:
        self._path = path
        self.encode_error = encode_error
        self._under = f"{path}/"
        self._build = build
        self._app: asyncio.Future[Any] | None = None

    def takes(self, path: str) -> bool:
        return path == self._path or path.startswith(self._under)

    async def serve(self, scope: Scope, receive: Receive, send: Send, key_name: str) -> None:
        """Raises what building the app raises; the next request then tries anew."""
        await (await self._built())({**scope, KEY_NAME: key_name}, receive, send)

    async def aclose(self) -> None:
        """Closes the app if there is one and it can be closed. Idempotent."""
        app, self._app = self._app, None
        if app is not None and app.done() and not app.cancelled() and app.exception() is None:
            close = getattr(app.result(), "aclose", None)
            if close is not None:
                await close()

    async def _built(self) -> ASGIApp:
        """Built once, in a thread, because its imports take a while."""
        if self._app is None or (self._app.done() and self._app.exception() is not None):
            self._app = asyncio.ensure_future(asyncio.to_thread(self._build))
        app: ASGIApp = await asyncio.shield(self._app)
        return app
