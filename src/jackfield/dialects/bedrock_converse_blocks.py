"""Core messages to the Converse API's messages and system blocks, and its content blocks to core parts.

Knows content blocks. Turns of one role in a row become one, because the roles must alternate; blank texts are left out, because
the API refuses them. A `cache_control` of the Messages dialect becomes a cache point.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import (
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.dialects.json_answer import arguments_object
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
CACHE_POINT: Object = {"cachePoint": {"type": "default"}}
_IMAGE_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENT_FORMATS = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_.:-]")


class Turns:
    """Builds `messages` and `system`. Adds to `warnings` what it leaves out."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings
        self.messages: list[Object] = []
        self.system: list[Object] = []
        self.called: list[str] = []

    def add(self, messages: Sequence[Message]) -> None:
        """Raises NotSupported for what no block can hold, BadRequest for a request that says nothing."""
        for index, message in enumerate(messages):
            at = f"messages[{index}]"
            if message.name is not None:
                self._warnings.append(f"{at}.name: left out, turns of this dialect have no names")
            self._warnings += [f"{at}.{name}: left out, this dialect has no place for it" for name in message.extra]
            if message.role in ("system", "developer"):
                self._add_system(message, at)
            else:
                self._add_turn("assistant" if message.role == "assistant" else "user", self._blocks(message.parts, at))
        if not self.messages:
            raise BadRequest("messages must hold at least one message of the user with content", param="messages")

    def _add_system(self, message: Message, at: str) -> None:
        if self.messages:
            self._warnings.append(f"{at}: instructions in the middle of a conversation stand at its beginning here")
        for part in message.parts:
            if not isinstance(part, TextPart):
                self._warnings.append(f"{at}: only the text of instructions is carried")
            elif part.text.strip():
                self.system += [{"text": part.text}, *self._beside(part.extra, at)]

    def _add_turn(self, role: str, blocks: list[Object]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _blocks(self, parts: Sequence[Part], at: str) -> list[Object]:
        blocks: list[Object] = []
        for index, part in enumerate(parts):
            place = f"{at}.content[{index}]"
            block = self._block(part, place)
            if block is not None:
                blocks += [block, *self._beside(part.extra, place)]
        return blocks

    def _block(self, part: Part, at: str) -> Object | None:
        match part:
            case ToolCallPart():
                return self._call(part, at)
            case ToolResultPart(call_id, content, _, is_error):
                shown = [block for inner in content if (block := self._block(inner, at)) is not None]
                result: Object = {"toolUseId": tool_id(call_id), "content": shown or [{"text": "(nothing)"}]}
                return {"toolResult": result | ({"status": "error"} if is_error else {})}
            case ReasoningPart(text, signature, redacted):
                return self._thought(text, signature, at, is_redacted=redacted)
            case _:
                return _content_block(part, at)

    def _call(self, part: ToolCallPart, at: str) -> Object:
        self.called.append(part.name)
        given = arguments_object(part.arguments)
        if given is None:
            self._warnings.append(f"{at}: the arguments of {part.name} are no JSON object, so they are carried as text")
            given = {"arguments": part.arguments}
        return {"toolUse": {"toolUseId": tool_id(part.id), "name": part.name, "input": given}}

    def _thought(self, text: str, signature: str | None, at: str, *, is_redacted: bool) -> Object | None:
        if signature is None:
            self._warnings.append(f"{at}: earlier reasoning without a signature is left out")
            return None
        if is_redacted:
            return {"reasoningContent": {"redactedContent": signature}}
        return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}

    def _beside(self, extra: Object, at: str) -> list[Object]:
        """The cache point that a part asks for; the rest of its leftovers is named."""
        self._warnings += [
            f"{at}: {name} is left out, this dialect has no place for it"
            for name in extra
            if name not in ("cache_control", "extra_content")
        ]
        return [CACHE_POINT] if extra.get("cache_control") else []


def tool_id(id_: str) -> str:
    """Ids of other dialects may hold characters that this one refuses."""
    return _NOT_IN_ID.sub("_", id_)


def _content_block(part: ContentPart, at: str) -> Object | None:
    match part:
        case TextPart(text) | RefusalPart(text):
            return {"text": text} if text.strip() else None
        case ImagePart():
            return {"image": _image(part, at)}
        case AudioPart(data, format_):
            if data is None:
                raise NotSupported(f"{at}: sound of an earlier answer cannot be named here", param=at)
            return {"audio": {"format": format_ or "wav", "source": {"bytes": data}}}
        case FilePart():
            return {"document": _document(part, at)}
        case ReasoningPart():
            return None


def _image(part: ImagePart, at: str) -> Object:
    format_ = _IMAGE_FORMATS.get(part.media_type or "", "png" if part.media_type is None else "")
    if not format_:
        raise NotSupported(f"{at}: images must be PNG, JPEG, GIF or WebP, not {part.media_type}", param=at)
    if part.data is not None:
        return {"format": format_, "source": {"bytes": part.data}}
    return {"format": format_, "source": _stored(part.url, at, "an image")}


def _document(part: FilePart, at: str) -> Object:
    head, marker, data = (part.data or "").partition(";base64,")
    media_type = head.removeprefix("data:") if marker else part.media_type
    ending = (part.filename or "").rpartition(".")[2].lower()
    format_ = _DOCUMENT_FORMATS.get(media_type or "") or (ending if ending in _DOCUMENT_FORMATS.values() else "pdf")
    name = _NOT_IN_NAME.sub(" ", (part.filename or "document").rpartition(".")[0] or part.filename or "document").strip()
    source = {"bytes": data if marker else part.data} if part.data is not None else _stored(part.file_id, at, "a file")
    return {"format": format_, "name": name or "document", "source": source}


def _stored(uri: str | None, at: str, what: str) -> Object:
    if uri is None or not uri.startswith("s3://"):
        raise NotSupported(f"{at}: {what} must be inline or an s3:// address here, not a URL", param=at)
    return {"s3Location": {"uri": uri}}


def decode_blocks(blocks: Any) -> tuple[list[Part], list[Object]]:
    """The parts of an answer, and the blocks that no core type names."""
    parts: list[Part] = []
    others: list[Object] = []
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict):
            part = _part(block)
            if part is None:
                others.append(block)
            else:
                parts.append(part)
    return parts, others


def _part(block: Object) -> Part | None:
    match block:
        case {"text": str(text)}:
            return TextPart(text)
        case {"toolUse": {"toolUseId": str(id_), "name": str(name), **more}}:
            return ToolCallPart(id_, name, _encode(more.get("input") or {}).decode())
        case {"reasoningContent": {"redactedContent": str(data)}}:
            return ReasoningPart("", data, redacted=True)
        case {"reasoningContent": {"reasoningText": {"text": str(text), **more}}}:
            signature = more.get("signature")
            return ReasoningPart(text, signature if isinstance(signature, str) else None)
        case {"citationsContent": {"content": list(content)}}:
            texts = [str(item["text"]) for item in content if isinstance(item, dict) and "text" in item]
            return TextPart("".join(texts), {"citations": block["citationsContent"].get("citations") or []})
        case _:
            return None
