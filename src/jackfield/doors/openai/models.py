"""GET /v1/models and /v1/models/{id}: every slot under its number and name, and every model that the slots list.

Answers from the catalogue within its deadline; what could not be asked in time is marked, never left out silently.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from jackfield.gateway.client import Client, Headers
from jackfield.gateway.listing import listed
from jackfield.slots.catalogue import Catalogue, CatalogueEntry

JSON = (b"content-type", b"application/json")


class Models:
    def __init__(self, catalogue: Catalogue, started_at: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._started_at = started_at

    async def list(self, client: Client) -> None:
        entries = await self._catalogue.models()
        data = [self._model(entry) for entry in entries]
        await client.reply(200, _marks(entries), msgspec.json.encode({"object": "list", "data": data}))

    async def one(self, client: Client, model: str) -> None:
        found = listed(await self._catalogue.models(), model, "/v1/models")
        await client.reply(200, _marks((found,)), msgspec.json.encode(self._model(found)))

    def _model(self, entry: CatalogueEntry) -> dict[str, Any]:
        facts = {
            "slot": int(entry.slot),
            "provider": entry.provider,
            "model": entry.model,
            "stale": entry.stale,
            "error": entry.error,
        }
        profile = entry.profile
        if profile is not None and profile.context_length is not None:
            facts["context_length"] = profile.context_length
        return {
            "id": entry.id,
            "object": "model",
            "created": int(self._started_at()),
            "owned_by": entry.provider,
            "jackfield": {name: value for name, value in facts.items() if value is not None},
        }


def _marks(entries: tuple[CatalogueEntry, ...]) -> Headers:
    unsure = sorted({int(entry.slot) for entry in entries if entry.stale or entry.error})
    headers = [JSON]
    if unsure:
        headers.append((b"x-jackfield-partial", ",".join(f"slot-{number}" for number in unsure).encode()))
    return headers
