"""Core messages to Ollama's `messages`.

Knows where each part stands on the wire. What has no place is left out and named in a warning; what would change the meaning
if it were left out (an image by address, sound, a file) is refused.
"""

from collections.abc import Sequence
from typing import Any

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import (
    AudioPart,
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
from jackfield.dialects.json_repair import json_in
from jackfield.dialects.json_value import Object, with_extra

_ANSWER_EXTRAS = ("content_parts", "images", "refusal", "audio", "annotations")
REPAIRED_MAX_CHARS = 64 * 1024
"""Of all arguments in one request: to repair takes a thousand times longer than to read, and it is the client who says how
much there is to repair."""


class _Repairs:
    """Reads the arguments of a request's calls, and repairs them as far as there is room for it."""

    def __init__(self) -> None:
        self._left_chars = REPAIRED_MAX_CHARS

    def read(self, text: str) -> Object | None:
        if (arguments := arguments_object(text)) is not None or len(text) > self._left_chars:
            return arguments
        self._left_chars -= len(text)
        return _repaired(text)


def encode_messages(messages: Sequence[Message], warnings: list[str]) -> list[Object]:
    """The `messages` array; each tool result is a message of its own. Adds to `warnings`.

    Raises NotSupported for what cannot be sent, BadRequest for a request that says nothing.
    """
    names: dict[str, str] = {}
    repairs = _Repairs()
    turns = (_turn(message, f"messages[{index}]", names, warnings, repairs) for index, message in enumerate(messages))
    items = [item for turn in turns for item in turn]
    if not items:
        raise BadRequest("messages must hold at least one message", param="messages")
    return items


def _turn(message: Message, at: str, names: dict[str, str], warnings: list[str], repairs: _Repairs) -> list[Object]:
    if message.name is not None:
        warnings.append(f"{at}.name: left out, messages of this dialect have no names")
    _note_lost(message.extra, _ANSWER_EXTRAS, at, warnings)
    items = [_result(part, at, names, warnings) for part in message.parts if isinstance(part, ToolResultPart)]
    others = [part for part in message.parts if not isinstance(part, ToolResultPart)]
    if message.role == "assistant":
        names.update((call.id, call.name) for call in message.tool_calls)
        return [*items, _answer(others, at, warnings, repairs)]
    if message.role == "tool" and others:
        raise BadRequest(f"{at} is a tool message: it must hold tool results only", param=at)
    if others or not items:
        role = "system" if message.role in ("system", "developer") else message.role
        items.append({"role": role, **content_of(others, at, warnings)})
    return items


def _answer(parts: Sequence[Part], at: str, warnings: list[str], repairs: _Repairs) -> Object:
    thoughts = [part.text for part in parts if isinstance(part, ReasoningPart) and not part.redacted]
    calls = [_call(part, at, warnings, repairs) for part in parts if isinstance(part, ToolCallPart)]
    said = [part for part in parts if not isinstance(part, ReasoningPart | ToolCallPart | AudioPart)]
    if any(isinstance(part, AudioPart) for part in parts):
        warnings.append(f"{at}: the sound of an earlier answer is left out, this dialect has no place for it")
    item: Object = {"role": "assistant", **content_of(said, at, warnings, between="")}
    if thoughts:
        item["thinking"] = "".join(thoughts)
    if calls:
        item["tool_calls"] = calls
    return item


def content_of(parts: Sequence[Part], at: str, warnings: list[str], *, between: str = "\n") -> Object:
    """The `content` (texts joined by `between`) and `images` of some parts. Raises NotSupported for what has no form here."""
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        match part:
            case TextPart(text) | RefusalPart(text):
                _note_lost(part.extra, (), at, warnings)
                texts.append(text)
            case ImagePart():
                images.append(_image(part, at, warnings))
            case AudioPart() | FilePart():
                kind = "sound" if isinstance(part, AudioPart) else "files"
                raise NotSupported(f"{at}: {kind} cannot be sent to it, only text and images", param=at)
            case _:
                warnings.append(f"{at}: reasoning and tool calls stand only in messages of the assistant, and are left out")
    return {"content": between.join(texts), **({"images": images} if images else {})}


def _image(part: ImagePart, at: str, warnings: list[str]) -> str:
    if part.data is None:
        raise NotSupported(f"{at}: an image by its address cannot be sent to it: give the image itself as base64", param=at)
    if part.detail is not None:
        warnings.append(f"{at}: the detail of an image is left out, this dialect has no place for it")
    _note_lost(part.extra, (), at, warnings)
    return part.data


def _call(part: ToolCallPart, at: str, warnings: list[str], repairs: _Repairs) -> Object:
    arguments = repairs.read(part.arguments)
    if arguments is None:
        warnings.append(f"{at}: the arguments of {part.name} are no JSON object, so they are carried as text")
        arguments = {"arguments": part.arguments}
    return with_extra({"id": part.id, "function": {"name": part.name, "arguments": arguments}}, part.extra, "function")


def readable_arguments(text: str) -> Object | None:
    """The JSON object that a call's arguments are, slight faults repaired; None where there is none to be had."""
    arguments = arguments_object(text)
    return _repaired(text) if arguments is None else arguments


def _repaired(text: str) -> Object | None:
    repaired = json_in(text)
    return None if repaired is None else arguments_object(repaired)


def _result(part: ToolResultPart, at: str, names: dict[str, str], warnings: list[str]) -> Object:
    if part.is_error:
        warnings.append(f"{at}: is_error is not carried, the result's text must tell it")
    _note_lost(part.extra, (), at, warnings)
    name = part.name or names.get(part.call_id)
    item: Object = {"role": "tool", **content_of(part.content, at, warnings), "tool_call_id": part.call_id}
    return item | ({"tool_name": name} if name is not None else {})


def _note_lost(extra: dict[str, Any], expected: Sequence[str], at: str, warnings: list[str]) -> None:
    warnings += [f"{at}.{name}: left out, this dialect has no place for it" for name in extra if name not in expected]
