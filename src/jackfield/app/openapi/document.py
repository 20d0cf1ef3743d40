"""Puts the doors' files together into one OpenAPI document, and serves it.

A file has `paths` and `components` as OpenAPI has them, and names in `error` the schema of its door's errors. With which
statuses a call is refused follows from what it takes, unless the call says more. Knows no door's code: tests hold the files
against the routes. The control door describes itself.
"""

import asyncio
from importlib.resources import files
from typing import Any

import msgspec
import yaml

import jackfield
from jackfield.gateway.client import Client
from jackfield.gateway.door import Methods

OPENAPI = "3.1.0"
PARTS = ("openai", "anthropic", "gemini", "ollama", "gateway")
METHODS = frozenset({"get", "post", "delete", "put", "patch"})
CONTROL = {"description": "The control door describes itself", "url": "/control/v1/schema/openapi.json"}
KEYS: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x_api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "x_goog_api_key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "key": {"type": "apiKey", "in": "query", "name": "key"},
}
WRONG = {
    400: "What was sent cannot be used as it is",
    401: "A key is missing, the gateway's or the source's",
    402: "The account at the source has no money left",
    403: "Not allowed: a wrong key, a foreign page, the operating mode, or a consent that nobody gave",
    404: "What was named is not here",
    409: "Something else forbids it now",
    413: "The body is too large",
    422: "The source cannot work with this",
    429: "Too many requests; `retry-after` says for how long",
    502: "The source cannot be reached, or answered badly",
    503: "It cannot be done now: too much to do, or something is missing",
    504: "The source did not answer in time",
}
"""Why a call with a body may be refused; one without a body asks no source, and has few of these."""
OF_ALL = (400, 401, 403)
OF_NAMED = (400, 401, 403, 404)
JSON = (b"content-type", b"application/json")

Object = dict[str, Any]


class OpenAPIDocument:
    """Made with the first request for it, in a thread: reading the files takes a while."""

    def __init__(self) -> None:
        self._encoded: bytes | None = None

    @property
    def routes(self) -> dict[str, Methods]:
        return {"/openapi.json": {"GET": self.serve}}

    async def serve(self, client: Client) -> None:
        if self._encoded is None:
            self._encoded = await asyncio.to_thread(lambda: msgspec.json.encode(document()))
        await client.reply(200, [JSON], self._encoded)


def document() -> Object:
    """The whole document, as plain data."""
    paths: Object = {}
    components: dict[str, Object] = {"securitySchemes": {**KEYS}}
    for name in PARTS:
        part = read(name)
        error = {"$ref": f"#/components/schemas/{part['error']}"}
        for path, item in part["paths"].items():
            paths[path] = {key: _completed(value, path, name) if key in METHODS else value for key, value in item.items()}
        components.setdefault("responses", {}).update(_refusals(name, error))
        for kind, named in part.get("components", {}).items():
            components.setdefault(kind, {}).update(named)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "jackfield",
            "version": jackfield.__version__,
            "description": "What clients ask, in the dialect that they speak. Errors have the shape of the door's dialect.",
        },
        "externalDocs": CONTROL,
        "tags": [{"name": name} for name in PARTS],
        "security": [{name: []} for name in KEYS],
        "paths": paths,
        "components": components,
    }


def read(name: str) -> Object:
    """One door's file."""
    part: Object = yaml.safe_load((files(__package__) / f"{name}.yaml").read_text(encoding="utf-8"))
    return part


def _completed(call: Object, path: str, part: str) -> Object:
    refused = {str(status): {"$ref": f"#/components/responses/{_named(part, status)}"} for status in _statuses(call, path)}
    return {**call, "tags": [part], "responses": {**refused, **call["responses"]}}


def _statuses(call: Object, path: str) -> list[int]:
    if "requestBody" in call:
        return sorted(WRONG)
    return sorted(OF_NAMED if "{" in path else OF_ALL)


def _refusals(part: str, error: Object) -> Object:
    return {
        _named(part, status): {"description": reason, "content": {"application/json": {"schema": error}}}
        for status, reason in WRONG.items()
    }


def _named(part: str, status: int) -> str:
    return f"{part}_{status}"
