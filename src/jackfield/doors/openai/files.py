"""/v1/files: what clients leave here for batches, and what batches leave for them. It never leaves this machine."""

import asyncio
from functools import partial
from pathlib import PurePosixPath

import msgspec

from jackfield.core.errors import BadRequest, NotFound, NotSupported
from jackfield.dialects.forms import Form, parse_form
from jackfield.dialects.json_value import missing
from jackfield.doors.openai.batch_objects import file_object, ttl_s
from jackfield.gateway.client import Client, Headers
from jackfield.gateway.door import Methods
from jackfield.gateway.listing import page, parameters
from jackfield.store.files import FileShelf, StoredFile

JSON = (b"content-type", b"application/json")
PURPOSE = "batch"
LIST_MAX = 10_000
CHUNK_BYTES = 256 * 1024
NAME_MAX_CHARS = 255


class Files:
    def __init__(self, shelf: FileShelf) -> None:
        self._shelf = shelf

    async def upload(self, client: Client) -> None:
        form = parse_form(await client.body(), client.headers)
        purpose = form.text("purpose")
        if purpose is None:
            raise missing("purpose")
        if purpose != PURPOSE:
            raise NotSupported(
                f"files are kept here for batches only: purpose must be {PURPOSE}, got {purpose[:40]!r}", param="purpose"
            )
        files = form.files("file")
        if len(files) != 1:
            raise BadRequest(f"send one file in the field file, got {len(files)}", param="file")
        file = files[0]
        name = _plain_name(file.filename)
        stored = await asyncio.to_thread(self._shelf.take_in, client.key_name, name, purpose, file.content, _ttl_s(form))
        await client.reply(200, _json(), msgspec.json.encode(file_object(stored)))

    async def list(self, client: Client) -> None:
        query = parameters(client.query)
        files = await asyncio.to_thread(self._shelf.of_key, client.key_name, query.get("purpose") or None)
        listed = page([file_object(file) for file in files], query, limit_default=LIST_MAX, limit_max=LIST_MAX)
        await client.reply(200, _json(), msgspec.json.encode(listed))

    def find(self, rest: str) -> Methods | None:
        """The methods of what stands after `files/` in a path."""
        id_, _, what = rest.partition("/")
        match what:
            case "":
                return {"GET": partial(self._one, id_=id_), "DELETE": partial(self._delete, id_=id_)}
            case "content":
                return {"GET": partial(self._content, id_=id_)}
        return None

    async def _one(self, client: Client, id_: str) -> None:
        await client.reply(200, _json(), msgspec.json.encode(file_object(await self._find(client, id_))))

    async def _delete(self, client: Client, id_: str) -> None:
        if not await asyncio.to_thread(self._shelf.delete, client.key_name, id_):
            raise _unknown(id_)
        await client.reply(200, _json(), msgspec.json.encode({"id": id_, "object": "file", "deleted": True}))

    async def _content(self, client: Client, id_: str) -> None:
        stored = await self._find(client, id_)
        try:
            file = await asyncio.to_thread(self._shelf.path(stored).open, "rb")
        except FileNotFoundError:
            raise _unknown(id_) from None
        with file:
            await client.start(200, [(b"content-type", b"application/octet-stream")])
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                await client.write(chunk)
        await client.end()

    async def _find(self, client: Client, id_: str) -> StoredFile:
        stored = await asyncio.to_thread(self._shelf.get, client.key_name, id_)
        if stored is None:
            raise _unknown(id_)
        return stored


def _plain_name(filename: str) -> str:
    """A name to show; no path is made of it."""
    name = PurePosixPath(filename.replace("\\", "/")).name
    return "".join(char for char in name if char.isprintable())[:NAME_MAX_CHARS] or "file"


def _ttl_s(form: Form) -> int | None:
    anchor, seconds = form.text("expires_after[anchor]"), form.whole("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    return ttl_s(anchor, seconds, "expires_after[anchor]", "expires_after[seconds]")


def _unknown(id_: str) -> NotFound:
    return NotFound(f"there is no file {id_[:80]!r}", code="file_not_found", param="file_id")


def _json() -> Headers:
    return [JSON]
