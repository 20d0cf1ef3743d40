"""Every call of every door in one table: how it is asked rightly, and how its door tells an error. For tests that hold for all.

The calls of the dialects are those of the OpenAPI document, with its examples as bodies; what is not in it stands here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types
import ollama
from anthropic.types import ErrorResponse
from google.genai import errors as google
from openai.types.shared import ErrorObject

from jackfield.app.openapi.document import METHODS, PARTS, read

JSON = "application/json"
BOUNDARY = "a-boundary-of-ours"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
MODEL = "slot-0"
"""The model of the examples."""
PULLED = "llama3.2:latest"
SERVED_BY = {
    "/v1/rerank": "slot-1",
    "/api/pull": PULLED,
    "/api/delete": PULLED,
    "/models/load": "slot-2",
    "/models/unload": "slot-2",
}
"""Who can do what slot 0 of the house that is tested cannot."""


@dataclass(frozen=True)
class Call:
    """`body` is plain data, a form's too; None where the call takes none. `headers` are those that it needs."""

    door: str
    method: str
    path: str
    body: Any = None
    is_form: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, model: str) -> "Call":
        """The same for another model."""
        return Call(self.door, self.method, _named(self.path, model), _named(self.body, model), self.is_form, self.headers)

    @property
    def content_type(self) -> str:
        return FORM if self.is_form else JSON

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return form(self.body) if self.is_form else json.dumps(self.body).encode()


def form(fields: Mapping[str, Any]) -> bytes:
    """Fields as multipart/form-data; those that are files in OpenAI's calls become files."""
    parts = []
    for name, value in fields.items():
        file = f'; filename="{name}.bin"' if name in ("image", "file") else ""
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'
        said = value if isinstance(value, str) else json.dumps(value)
        parts.append(head.encode() + said.encode("utf-8", "surrogatepass") + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def dialect_calls() -> list[Call]:
    return [call for part in PARTS for call in _calls_of(part, read(part))]


def _calls_of(door: str, part: Mapping[str, Any]) -> list[Call]:
    calls = []
    bodies = part.get("components", {}).get("requestBodies", {})
    for template, item in part["paths"].items():
        path = template.replace("{model}", MODEL)
        for thing in ("response", "file", "batch"):
            path = path.replace(f"{{{thing}_id}}", f"{thing}_1")
        for method, operation in item.items():
            if method in METHODS:
                body = operation.get("requestBody", {})
                body = bodies[body["$ref"].rpartition("/")[2]] if "$ref" in body else body
                content: dict[str, dict[str, Any]] = body.get("content", {JSON: {}})
                kind, media = next(iter(content.items()))
                call = Call(door, method.upper(), path, media.get("example"), kind != JSON)
                calls.append(call.at(SERVED_BY.get(template, MODEL)))
    return calls


def _named(value: Any, model: str) -> Any:
    match value:
        case str():
            return value.replace(MODEL, model)
        case list():
            return [_named(item, model) for item in value]
        case dict():
            return {name: _named(item, model) for name, item in value.items()}
    return value


_SLOT = "/control/v1/slots"
CONTROL = [
    Call("control", "GET", _SLOT),
    Call("control", "GET", f"{_SLOT}/0"),
    Call("control", "POST", f"{_SLOT}/9/plug", {"provider": "scripted", "config": {}}),
    Call("control", "POST", f"{_SLOT}/9/rename", {"name": "nine"}),
    Call("control", "POST", f"{_SLOT}/9/mutate", {"rate": 0.5, "scale": 0.1, "seed": 1}),
    Call("control", "POST", f"{_SLOT}/9/clone", {"count": 1}),
    Call("control", "POST", f"{_SLOT}/9/invoke", {"text": "ping", "max_tokens": 5}),
    Call("control", "POST", f"{_SLOT}/swap", {"a": 8, "b": 9}),
    Call("control", "POST", f"{_SLOT}/8/unplug"),
    Call("control", "POST", f"{_SLOT}/undo"),
    Call("control", "GET", "/control/v1/explain?model=slot-0"),
    *(
        Call("control", "GET", f"/control/v1/{path}")
        for path in ("providers", "models", "backends", "consents", "ledger?limit=1", "settings", "schema/openapi.json")
    ),
]
_ACCEPT = {"accept": "application/json, text/event-stream"}
_HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
MCP = [
    Call("mcp", "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _HELLO}, headers=_ACCEPT),
]
CALLS = [*dialect_calls(), *CONTROL, *MCP]
DOORS = tuple(dict.fromkeys(call.door for call in CALLS))


def of_door(door: str) -> list[Call]:
    return [call for call in CALLS if call.door == door]


def openai_error(_: int, body: bytes) -> str:
    told = json.loads(body)
    assert set(told) == {"error"}
    return ErrorObject.model_validate(told["error"], strict=True).message


def anthropic_error(status: int, body: bytes) -> str:
    told = json.loads(body)
    if status == 413:
        assert told["error"]["type"] == "request_too_large"  # documented, though the SDK has no class for it
        told["error"]["type"] = "invalid_request_error"
    return ErrorResponse.model_validate(told, strict=True).error.message


def gemini_error(status: int, body: bytes) -> str:
    told = json.loads(body)
    assert told["error"]["code"] == status
    error = google.APIError(status, told)
    assert error.status is not None
    assert error.status.isupper()
    assert all(detail["@type"].startswith("type.googleapis.com/google.rpc.") for detail in told["error"]["details"])
    assert error.message is not None
    return error.message


def ollama_error(status: int, body: bytes) -> str:
    told = json.loads(body)
    assert isinstance(told["error"], str)
    return str(ollama.ResponseError(body.decode(), status).error)


def mcp_error(_: int, body: bytes) -> str:
    return mcp_types.JSONRPCError.model_validate_json(body).error.message


ErrorOf = Callable[[int, bytes], str]
ERRORS: dict[str, ErrorOf] = {
    "openai": openai_error,
    "anthropic": anthropic_error,
    "gemini": gemini_error,
    "ollama": ollama_error,
    "gateway": openai_error,
    "control": openai_error,
    "mcp": mcp_error,
}
"""For each door: what reads its errors, as the vendor's own SDK does, and gives the message."""
