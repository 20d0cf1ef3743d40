"""The WebSocket door as an ASGI application for one kind of scope: who may come in, and under which name.

Refuses before it accepts, with an HTTP status where the server can tell it. What is said afterwards is session.py's.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import count

import msgspec

from jackfield.core.errors import JackfieldError, NotFound, Overloaded, ServiceFailed
from jackfield.dialects.openai_errors import encode_error
from jackfield.doors.websocket.outbox import Outbox, OutboxLimits
from jackfield.doors.websocket.session import Services, Session, Who
from jackfield.gateway.client import Receive, Scope, Send, joined

_PATH = re.compile(r"/ws(?:/([^/\x00-\x1f\x7f]{1,128}))?/?")
REFUSED = 1008
REASON_MAX_BYTES = 123
"""What a close frame has room for."""
Admit = Callable[[dict[bytes, bytes], bytes], str]


class SocketLimits(msgspec.Struct, frozen=True):
    """`message_max_bytes` is held by the server; the door tells it. `running` requests a socket, `clients` sockets in all."""

    running: int = 16
    clients: int = 1024
    message_max_bytes: int = 16 * 1024 * 1024
    outbox: OutboxLimits = OutboxLimits()


class WebSocketDoor:
    """`admit` takes headers and raw query, and gives the name of the key or raises. While not `is_ready` nobody comes in."""

    def __init__(self, admit: Admit, services: Services, is_ready: Callable[[], bool], limits: SocketLimits) -> None:
        self._admit = admit
        self._services = services
        self._is_ready = is_ready
        self._limits = limits
        self._numbers = count(1)
        self.clients: Counter[str] = Counter()
        """How many connections each client id has; one id may have several."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from its handshake to its end."""
        query: bytes = scope.get("query_string", b"")
        scope["query_string"] = b""  # a key in it must not reach the server's own log
        try:
            await receive()
            try:
                who = self._welcome(scope, query)
            except JackfieldError as error:
                await _refuse(error, scope, send)
                return
            await send({"type": "websocket.accept"})
            await self._serve(who, receive, send)
        except OSError:
            return  # the client is gone, which the server tells in this way

    def _welcome(self, scope: Scope, query: bytes) -> Who:
        """Raises NotFound, AuthFailed, NotAllowed, ServiceFailed, Overloaded."""
        path = _PATH.fullmatch(scope["path"])
        if path is None:
            raise NotFound(f"no WebSocket is served at {scope['path'][:128]}: use /ws/CLIENT_ID", code="unknown_path")
        headers = joined(scope["headers"])
        key_name = self._admit(headers, _as_key(query))
        if not self._is_ready():
            raise ServiceFailed("the gateway is starting or stopping; try again in a moment", code="not_ready", retry_after_s=1)
        if self.clients.total() >= self._limits.clients:
            raise Overloaded(f"all {self._limits.clients} places for WebSocket clients are taken", retry_after_s=5)
        number = next(self._numbers)
        return Who(path[1] or f"client-{number:x}", f"connection-{number:x}", headers, key_name)

    async def _serve(self, who: Who, receive: Receive, send: Send) -> None:
        async def transmit(message: bytes) -> None:
            await send({"type": "websocket.send", "text": message.decode()})

        outbox = Outbox(transmit, self._limits.outbox)
        session = Session(who, self._services, outbox, running_max=self._limits.running, limits=self._told_limits())
        self.clients[who.client_id] += 1
        try:
            await session.run(receive)
        finally:
            self.clients[who.client_id] -= 1
            self.clients += Counter()  # forgets those that are down to none
        if outbox.verdict is not None:
            code, reason = outbox.verdict
            await send({"type": "websocket.close", "code": code, "reason": _short(reason)})

    def _told_limits(self) -> dict[str, int]:
        limits = self._limits
        return {"requests_at_once": limits.running, "message_max_bytes": limits.message_max_bytes}


async def _refuse(error: JackfieldError, scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": REFUSED, "reason": _short(error.message)})
        return
    headers = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode_error(error), "more_body": False})


def _as_key(query: bytes) -> bytes:
    """Browsers cannot set headers on a socket, and people write `?token=` for a key as often as `?key=`."""
    pairs = query.split(b"&")
    return b"&".join(b"key=" + pair[6:] if pair.startswith(b"token=") else pair for pair in pairs)


def _short(reason: str) -> str:
    return reason.encode()[:REASON_MAX_BYTES].decode(errors="ignore")
