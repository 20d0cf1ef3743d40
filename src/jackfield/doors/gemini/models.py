"""GET .../models and .../models/{m}: the catalogue in Google's shape, in pages.

Lists the same names as the OpenAI door. Answers within the catalogue's deadline, whatever a source does.
"""

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects.gemini_names import MODEL_PREFIX
from jackfield.gateway.client import Client
from jackfield.gateway.listing import listed
from jackfield.slots.catalogue import Catalogue, CatalogueEntry

JSON = (b"content-type", b"application/json")
PAGE_SIZE, PAGE_SIZE_MAX = 50, 1000
ANSWERS = ("generateContent", "streamGenerateContent", "countTokens")
EMBEDS = ("embedContent", "batchEmbedContents")


class Models:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def list(self, client: Client) -> None:
        size, start = _asked(client.query)
        entries = await self._catalogue.models()
        body: dict[str, Any] = {"models": [_model(entry) for entry in entries[start : start + size]]}
        if start + size < len(entries):
            body["nextPageToken"] = str(start + size)
        await client.reply(200, [JSON], msgspec.json.encode(body))

    async def one(self, client: Client, model: str) -> None:
        found = listed(await self._catalogue.models(), model, "/v1beta/models")
        await client.reply(200, [JSON], msgspec.json.encode(_model(found)))


def _asked(query: bytes) -> tuple[int, int]:
    """How many models, from which on: a page's token is the place where it begins. Raises BadRequest."""
    given = dict(parse_qsl(query.decode("latin-1")))
    size = _number(given, "pageSize", 0, 1_000_000) or PAGE_SIZE
    return min(size, PAGE_SIZE_MAX), _number(given, "pageToken", 0, 1_000_000)


def _number(given: dict[str, str], name: str, least: int, most: int) -> int:
    text = given.get(name, "0")
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
        raise BadRequest(f"{name} must be a number of {least} to {most}, got {text[:20]!r}", param=name)
    return int(text)


def _model(entry: CatalogueEntry) -> dict[str, Any]:
    profile = entry.profile
    embeds = profile is not None and profile.embeddings is True
    told = {
        "name": MODEL_PREFIX + entry.id,
        "version": "1",
        "displayName": (profile.name if profile else None) or entry.model or entry.id,
        "description": profile.description if profile else None,
        "inputTokenLimit": profile.context_length if profile else None,
        "outputTokenLimit": profile.max_output_tokens if profile else None,
        "supportedGenerationMethods": EMBEDS if embeds else ANSWERS,
    }
    return {name: value for name, value in told.items() if value is not None}
