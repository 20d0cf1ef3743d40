"""Content blocks of the Messages dialect: core parts to blocks and back.

Knows blocks, not messages and not requests. Fields without a core name live in `Part.extra`; blocks without a core part are
the callers' business. A signature is opaque: it is kept byte for byte, and what has none is never passed off as signed.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import (
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.dialects.anthropic_messages_quirks import BLOCK_FIELDS
from jackfield.dialects.json_value import (
    Object,
    missing,
    read_array,
    read_flag,
    read_object,
    read_optional_text,
    read_text,
    required_text,
    rest,
    wrong_type,
)

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MAGIC = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class BlockWriter:
    """Writes parts as blocks and notes in `warnings` what of them has no place there."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def content(self, part: ContentPart, at: str) -> Object | None:
        """A block that a user's message or a tool's result may hold; None for one that says nothing.

        Raises BadRequest for an image that no source takes, NotSupported for sound.
        """
        match part:
            case TextPart(text, extra) | RefusalPart(text, extra):
                return self._with(extra, at, {"type": "text", "text": text}) if text else None
            case ImagePart():
                return self._image(part, at)
            case FilePart():
                return self._with(part.extra, at, {"type": "document", "source": _document(part, at)} | _title(part))
            case ReasoningPart():
                self._warnings.append(f"{at}: reasoning belongs to the assistant, it is left out here")
                return None
            case AudioPart():
                raise NotSupported(f"{at}: sound is not taken here: send text, an image or a document", param=at)

    def reasoning(self, part: ReasoningPart, at: str) -> Object | None:
        """None, with a warning, for reasoning that nobody signed: the source would refuse the whole request."""
        if part.signature is None:
            self._warnings.append(f"{at}: reasoning without a signature is left out")
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.signature}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}

    def tool_call(self, part: ToolCallPart, at: str) -> Object:
        value, is_object = tool_input(part.arguments)
        if not is_object:
            self._warnings.append(f"{at}: the arguments of {part.name} are no JSON object, they are sent as its text")
        return self._with(part.extra, at, {"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": value})

    def tool_result(self, part: ToolResultPart, at: str) -> Object:
        block: Object = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
        written = [self.content(item, at) for item in part.content]
        content = [item for item in written if item is not None]
        if len(content) == 1 and set(content[0]) == {"type", "text"}:
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return self._with(part.extra, at, block)

    def _image(self, part: ImagePart, at: str) -> Object:
        if part.detail not in (None, "auto"):
            self._warnings.append(f"{at}: an image's detail is left out, the source does not take it")
        return self._with(part.extra, at, {"type": "image", "source": _image_source(part, at)})

    def _with(self, extra: Object, at: str, block: Object) -> Object:
        for name, value in extra.items():
            if name in BLOCK_FIELDS:
                block.setdefault(name, value)
            elif value not in (None, {}, []):
                self._warnings.append(f"{at}.{name}: left out, the source does not take it")
        return block


