"""Puts the doors' files together into one OpenAPI document, and serves it.

A file has `paths` and `components` as OpenAPI has them, and names in `error` the schema of its door's errors, which every call
gets. Knows no door's code: tests hold the files against the routes. The control door describes itself.
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
            paths[path] = {key: _completed(value, name, error) if key in METHODS else value for key, value in item.items()}
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


def _completed(call: Object, tag: str, error: Object) -> Object:
    wrong = {"description": "What went wrong", "content": {"application/json": {"schema": error}}}
    return {**call, "tags": [tag], "responses": {**call["responses"], "default": wrong}}
