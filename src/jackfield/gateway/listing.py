"""Lists in pages as OpenAI's API has them: `limit`, `order`, `after` and `before` in the query, the page in an object.

And the one model that a path names among those that are listed, for every door.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from jackfield.core.errors import BadRequest, ModelNotFound
from jackfield.slots.catalogue import CatalogueEntry

LIMIT_DEFAULT, LIMIT_MAX = 20, 100
PARAMETERS_MAX = 50


def parameters(query: bytes) -> dict[str, str]:
    """The query's parameters, the last of a name. Raises BadRequest for one with too many."""
    try:
        return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX))
    except ValueError:
        raise BadRequest(f"the query has more than {PARAMETERS_MAX} parameters") from None


def page(
    items: Sequence[Mapping[str, Any]],
    query: Mapping[str, str],
    *,
    limit_default: int = LIMIT_DEFAULT,
    limit_max: int = LIMIT_MAX,
) -> dict[str, Any]:
    """One page of `items`, which are in rising order and have ids; newest first unless the query says `order=asc`.

    Raises BadRequest for a wrong limit or order, or an id that is none of theirs.
    """
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise BadRequest(f"order must be asc or desc, got {order[:40]!r}", param="order")
    ordered = list(items) if order == "asc" else list(reversed(items))
    limit = _limit(query.get("limit"), limit_default, limit_max)
    start = _place(ordered, query["after"], "after") + 1 if query.get("after") else 0
    end = _place(ordered, query["before"], "before") if query.get("before") else len(ordered)
    found = ordered[start:end]
    data = found[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > len(data),
    }


def listed(entries: Sequence[CatalogueEntry], model: str, where: str) -> CatalogueEntry:
    """The entry of that name. Raises ModelNotFound, which says that `where` lists all."""
    found = next((entry for entry in entries if entry.id == model), None)
    if found is None:
        raise ModelNotFound(f"no slot lists the model {model!r}; GET {where} lists all", param="model")
    return found


def _limit(said: str | None, default: int, most: int) -> int:
    if not said:
        return default
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:9]) <= most or len(said) > 9:
        raise BadRequest(f"limit must be a whole number from 1 to {most}, got {said[:40]!r}", param="limit")
    return int(said)


def _place(items: Sequence[Mapping[str, Any]], id_: str, name: str) -> int:
    place = next((place for place, item in enumerate(items) if item["id"] == id_), None)
    if place is None:
        raise BadRequest(f"{name} must be the id of one of the list's items, got {id_[:80]!r}", param=name)
    return place
