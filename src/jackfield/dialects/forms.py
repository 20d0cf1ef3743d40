"""Form data with files as a client sends it (RFC 7578): bytes to fields and uploads, within limits. Pure."""

from collections.abc import Mapping

import msgspec
import multipart

from jackfield.core.errors import BadRequest
from jackfield.core.requests import Upload
from jackfield.dialects.null_bytes import null_character

PARTS_MAX = 128
FIELD_MAX_BYTES = 1024 * 1024
FORM_TYPE = "multipart/form-data"


class Form(msgspec.Struct, frozen=True):
    """`texts` by name, the last of a name; `uploads` in their order, each under its name."""

    texts: dict[str, str]
    uploads: tuple[tuple[str, Upload], ...] = ()

    def text(self, name: str) -> str | None:
        return self.texts.get(name) or None

    def whole(self, name: str) -> int | None:
        """Raises BadRequest for what is no whole number."""
        said = self.text(name)
        if said is None:
            return None
        if not said.isascii() or not said.isdigit() or len(said) > 9:
            raise BadRequest(f"{name} must be a whole number, got {said[:40]!r}", param=name)
        return int(said)

    def files(self, name: str) -> tuple[Upload, ...]:
        return tuple(upload for field, upload in self.uploads if field == name)


def parse_form(body: bytes, headers: Mapping[bytes, bytes]) -> Form:
    """Raises BadRequest for another content type, a broken form, or one with too much in it."""
    kind, options = multipart.parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))
    if kind != FORM_TYPE or not options.get("boundary"):
        raise BadRequest(f"send this as {FORM_TYPE}, with the file in a part of its own", param="content-type")
    texts: dict[str, str] = {}
    uploads: list[tuple[str, Upload]] = []
    try:
        for name, filename, media_type, content in _parts(body, options["boundary"]):
            if filename is not None:
                uploads.append((name, Upload(filename, content, media_type)))
            else:
                if b"\0" in content:
                    raise null_character(name, name)
                texts[name] = content.decode()
    except multipart.MultipartError as error:
        raise BadRequest(f"the form cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise BadRequest("a field of the form is not valid UTF-8") from None
    return Form(texts, tuple(uploads))


def _parts(body: bytes, boundary: str) -> list[tuple[str, str | None, str | None, bytes]]:
    parts: list[tuple[str, str | None, str | None, bytes]] = []
    with multipart.PushMultipartParser(boundary, max_segment_count=PARTS_MAX, max_segment_size=len(body) + 1) as parser:
        segment: multipart.MultipartSegment | None = None
        pieces: list[bytes] = []
        for event in (*parser.parse(body), *parser.parse(b"")):
            if isinstance(event, multipart.MultipartSegment):
                segment, pieces = event, []
            elif event is not None:
                pieces.append(bytes(event))
            elif segment is not None:
                parts.append((segment.name, segment.filename, segment.content_type, _bounded(segment, b"".join(pieces))))
    return parts


def _bounded(segment: multipart.MultipartSegment, content: bytes) -> bytes:
    if segment.filename is None and len(content) > FIELD_MAX_BYTES:
        raise BadRequest(f"{segment.name} is longer than {FIELD_MAX_BYTES} bytes: that is no field", param=segment.name)
    return content
