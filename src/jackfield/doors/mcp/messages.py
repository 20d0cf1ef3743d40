"""What clients post, read before the SDK is given it: a client that left meanwhile, and what is no message, go no further.

The SDK would tell of both in its log, and show the body. Knows JSON-RPC's envelope, no method.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from jackfield.core.errors import BadRequest
from jackfield.gateway.client import Receive, Scope, Send, declares_over, joined, too_large

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


async def serve_whole(app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, most: int, checked: bool) -> None:
    """`app` on a request whose body, of at most `most` bytes, is all there; nothing where the client left before it was.

    With `checked` the body must be a message. Raises BodyTooLarge, BadRequest.
    """
    body = await _whole(scope, receive, most)
    if body is None:
        return
    if checked:
        _check(body)
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return left.pop() if left else await receive()

    await app(scope, again, send)


async def _whole(scope: Scope, receive: Receive, most: int) -> bytes | None:
    if declares_over(joined(scope["headers"]), most):
        raise too_large(most)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            raise too_large(most)
        if not message.get("more_body", False):
            return bytes(body)


def _check(body: bytes) -> None:
    try:
        jsonrpc_message_adapter.validate_json(body, by_name=False)
    except ValidationError:
        raise BadRequest("the body is no JSON-RPC message: send one object with jsonrpc, and method or result") from None
