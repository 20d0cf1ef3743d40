"""What clients of the older transport post, looked at before the SDK is given it: what is no message goes no further.

The SDK would show such a body in its log. Knows JSON-RPC's envelope, no method.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.requests import Request

from jackfield.core.errors import BadRequest
from jackfield.gateway.client import Receive, Scope, Send

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Messages:
    """In front of `app`. `serve` raises BadRequest; it answers 413 itself."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self.serve = RequestBodyLimitMiddleware(self._checked, max_body_bytes)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        try:
            jsonrpc_message_adapter.validate_json(body, by_name=False)
        except ValidationError:
            raise BadRequest("the body is no JSON-RPC message: send one object with jsonrpc, and method or result") from None
        left = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> MutableMapping[str, Any]:
            return left.pop() if left else await receive()

        await self._app(scope, again, send)
