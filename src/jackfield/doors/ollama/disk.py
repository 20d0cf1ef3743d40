"""POST /api/pull and DELETE /api/delete: models fetched to and removed from the disks of those sources that let it be done."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec

from jackfield.core.contracts import PullProgress
from jackfield.core.errors import JackfieldError
from jackfield.dialects import ndjson, ollama
from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.ollama.answer import wants_stream
from jackfield.doors.ollama.models import JSON, named
from jackfield.gateway.client import Client
from jackfield.gateway.stock import Stock

STREAM = (b"content-type", ollama.STREAM_TYPE)
DONE: dict[str, Any] = {"status": "success"}


class Disk:
    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    async def pull(self, client: Client) -> None:
        """A line for each step, the last one `success`; or with `stream` false that one alone, at the end."""
        fields = parse_fields(await client.body())
        name, streams = named(fields), wants_stream(fields)
        async with aclosing(self._stock.pull(name)) as steps:
            if streams:
                await _in_lines(client, steps)
                return
            async for _ in steps:
                pass
        await client.reply(200, [JSON], msgspec.json.encode(DONE))

    async def delete(self, client: Client) -> None:
        await self._stock.delete(named(parse_fields(await client.body())))
        await client.reply(200, [JSON], b"")


async def _in_lines(client: Client, steps: AsyncIterator[PullProgress]) -> None:
    """What goes wrong before the first step is raised, later it is told in a line."""
    try:
        async for step in steps:
            if not client.has_started:
                await client.start(200, [STREAM])
            await client.write(ndjson.encode(msgspec.json.encode(_line(step))))
    except JackfieldError as error:
        if not client.has_started:
            raise
        await client.end(ollama.encode_stream_error(error))
        return
    if not client.has_started:
        await client.start(200, [STREAM])
    await client.end()


def _line(step: PullProgress) -> dict[str, Any]:
    line: dict[str, Any] = {"status": step.status}
    if step.total_bytes is not None:
        line |= {"total": step.total_bytes, "completed": step.done_bytes}
    return line