def tool_input(arguments: str) -> tuple[Object, bool]:
    """The arguments as the object that the wire wants, and whether they were one; what was none stands under "text"."""
    if not arguments.strip():
        return {}, True
    try:
        value = _decode(arguments.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = None
    return (value, True) if isinstance(value, dict) else ({"text": arguments}, False)


def tool_arguments(value: Any) -> str:
    return _encode(value).decode() if isinstance(value, dict | list) else value if isinstance(value, str) else ""


def call_id(id_: str) -> str:
    """Other sources write ids with dots and colons, which this dialect refuses; call and result are changed alike."""
    return _NOT_IN_ID.sub("_", id_) or "call"


def _image_source(part: ImagePart, at: str) -> Object:
    if "source" in part.extra:
        return read_object(part.extra["source"], at)
    data, media_type = part.data, part.media_type
    if data is None and part.url is not None:
        head, marker, inline = part.url.partition(";base64,")
        if not (marker and head.startswith("data:")):
            return {"type": "url", "url": part.url}
        data, media_type = inline, head.removeprefix("data:")
    if data is None:
        raise BadRequest(f"{at}: the image has neither data nor a url", param=at)
    found = media_type or next((kind for start, kind in _MAGIC.items() if data.startswith(start)), "unknown")
    if found == "image/jpg":
        found = "image/jpeg"
    if found not in IMAGE_TYPES:
        raise BadRequest(f"{at}: an image of type {found[:40]} is not taken: send {', '.join(IMAGE_TYPES)}", param=at)
    return {"type": "base64", "media_type": found, "data": data}


def _title(part: FilePart) -> Object:
    return {} if part.filename is None else {"title": part.filename}


def _document(part: FilePart, at: str) -> Object:
    if "source" in part.extra:
        return read_object(part.extra["source"], at)
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    data, media_type = part.data or "", part.media_type
    head, marker, inline = data.partition(";base64,")
    if marker and head.startswith("data:"):
        data, media_type = inline, head.removeprefix("data:")
    elif data.startswith(("https://", "http://")):
        return {"type": "url", "url": data}
    if media_type in (None, "application/pdf"):
        return {"type": "base64", "media_type": "application/pdf", "data": data}
    if media_type.startswith("text/"):
        try:
            return {"type": "text", "media_type": "text/plain", "data": base64.b64decode(data, validate=True).decode()}
        except (binascii.Error, UnicodeDecodeError):
            raise BadRequest(f"{at}: the file's data is not base64 of UTF-8 text", param=at) from None
    raise BadRequest(f"{at}: a file of type {media_type} is not taken: send a PDF or text", param=at)


def read_content(value: Any, at: str) -> tuple[Any, ...]:
    """The parts of a message's `content`: text, or an array of blocks. Raises BadRequest or NotSupported naming the place."""
    if value is None:
        raise missing(at)
    if isinstance(value, str):
        return (TextPart(value),)
    if not isinstance(value, list):
        raise wrong_type(at, "a string or an array of blocks", value)
    return tuple(_part(item, f"{at}[{index}]") for index, item in enumerate(value))


def _part(value: Any, at: str) -> Any:
    block = read_object(value, at)
    kind = required_text(block, "type", at)
    match kind:
        case "tool_use":
            input_ = read_object(block.get("input"), f"{at}.input")
            left = rest(block, ("type", "id", "name", "input"))
            id_, name = required_text(block, "id", at), required_text(block, "name", at)
            return ToolCallPart(id_, name, _encode(input_).decode(), left)
        case "tool_result":
            return _read_result(block, at)
        case "thinking":
            text = read_text(block.get("thinking", ""), f"{at}.thinking")
            signature = read_optional_text(block.get("signature"), f"{at}.signature")
            return ReasoningPart(text, signature, extra=rest(block, ("type", "thinking", "signature")))
        case "redacted_thinking":
            return ReasoningPart("", required_text(block, "data", at), redacted=True, extra=rest(block, ("type", "data")))
    return _read_plain(block, kind, at)


def _read_plain(block: Object, kind: str, at: str) -> ContentPart:
    match kind:
        case "text":
            return TextPart(required_text(block, "text", at), rest(block, ("type", "text")))
        case "image":
            return _read_image(block, at)
        case "document":
            return _read_document(block, at)
    known = "text, image, document, tool_use, tool_result, thinking and redacted_thinking"
    raise NotSupported(
        f"{at}.type: {kind[:40]!r} is only possible where the source takes requests of this form as they are; "
        f"understood here are {known}",
        param=f"{at}.type",
    )


def _read_result(block: Object, at: str) -> ToolResultPart:
    value = block.get("content")
    if isinstance(value, list):
        items = read_array(value, f"{at}.content")
        places = [f"{at}.content[{index}]" for index in range(len(items))]
        inner = tuple(
            _read_plain(read_object(item, place), required_text(read_object(item, place), "type", place), place)
            for item, place in zip(items, places, strict=True)
        )
    else:
        inner = () if value is None else (TextPart(read_text(value, f"{at}.content")),)
    return ToolResultPart(
        required_text(block, "tool_use_id", at),
        inner,
        is_error=read_flag(block.get("is_error"), f"{at}.is_error") or False,
        extra=rest(block, ("type", "tool_use_id", "content", "is_error")),
    )


def _read_image(block: Object, at: str) -> ImagePart:
    source = read_object(block.get("source"), f"{at}.source")
    left = rest(block, ("type", "source"))
    match required_text(source, "type", f"{at}.source"):
        case "base64":
            data = required_text(source, "data", f"{at}.source")
            return ImagePart(data=data, media_type=required_text(source, "media_type", f"{at}.source"), extra=left)
        case "url":
            return ImagePart(required_text(source, "url", f"{at}.source"), extra=left)
    return ImagePart(extra={**left, "source": source})


def _read_document(block: Object, at: str) -> FilePart:
    source = read_object(block.get("source"), f"{at}.source")
    name = read_optional_text(block.get("title"), f"{at}.title")
    left = rest(block, ("type", "source", "title"))
    match required_text(source, "type", f"{at}.source"):
        case "base64":
            data = required_text(source, "data", f"{at}.source")
            return FilePart(None, data, name, read_optional_text(source.get("media_type"), f"{at}.source"), left)
        case "text":
            text = required_text(source, "data", f"{at}.source")
            return FilePart(None, base64.b64encode(text.encode()).decode(), name, "text/plain", left)
        case "file":
            return FilePart(required_text(source, "file_id", f"{at}.source"), None, name, extra=left)
    return FilePart(filename=name, extra={**left, "source": source})


def joined(texts: Iterable[str]) -> str:
    """Several texts as one, a blank line between them."""
    return "\n\n".join(texts)
