"""Gemini's `contents` and `systemInstruction` to core messages; the way back is in gemini_turns.py.

Knows turns and their parts. Reading is strict and names the place. A call without an id gets one, and the response to it the
same, by name and order. Parts that only Gemini has (code it ran) are told as not supported.
"""

from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import ContentPart, Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from jackfield.dialects.gemini_media import decode_file, decode_inline
from jackfield.dialects.gemini_names import camel, signed, spelled
from jackfield.dialects.json_value import (
    Object,
    missing,
    read_array,
    read_object,
    read_optional_text,
    read_text,
    required_text,
)
from jackfield.dialects.open_calls import OpenCalls

_encode = msgspec.json.Encoder().encode
_ROLES = ("user", "model", "function", "tool", "system")
PART_EXTRAS = ("videoMetadata", "mediaResolution", "partMetadata")
"""What stands beside a part's content and no core type names."""


def decode_system(value: Any) -> tuple[Message, ...]:
    """None or one system message, from a Content or (as some clients write it) a text. Raises BadRequest."""
    at = "systemInstruction"
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message("system", (TextPart(value),)),)
    content = spelled(value, at)
    plain = _plain_texts(content.get("parts"))
    if plain is not None:
        return (Message("system", plain),) if plain else ()
    parts = _parts(content.get("parts"), at)
    texts = tuple(TextPart(read_text(camel(part).get("text"), f"{at}.parts")) for part in parts)
    return (Message("system", texts),) if texts else ()


def decode_contents(value: Any) -> tuple[Message, ...]:
    """Raises BadRequest or NotSupported whose `param` is the place, such as contents[0].parts[1].text."""
    if value is None:
        raise missing("contents")
    items = read_array(value, "contents")
    if not items:
        raise BadRequest("contents must hold at least one content", param="contents")
    reader = _Reader()
    messages: list[Message] = []
    for index, item in enumerate(items):
        plain = _plain_turn(item)
        if plain is not None:
            messages.append(plain)
        else:
            messages += reader.read(item, f"contents[{index}]")
    return tuple(messages)


def _plain_turn(value: Any) -> Message | None:
    """The message of a turn of the user's or the model's that holds texts and nothing else; None for any other turn."""
    if type(value) is not dict or len(value) != 2 or (role := value.get("role")) not in ("user", "model"):
        return None
    texts = _plain_texts(value.get("parts"))
    return None if texts is None else Message("user" if role == "user" else "assistant", texts)


def _plain_texts(parts: Any) -> tuple[TextPart, ...] | None:
    """The texts of a list of parts that say nothing else; None for any other value."""
    if type(parts) is not list:
        return None
    texts = [
        TextPart(part["text"]) for part in parts if type(part) is dict and len(part) == 1 and type(part.get("text")) is str
    ]
    return tuple(texts) if len(texts) == len(parts) else None


def _parts(value: Any, at: str) -> list[Object]:
    if isinstance(value, dict):
        return [value]
    items = read_array(value if value is not None else [], f"{at}.parts")
    return [read_object(item, f"{at}.parts[{index}]") for index, item in enumerate(items)]


class _Reader:
    """Reads contents in order, because a response without an id answers the first open call of its name."""

    def __init__(self) -> None:
        self._calls = 0
        self._open = OpenCalls()

    def read(self, value: Any, at: str) -> list[Message]:
        """One turn: the tool results in it are a message of their own, before the rest."""
        content = spelled(value, at)
        role = read_optional_text(content.get("role"), f"{at}.role") or "user"
        if role not in _ROLES:
            raise BadRequest(f"{at}.role must be user or model, got {role[:40]!r}", param=f"{at}.role")
        items = _parts(content.get("parts"), at)
        parts = [self._part(item, f"{at}.parts[{index}]") for index, item in enumerate(items)]
        results = tuple(part for part in parts if isinstance(part, ToolResultPart))
        others = tuple(part for part in parts if not isinstance(part, ToolResultPart))
        messages = [Message("tool", results)] if results else []
        if others or not results:
            messages.append(Message("assistant" if role == "model" else "system" if role == "system" else "user", others))
        return messages

    def _part(self, value: Object, at: str) -> Part:
        part = camel(value)
        extra = {name: part[name] for name in PART_EXTRAS if part.get(name) is not None}
        signature = read_optional_text(part.get("thoughtSignature"), f"{at}.thoughtSignature")
        if part.get("text") is not None:
            text = read_text(part["text"], f"{at}.text")
            return ReasoningPart(text, signature) if part.get("thought") is True else TextPart(text, extra | signed(signature))
        if part.get("functionCall") is not None:
            return self._call(part["functionCall"], f"{at}.functionCall", signed(signature))
        if part.get("functionResponse") is not None:
            return self._response(part["functionResponse"], f"{at}.functionResponse")
        if part.get("inlineData") is not None:
            return decode_inline(part["inlineData"], f"{at}.inlineData", extra)
        if part.get("fileData") is not None:
            return decode_file(part["fileData"], f"{at}.fileData", extra)
        kinds = [name for name in part if name not in (*PART_EXTRAS, "thought", "thoughtSignature")]
        if not kinds:
            return ReasoningPart("", signature) if part.get("thought") is True else TextPart("", extra | signed(signature))
        raise NotSupported(f"{at}: {kinds[0]} is only for a source that takes requests of this form as they are", param=at)

    def _call(self, value: Any, at: str, extra: Object) -> ToolCallPart:
        call = spelled(value, at)
        name = required_text(call, "name", at)
        self._calls += 1
        id_ = read_optional_text(call.get("id"), f"{at}.id") or f"call_{self._calls}"
        args = call.get("args")
        self._open.add(name, id_)
        return ToolCallPart(id_, name, _encode({} if args is None else read_object(args, f"{at}.args")).decode(), extra)

    def _response(self, value: Any, at: str) -> ToolResultPart:
        response = spelled(value, at)
        name = required_text(response, "name", at)
        id_ = read_optional_text(response.get("id"), f"{at}.id")
        if not id_:
            id_ = self._open.first(name) or f"call_{name}"
        self._open.answered(id_)
        told = response.get("response")
        content, is_error = _told({} if told is None else read_object(told, f"{at}.response"))
        shown = tuple(_shown(part, f"{at}.parts[{index}]") for index, part in enumerate(_parts(response.get("parts"), at)))
        return ToolResultPart(id_, (TextPart(content), *shown), name, is_error)


def _told(response: Object) -> tuple[str, bool]:
    """A function's answer as text, and whether it is an error: what is alone under `output` or `error`, or all of it."""
    if len(response) == 1:
        ((name, value),) = response.items()
        if name in ("output", "result", "error"):
            return value if isinstance(value, str) else _encode(value).decode(), name == "error"
    return _encode(response).decode(), False


def _shown(value: Object, at: str) -> ContentPart:
    part = camel(value)
    if part.get("inlineData") is not None:
        return decode_inline(part["inlineData"], f"{at}.inlineData", {})
    return decode_file(part.get("fileData"), f"{at}.fileData", {})
