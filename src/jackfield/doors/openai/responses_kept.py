"""GET and DELETE /v1/responses/{id}, its input_items and cancel: what can be done with a response that was kept."""

from functools import partial

import msgspec

from jackfield.core.errors import BadRequest, NotFound, NotSupported
from jackfield.dialects import openai_responses_kept
from jackfield.gateway.client import Client, Headers
from jackfield.gateway.door import Methods
from jackfield.gateway.kept_responses import KeptResponse, KeptResponses
from jackfield.gateway.listing import page, parameters

JSON = (b"content-type", b"application/json")


class Kept:
    def __init__(self, kept: KeptResponses) -> None:
        self._kept = kept

    def find(self, rest: str) -> Methods | None:
        """The methods of what stands after `responses/` in a path."""
        id_, _, what = rest.partition("/")
        match what:
            case "":
                return {"GET": partial(self._whole, id_=id_), "DELETE": partial(self._delete, id_=id_)}
            case "input_items":
                return {"GET": partial(self._items, id_=id_)}
            case "cancel":
                return {"POST": partial(self._cancel, id_=id_)}
        return None

    async def _whole(self, client: Client, id_: str) -> None:
        kept = self._find(client, id_)
        if parameters(client.query).get("stream") == "true":
            raise NotSupported("a response that was kept is given whole: leave stream out", param="stream")
        await client.reply(200, _json(), kept.body)

    async def _delete(self, client: Client, id_: str) -> None:
        self._find(client, id_)
        self._kept.forget(client.key_name, id_)
        await client.reply(200, _json(), msgspec.json.encode({"id": id_, "object": "response", "deleted": True}))

    async def _items(self, client: Client, id_: str) -> None:
        listed = openai_responses_kept.listed_items(self._find(client, id_).items, id_)
        await client.reply(200, _json(), msgspec.json.encode(page(listed, parameters(client.query))))

    async def _cancel(self, client: Client, id_: str) -> None:
        self._find(client, id_)
        raise BadRequest("only a response in the background can be cancelled, and this one was not: close its connection")

    def _find(self, client: Client, id_: str) -> KeptResponse:
        kept = self._kept.get(client.key_name, id_)
        if kept is None:
            raise NotFound(f"the response {id_[:80]!r} is not kept here (any more)", code="response_not_found", param="id")
        return kept


def _json() -> Headers:
    return [JSON]
