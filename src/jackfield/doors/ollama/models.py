"""GET /api/tags and /api/ps, POST /api/show: the catalogue in Ollama's shape.

Lists the same names as the OpenAI door. Answers within the catalogue's deadline, whatever a source does.
"""

import asyncio
from typing import Any

import msgspec

from jackfield.core.contracts import PassesThrough, RawCall
from jackfield.core.errors import JackfieldError, ModelNotFound
from jackfield.dialects import ollama
from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.ollama.told import listed, running, shown
from jackfield.gateway.client import Client
from jackfield.gateway.fields import model_of
from jackfield.gateway.route import Target
from jackfield.gateway.stock import Stock
from jackfield.slots.catalogue import Catalogue

JSON = (b"content-type", b"application/json")
SHOW_PATH = "api/show"
SHOW_WITHIN_S = 3.0
Fields = dict[str, msgspec.Raw]


class Models:
    def __init__(self, catalogue: Catalogue, stock: Stock) -> None:
        self._catalogue = catalogue
        self._stock = stock

    async def tags(self, client: Client) -> None:
        entries = await self._catalogue.models()
        await _reply(client, {"models": [listed(entry.id, entry.profile) for entry in entries]})

    async def ps(self, client: Client) -> None:
        """What the sources have in memory, those that can tell."""
        held = await self._stock.loaded()
        profiles = {entry.id: entry.profile for entry in await self._catalogue.models()}
        await _reply(client, {"models": [running(each, profiles.get(each.model.model)) for each in held]})

    async def show(self, client: Client) -> None:
        """A source of this dialect tells it in its own words, others by what is known of them. Raises ModelNotFound."""
        fields = parse_fields(await client.body())
        name = named(fields)
        target = self._stock.targets(name)[0]
        body = await self._own_words(target, fields)
        if body is not None:
            await client.reply(200, [JSON], body)
            return
        known_as = self._stock.known_as(name)
        model = target.model or target.binding.model
        entries = {entry.id: entry for entry in await self._catalogue.models()}
        await _reply(client, shown(entries.get(known_as) or entries.get(model or ""), target.binding))

    async def _own_words(self, target: Target, fields: Fields) -> bytes | None:
        """None where the source speaks something else, or does not say now."""
        binding = target.binding
        source, model = binding.pass_through, target.model or binding.model
        if source is None or model is None or binding.dialect != ollama.NAME:
            return None
        try:
            with self._stock.asking(binding):
                async with asyncio.timeout(SHOW_WITHIN_S):
                    return await _asked(source, RawCall(SHOW_PATH, _without_name(fields), model, stream=False))
        except ModelNotFound:
            raise
        except (JackfieldError, TimeoutError):
            return None


def named(fields: Fields) -> str:
    """The model, which older clients call `name`. Raises BadRequest."""
    if "model" not in fields and "name" in fields:
        return model_of({"model": fields["name"]})
    return model_of(fields)


async def _asked(source: PassesThrough, call: RawCall) -> bytes:
    reply = await source.pass_through(call)
    try:
        return await reply.read()
    finally:
        await reply.aclose()


def _without_name(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != "name"}


async def _reply(client: Client, value: Any) -> None:
    await client.reply(200, [JSON], msgspec.json.encode(value))
