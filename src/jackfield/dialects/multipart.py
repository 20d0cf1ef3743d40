"""Form data with files (RFC 7578): fields and uploads to bytes, for the few calls that do not take JSON.

Knows the format and nothing of what the fields mean. Reading forms is no business of ours: only sources get them.
"""

import mimetypes
import secrets
from collections.abc import Iterable

import msgspec

from jackfield.core.requests import Upload

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def encode_form(fields: Iterable[tuple[str, object]]) -> tuple[bytes, str]:
    """The body and its content type. A value is an Upload, or anything: text as it is, the rest as JSON writes it.

    None is left out. A list becomes one field for each of its items, under its name with `[]`.
    """
    boundary = f"jackfield-{secrets.token_hex(16)}"
    mark = f"--{boundary}\r\n".encode()
    parts = [mark + _part(name, value) for name, value in _flat(fields)]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _flat(fields: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    for name, value in fields:
        if isinstance(value, list | tuple):
            yield from ((f"{name}[]", item) for item in value)
        elif value is not None:
            yield name, value


def _part(name: str, value: object) -> bytes:
    head = f'content-disposition: form-data; name="{name.translate(_ESCAPES)}"'
    if isinstance(value, Upload):
        kind = value.media_type or mimetypes.guess_type(value.filename)[0] or "application/octet-stream"
        head += f'; filename="{value.filename.translate(_ESCAPES)}"\r\ncontent-type: {kind.translate(_ESCAPES)}'
        content = value.content
    else:
        content = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"
