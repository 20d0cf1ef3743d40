"""Files over OpenAI's calls, kept there for later requests. A trait of rows that say so.

Knows the calls and the file object; what is in a file is the caller's business.
"""

from typing import Any

import msgspec

from jackfield.core.contracts import KeepsFiles
from jackfield.core.errors import BadRequest
from jackfield.core.requests import StoredFile, Upload
from jackfield.dialects.json_value import present, rest
from jackfield.dialects.multipart import encode_form
from jackfield.providers.http_json import decoded, path_part, read_reply
from jackfield.providers.http_source import HttpSource

FILES_PATH = "files"


class StoresFiles:
    _source: HttpSource

    async def upload_file(self, upload: Upload, purpose: str) -> StoredFile:
        """`purpose` is what it is for: batch, fine-tune, assistants, user_data ... Raises BadRequest for an empty file."""
        if not upload.content:
            raise BadRequest("the file is empty", param="file")
        body, kind = encode_form((("purpose", purpose), ("file", upload)))
        reply = await self._source.post(FILES_PATH, body, model=None, headers={"content-type": kind})
        return await read_reply(self._source, reply, decode_file, "upload a file", None)

    async def list_files(self) -> tuple[StoredFile, ...]:
        reply = await self._source.get(FILES_PATH, operation="list files")
        return await read_reply(self._source, reply, decode_files, "list files", None)

    async def file_info(self, file_id: str) -> StoredFile:
        reply = await self._source.get(
            f"{FILES_PATH}/{path_part(file_id)}", operation="look at a file", missing=f"file {file_id!r}"
        )
        return await read_reply(self._source, reply, decode_file, "look at a file", None)

    async def read_file(self, file_id: str) -> bytes:
        reply = await self._source.fetch(
            f"{FILES_PATH}/{path_part(file_id)}/content", operation="read a file", missing=f"file {file_id!r}"
        )
        return await read_reply(self._source, reply, bytes, "read a file", None)

    async def delete_file(self, file_id: str) -> None:
        reply = await self._source.delete(
            f"{FILES_PATH}/{path_part(file_id)}", operation="delete a file", missing=f"file {file_id!r}"
        )
        await read_reply(self._source, reply, bytes, "delete a file", None)


class _File(msgspec.Struct):
    id: str
    filename: str = ""
    bytes: int = 0
    purpose: str = ""
    created_at: int = 0


class _Listing(msgspec.Struct):
    data: list[msgspec.Raw]


def decode_file(body: bytes) -> StoredFile:
    file = decoded(body, _File, "the file object")
    known = (*_File.__struct_fields__, "object")
    return StoredFile(file.id, file.filename, file.bytes, file.purpose, file.created_at, _left(body, known))


def decode_files(body: bytes) -> tuple[StoredFile, ...]:
    return tuple(decode_file(bytes(item)) for item in decoded(body, _Listing, "the list of files").data)


def _left(body: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    return present(rest(msgspec.json.decode(body), known))


def _satisfies() -> type[KeepsFiles]:
    return StoresFiles
