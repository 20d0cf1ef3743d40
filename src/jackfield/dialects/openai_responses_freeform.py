"""Freeform (`custom`) tools, whose input is plain text: as functions with one text for sources that know no others, and back.

Pure. Works on a request's values before they are read, so that all else of them is read as for any function. What a call in
the history was is told by its own type: nothing of an earlier request has to be known.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from jackfield.core.events import ChatReply, Event, PartEnded, PartStarted, ToolCallDelta
from jackfield.core.messages import Part, ToolCallPart
from jackfield.dialects.json_value import Object, read_object, read_optional_text, required_text
from jackfield.dialects.openai_responses_items import FREEFORM_CALL

Freeform = set[tuple[str | None, str]]
"""Namespace, None for a tool that is in none, and name of each freeform tool."""
INPUT = "input"
_TOOL, _CALL_OUTPUT, _NAMESPACE = "custom", "custom_tool_call_output", "namespace"
_PARAMETERS: Object = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": [INPUT],
    "additionalProperties": False,
}
_PLAIN = "Everything goes into `input` as plain text: no JSON inside it, no code fence around it."
_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_PIECE = re.compile(
    r"""[^"\\]+ | \\["\\/bfnrt] | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    | \\u(?![dD][89abAB])[0-9a-fA-F]{4}""",
    re.VERBOSE,
)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Encodes(Protocol):
    """An encoder of streams, as far as one stands before it."""

    def encode(self, event: Event) -> bytes: ...
    def restarted(self, discard_chars: int) -> bytes: ...
    def end(self) -> bytes: ...


def as_functions(values: Object) -> tuple[Object, Freeform]:
    """A request's values with functions in place of its freeform tools and of calls of such. Raises BadRequest."""
    found: Freeform = set()
    told = dict(values)
    tools, items, choice = values.get("tools"), values.get("input"), values.get("tool_choice")
    if isinstance(tools, list):
        told["tools"] = _tools(tools, "tools", None, found)
    if isinstance(items, list):
        told["input"] = [_item(item, place) for place, item in enumerate(items)]
    if isinstance(choice, dict) and choice.get("type") == _TOOL:
        told["tool_choice"] = {**choice, "type": "function"}
    return told, found


def restored(reply: ChatReply, freeform: Freeform) -> ChatReply:
    """The reply with its calls of freeform tools marked as such, their arguments the text itself. Names are the client's."""
    if not freeform:
        return reply
    parts = tuple(_restored_part(part, freeform) for part in reply.message.parts)
    return msgspec.structs.replace(reply, message=msgspec.structs.replace(reply.message, parts=parts))


class FreeformEncoder:
    """As `encoder`, with calls of freeform tools told as such and their text as it grows. Names are the client's."""

    def __init__(self, encoder: Encodes, freeform: Freeform) -> None:
        self._encoder = encoder
        self._freeform = freeform
        self._growing: dict[int, GrowingInput] = {}
        self.restarted = encoder.restarted
        self.end = encoder.end

    def encode(self, event: Event) -> bytes:
        told = b""
        if type(event) is PartStarted and event.kind == "tool_call" and _is_freeform(event, self._freeform):
            self._growing[event.index] = GrowingInput()
            event = msgspec.structs.replace(event, extra={**event.extra, "type": FREEFORM_CALL})
        elif type(event) is ToolCallDelta and event.index in self._growing:
            event = ToolCallDelta(event.index, self._growing[event.index].feed(event.arguments))
        elif type(event) is PartEnded and event.index in self._growing:
            told = self._encoder.encode(ToolCallDelta(event.index, self._growing.pop(event.index).end()))
        return told + self._encoder.encode(event)


class GrowingInput:
    """The text in a function's arguments while they come, cut anywhere. Arguments of another form are told at their end."""

    def __init__(self) -> None:
        self._came: list[str] = []
        self._unread = ""
        self._is_ours = False
        self._told: list[str] = []

    def feed(self, arguments: str) -> str:
        """What is sure of the text now."""
        self._came.append(arguments)
        self._unread += arguments
        at = 0
        if not self._is_ours:
            head = _HEAD.match(self._unread)
            if head is None:
                return ""
            self._is_ours, at = True, head.end()
        pieces = []
        while piece := _PIECE.match(self._unread, at):
            pieces.append(_plain(piece.group()))
            at = piece.end()
        self._unread = self._unread[at:]
        text = "".join(pieces)
        self._told.append(text)
        return text

    def end(self) -> str:
        """What was not told yet. What was told stands, whatever the arguments turn out to be."""
        told, whole = "".join(self._told), input_of("".join(self._came))
        return whole.removeprefix(told) if whole.startswith(told) else ""


def input_of(arguments: str) -> str:
    """The text in a function's arguments; where they are none of ours, they are the text that the model meant."""
    try:
        given = _decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # broken off, or with line breaks as they are
        return GrowingInput().feed(arguments) if _HEAD.match(arguments) else arguments
    text = given.get(INPUT) if isinstance(given, dict) else given
    return text if isinstance(text, str) else arguments


def _plain(piece: str) -> str:
    return str(_decode(f'"{piece}"')) if piece.startswith("\\") else piece


def _tools(tools: list[Any], at: str, namespace: str | None, found: Freeform) -> list[Any]:
    told = []
    for place, tool in enumerate(tools):
        match tool:
            case {"type": "custom"}:
                tool = _function(tool, f"{at}[{place}]")
                found.add((namespace, tool["name"]))
            case {"type": "namespace", "name": str(name), "tools": list(inner)}:
                tool = {**tool, "tools": _tools(inner, f"{at}[{place}].tools", name, found)}
        told.append(tool)
    return told


def _function(tool: Object, at: str) -> Object:
    described = read_optional_text(tool.get("description"), f"{at}.description")
    told = [described, _PLAIN, _grammar(tool.get("format"), f"{at}.format")]
    return {
        "type": "function",
        "name": required_text(tool, "name", at),
        "description": "\n\n".join(text for text in told if text),
        "parameters": _PARAMETERS,
    }


def _grammar(format_: Any, at: str) -> str | None:
    """No source is held to it here: the model is told."""
    form = {} if format_ is None else read_object(format_, at)
    if form.get("type") != "grammar":
        return None
    return f"It must match this {required_text(form, 'syntax', at)} grammar:\n{required_text(form, 'definition', at)}"


def _item(item: Any, place: int) -> Any:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == FREEFORM_CALL:
        text = required_text(item, INPUT, f"input[{place}]")
        kept = {name: value for name, value in item.items() if name != INPUT}
        return {**kept, "type": "function_call", "arguments": _encode({INPUT: text}).decode()}
    return {**item, "type": "function_call_output"} if kind == _CALL_OUTPUT else item


def _restored_part(part: Part, freeform: Freeform) -> Part:
    if not isinstance(part, ToolCallPart) or not _is_freeform(part, freeform):
        return part
    return msgspec.structs.replace(part, arguments=input_of(part.arguments), extra={**part.extra, "type": FREEFORM_CALL})


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...


def _is_freeform(call: _Named, freeform: Freeform) -> bool:
    namespace = call.extra.get(_NAMESPACE)
    return (namespace if isinstance(namespace, str) else None, call.name) in freeform
