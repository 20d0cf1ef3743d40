"""/v1/batches: a file of requests, answered here by whatever slots they name; a vendor's own batches are not reached."""

from functools import partial

import msgspec

from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.openai.batch_objects import batch_object, left_out, read_order
from jackfield.gateway.batches.engine import BatchEngine
from jackfield.gateway.client import Client, Headers
from jackfield.gateway.door import Methods
from jackfield.gateway.listing import page, parameters
from jackfield.gateway.steps.relay import on_one_line

JSON = (b"content-type", b"application/json")


class Batches:
    def __init__(self, engine: BatchEngine) -> None:
        self._engine = engine

    async def create(self, client: Client) -> None:
        fields = parse_fields(await client.body())
        batch = await self._engine.create(client.key_name, read_order(fields, self._engine.endpoints))
        headers = _json()
        if unknown := left_out(fields):
            text = f"no field of a batch, left out: {', '.join(name[:80] for name in unknown[:20])}"
            headers.append((b"x-jackfield-warnings", on_one_line(text)))
        await client.reply(200, headers, msgspec.json.encode(batch_object(batch)))

    async def list(self, client: Client) -> None:
        batches = await self._engine.of_key(client.key_name)
        listed = page([batch_object(batch) for batch in batches], parameters(client.query))
        await client.reply(200, _json(), msgspec.json.encode(listed))

    def find(self, rest: str) -> Methods | None:
        """The methods of what stands after `batches/` in a path."""
        id_, _, what = rest.partition("/")
        match what:
            case "":
                return {"GET": partial(self._one, id_=id_)}
            case "cancel":
                return {"POST": partial(self._cancel, id_=id_)}
        return None

    async def _one(self, client: Client, id_: str) -> None:
        batch = await self._engine.get(client.key_name, id_)
        await client.reply(200, _json(), msgspec.json.encode(batch_object(batch)))

    async def _cancel(self, client: Client, id_: str) -> None:
        batch = await self._engine.cancel(client.key_name, id_)
        await client.reply(200, _json(), msgspec.json.encode(batch_object(batch)))


def _json() -> Headers:
    return [JSON]
