"""Errors as JSON-RPC tells them: of the gate, before the SDK sees a request, and those that the SDK's app tells in bare text.

Knows nothing of the SDK.
"""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.dialects.openai_errors import error_object
from jackfield.gateway.client import Send

INVALID_REQUEST, INTERNAL_ERROR = -32600, -32603
TEXT_MAX_BYTES = 1000


def encode_error(error: JackfieldError) -> bytes:
    """A JSON-RPC error of no request in particular; what the other doors tell stands in its data."""
    data = error_object(error)
    return _encode(data.pop("message"), error.status, data)


class InProtocol:
    """`send` for an app whose errors may be bare text: those go on as JSON-RPC errors, everything else as it is."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: MutableMapping[str, Any] | None = None
        self._text = b""

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400 and not _is_json(message["headers"]):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._text += message.get("body", b"")[:TEXT_MAX_BYTES]
            if not message.get("more_body", False):
                await self._answer(self._start)

    async def _answer(self, start: MutableMapping[str, Any]) -> None:
        self._start = None
        status: int = start["status"]
        said = self._text[:TEXT_MAX_BYTES].decode("utf-8", "replace").strip() or HTTPStatus(status).phrase
        body = _encode(said, status, {})
        kept = [(name, value) for name, value in start["headers"] if name not in (b"content-type", b"content-length")]
        headers = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _encode(message: str, status: int, data: dict[str, Any]) -> bytes:
    code = INTERNAL_ERROR if status >= 500 else INVALID_REQUEST
    told = {"code": code, "message": message, "data": {**data, "status": status}}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": told})


def _is_json(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"content-type" and value.startswith((b"application/json", b"text/event-stream")) for name, value in headers
    )
