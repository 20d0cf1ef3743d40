"""Ollama's `messages` to core messages; the way back is in ollama_turns.py.

Knows roles, thoughts, images and tool calls, whose arguments are objects here. Reading is strict and names the place. A call
without an id gets one, and the result that follows the same, by name and order.
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.messages import ImagePart, Message, Part, ReasoningPart, Role, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.requests import Tool
from jackfield.dialects.json_value import (
    Object,
    missing,
    read_array,
    read_object,
    read_optional_text,
    read_text,
    required_text,
    rest,
)
from jackfield.dialects.open_calls import OpenCalls
from jackfield.dialects.plain_turns import plain_turn

_encode = msgspec.json.Encoder().encode
_ROLES = ("system", "user", "assistant", "tool")
_PLAIN_ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_FIELDS = ("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id", "name")
_SIGNS = (("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp"))
_UNSIGNED = "image/jpeg"


def decode_messages(value: Any) -> tuple[Message, ...]:
    """Raises BadRequest whose `param` is the place, such as messages[0].tool_calls[1].function.name."""
    if value is None:
        raise missing("messages")
    items = read_array(value, "messages")
    if not items:
        raise BadRequest("messages must hold at least one message", param="messages")
    reader = _Reader()
    return tuple(
        [plain_turn(item, _PLAIN_ROLES) or reader.read(item, f"messages[{index}]") for index, item in enumerate(items)]
    )


def decode_images(value: Any, at: str) -> list[ImagePart]:
    """Images, whose kind is told by how their bytes begin. Raises BadRequest."""
    if value is None:
        return []
    images = [read_text(item, f"{at}[{index}]") for index, item in enumerate(read_array(value, at))]
    return [ImagePart(data=data, media_type=_kind_of(data)) for data in images]


def _kind_of(data: str) -> str:
    return next((kind for sign, kind in _SIGNS if data.startswith(sign)), _UNSIGNED)


def decode_tools(value: Any) -> tuple[Tool, ...]:
    """Raises BadRequest naming the place."""
    if value is None:
        return ()
    return tuple(_tool(item, f"tools[{index}]") for index, item in enumerate(read_array(value, "tools")))


def _tool(value: Any, at: str) -> Tool:
    tool = read_object(value, at)
    function = read_object(tool.get("function"), f"{at}.function")
    parameters = function.get("parameters")
    return Tool(
        required_text(function, "name", f"{at}.function"),
        read_optional_text(function.get("description"), f"{at}.function.description"),
        None if parameters is None else read_object(parameters, f"{at}.function.parameters"),
        extra=rest(tool, ("type", "function"), {"function": rest(function, ("name", "description", "parameters"))}),
    )


class _Reader:
    """Reads messages in order, because a result without an id answers the first open call of its name."""

    def __init__(self) -> None:
        self._calls = 0
        self._open = OpenCalls()

    def read(self, value: Any, at: str) -> Message:
        item = read_object(value, at)
        role = required_text(item, "role", at)
        if role == "developer":
            role = "system"
        if role not in _ROLES:
            raise BadRequest(f"{at}.role must be one of {', '.join(_ROLES)}, got {role[:40]!r}", param=f"{at}.role")
        text = read_optional_text(item.get("content"), f"{at}.content") or ""
        images = decode_images(item.get("images"), f"{at}.images")
        extra = rest(item, _FIELDS)
        if role == "tool":
            return Message("tool", (self._result(item, at, text, images),), extra=extra)
        parts: list[Part] = []
        thinking = read_optional_text(item.get("thinking"), f"{at}.thinking")
        if thinking:
            parts.append(ReasoningPart(thinking))
        calls = item.get("tool_calls")
        if text or not (thinking or images or calls):
            parts.append(TextPart(text))
        parts += images
        for index, call in enumerate(read_array(calls, f"{at}.tool_calls") if calls is not None else ()):
            parts.append(self._call(call, f"{at}.tool_calls[{index}]"))
        return Message(cast("Role", role), tuple(parts), extra=extra)

    def _call(self, value: Any, at: str) -> ToolCallPart:
        call = read_object(value, at)
        function = read_object(call.get("function"), f"{at}.function")
        name = required_text(function, "name", f"{at}.function")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = _encode({} if arguments is None else read_object(arguments, f"{at}.function.arguments")).decode()
        self._calls += 1
        id_ = read_optional_text(call.get("id"), f"{at}.id") or f"call_{self._calls}"
        self._open.add(name, id_)
        left = {"function": rest(function, ("name", "arguments", "index"))}
        return ToolCallPart(id_, name, arguments, rest(call, ("id", "type", "function"), left))

    def _result(self, item: Object, at: str, text: str, images: Sequence[ImagePart]) -> ToolResultPart:
        name = read_optional_text(item.get("tool_name"), f"{at}.tool_name") or read_optional_text(
            item.get("name"), f"{at}.name"
        )
        id_ = read_optional_text(item.get("tool_call_id"), f"{at}.tool_call_id") or self._answered(name)
        name = name or self._open.name_of(id_)
        self._open.answered(id_)
        return ToolResultPart(id_, (TextPart(text), *images), name)

    def _answered(self, name: str | None) -> str:
        return self._open.first(name) or f"call_{name or self._calls}"
