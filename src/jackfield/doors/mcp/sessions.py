"""The sessions of the older revision: a client that left without a word holds one, so a new one may take its place.

Knows which sessions there are, which are being served and which has been silent longest. The newest revision has none.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from jackfield.doors.mcp.messages import ASGIApp
from jackfield.gateway.client import Receive, Scope, Send, joined

SESSION = b"mcp-session-id"
VERSION = b"mcp-protocol-version"


@dataclass(slots=True)
class _Session:
    user: Any
    in_flight: int = 0


class Sessions:
    """In front of `app`, which ends a session that is deleted: never more than `most`, while one of them is silent."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._opening = 0
        self._open: dict[bytes, _Session] = {}  # the longest silent first

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = joined(scope["headers"])
        name = headers.get(SESSION)
        if name is not None:
            await self._serve_open(name, scope, receive, send)
        elif scope["method"] == "POST" and _opens(headers):
            await self._begin(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_open(self, name: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        session = self._open.get(name)
        if session is None:
            await self._app(scope, receive, send)
            return
        session.in_flight += 1
        heard = _Heard(send)
        try:
            await self._app(scope, receive, heard)
        finally:
            session.in_flight -= 1
            is_known = self._open.pop(name, None) is not None
            if is_known and not (scope["method"] == "DELETE" and heard.status == 200):
                self._open[name] = session

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._opening += 1
        heard = _Heard(send)
        try:
            await self._make_room(scope)
            await self._app(scope, receive, heard)
        finally:
            self._opening -= 1
            if heard.session is not None and heard.status == 200:
                self._open[heard.session] = _Session(scope.get("user"))

    async def _make_room(self, scope: Scope) -> None:
        while len(self._open) + self._opening > self._most:
            silent = next((name for name, session in self._open.items() if not session.in_flight), None)
            if silent is None:
                return  # all are busy; the app refuses
            ended = {**scope, "method": "DELETE", "headers": [(SESSION, silent)], "user": self._open.pop(silent).user}
            await self._app(ended, _nothing, _unheard)


class _Heard:
    """`send`, remembering the status and the session that the answer names."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.session: bytes | None = None

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.session = dict(message["headers"]).get(SESSION)
        await self._send(message)


def _opens(headers: dict[bytes, bytes]) -> bool:
    version = headers.get(VERSION)
    return version is None or version.decode("latin-1") in HANDSHAKE_PROTOCOL_VERSIONS


async def _nothing() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _unheard(message: MutableMapping[str, Any]) -> None:
    pass
