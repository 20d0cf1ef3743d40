"""Images, sound and documents: Gemini's inlineData and fileData to core parts and back.

Knows media types and where each kind of part keeps its bytes. Nothing is decoded here.
"""

from typing import Any

from jackfield.core.messages import AudioPart, FilePart, ImagePart
from jackfield.dialects.gemini_names import spelled
from jackfield.dialects.json_value import Object, read_optional_text, required_text

Media = ImagePart | AudioPart | FilePart
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-flac": "flac", "mp4": "m4a", "x-m4a": "m4a"}
_AUDIO_TYPES = {"mp3": "audio/mpeg", "m4a": "audio/mp4", "pcm16": "audio/pcm"}
_BY_ENDING = {
    "csv": "text/csv", "gif": "image/gif", "heic": "image/heic", "html": "text/html", "jpeg": "image/jpeg", "jpg": "image/jpeg",
    "json": "application/json", "m4a": "audio/mp4", "md": "text/markdown", "mov": "video/quicktime", "mp3": "audio/mpeg",
    "mp4": "video/mp4", "pdf": "application/pdf", "png": "image/png", "txt": "text/plain", "wav": "audio/wav",
    "webm": "video/webm", "webp": "image/webp",
}  # fmt: skip
_IMAGE = "image/jpeg"
_FILE = "application/octet-stream"


def decode_inline(value: Any, at: str, extra: Object) -> Media:
    """Raises BadRequest for a blob without data or type."""
    blob = spelled(value, at)
    data, media_type = required_text(blob, "data", at), required_text(blob, "mimeType", at)
    kind, _, subtype = media_type.partition("/")
    if kind == "image":
        return ImagePart(data=data, media_type=media_type, extra=extra)
    if kind == "audio":
        plain = subtype.partition(";")[0]
        return AudioPart(data, _FORMATS.get(plain, plain), extra=extra)
    return FilePart(data=data, filename=read_optional_text(blob.get("displayName"), at), media_type=media_type, extra=extra)


def decode_file(value: Any, at: str, extra: Object) -> Media:
    """Raises BadRequest for a file without an address."""
    file = spelled(value, at)
    uri = required_text(file, "fileUri", at)
    media_type = read_optional_text(file.get("mimeType"), f"{at}.mimeType")
    if media_type is not None and media_type.startswith("image/"):
        return ImagePart(url=uri, media_type=media_type, extra=extra)
    return FilePart(file_id=uri, filename=read_optional_text(file.get("displayName"), at), media_type=media_type, extra=extra)


def encode_media(part: Media) -> Object | None:
    """The part with its inlineData or fileData; None for what has no form here (sound of an earlier answer)."""
    match part:
        case ImagePart(url, data, media_type):
            if data is not None:
                return _inline(data, media_type or _IMAGE)
            return _file(url, media_type or guessed_type(url, _IMAGE)) if url else None
        case AudioPart(data, format_):
            named = format_ or "wav"
            return None if data is None else _inline(data, _AUDIO_TYPES.get(named, f"audio/{named}"))
        case FilePart():
            return _encode_file(part)


def _encode_file(part: FilePart) -> Object | None:
    if part.data is None:
        return (
            _file(part.file_id, part.media_type or guessed_type(part.filename or part.file_id, _FILE)) if part.file_id else None
        )
    head, marker, data = part.data.partition(";base64,")
    if marker and head.startswith("data:"):
        return _inline(data, head.removeprefix("data:") or _FILE)
    return _inline(part.data, part.media_type or guessed_type(part.filename, _FILE))


def _inline(data: str, media_type: str) -> Object:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _file(uri: str, media_type: str) -> Object:
    return {"fileData": {"mimeType": media_type, "fileUri": uri}}


def guessed_type(name: str | None, otherwise: str) -> str:
    """The media type that a file's name or address tells."""
    return _BY_ENDING.get((name or "").partition("?")[0].rpartition(".")[2].lower(), otherwise)
