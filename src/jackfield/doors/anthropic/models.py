"""GET /v1/models and /v1/models/{id} for clients that send `anthropic-version`: the catalogue in Anthropic's shape.

Lists the same names as the OpenAI door, in pages. Answers within the catalogue's deadline, whatever a source does.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.gateway.client import Client
from jackfield.gateway.listing import listed
from jackfield.slots.catalogue import Catalogue, CatalogueEntry

JSON = (b"content-type", b"application/json")
PAGE_SIZE, PAGE_SIZE_MAX = 20, 1000


class Page(msgspec.Struct, frozen=True):
    """What the query asks for: `limit` entries after or before the one of that id."""

    limit: int = PAGE_SIZE
    after_id: str = ""
    before_id: str = ""

    @classmethod
    def asked(cls, query: bytes) -> "Page":
        """Raises BadRequest for a limit that is none."""
        given = dict(parse_qsl(query.decode("latin-1")))
        limit = given.get("limit", str(PAGE_SIZE))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= PAGE_SIZE_MAX):
            raise BadRequest(f"limit must be 1 to {PAGE_SIZE_MAX}, got {limit[:20]!r}", param="limit")
        return cls(int(limit), given.get("after_id", ""), given.get("before_id", ""))

    def of(self, entries: Sequence[CatalogueEntry]) -> tuple[Sequence[CatalogueEntry], bool]:
        """The page, and whether there is more in its direction. Raises BadRequest for an id that is not listed."""
        ids = [entry.id for entry in entries]
        if self.before_id:
            end = _place(ids, self.before_id, "before_id")
            start = max(0, end - self.limit)
            return entries[start:end], start > 0
        start = _place(ids, self.after_id, "after_id") + 1 if self.after_id else 0
        return entries[start : start + self.limit], start + self.limit < len(entries)


class Models:
    def __init__(self, catalogue: Catalogue, started_at: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._started_at = started_at

    async def list(self, client: Client) -> None:
        page, has_more = Page.asked(client.query).of(await self._catalogue.models())
        body = {
            "data": [self._model(entry) for entry in page],
            "has_more": has_more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
        await client.reply(200, [JSON], msgspec.json.encode(body))

    async def one(self, client: Client, model: str) -> None:
        found = listed(await self._catalogue.models(), model, "/v1/models")
        await client.reply(200, [JSON], msgspec.json.encode(self._model(found)))

    def _model(self, entry: CatalogueEntry) -> dict[str, Any]:
        profile = entry.profile
        created_at = datetime.fromtimestamp(int(self._started_at()), UTC)
        return {
            "type": "model",
            "id": entry.id,
            "display_name": (profile.name if profile else None) or entry.model or entry.id,
            "created_at": created_at.isoformat().replace("+00:00", "Z"),
            "lifecycle": "active",
            "max_input_tokens": profile.context_length if profile else None,
            "max_tokens": profile.max_output_tokens if profile else None,
        }


def _place(ids: Sequence[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        raise BadRequest(f"{param} is not the id of a model that is listed: {wanted[:80]!r}", param=param)
    return ids.index(wanted)
