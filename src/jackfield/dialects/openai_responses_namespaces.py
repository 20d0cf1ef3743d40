"""Functions in namespaces, as agents offer them for their MCP servers: flat names for sources that know none, and back.

Pure. A flat name is made from both names alone, so that calls in a conversation's history get the same one in every request.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping

import msgspec

from jackfield.core.events import ChatReply, Event, PartStarted
from jackfield.core.messages import Message, Part, ToolCallPart
from jackfield.core.requests import ChatRequest, Tool, ToolChoice
from jackfield.dialects.json_value import Object, read_array, required_text
from jackfield.dialects.openai_responses_freeform import Encodes
from jackfield.dialects.openai_responses_request import BUILT_IN_TOOLS, read_function

NAME_MAX = 64
_NAMESPACE = "namespace"
_DEFERRED = "defer_loading"
_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
Names = dict[str, tuple[str, str]]
"""Flat names with what they stand for: namespace and name."""


def flattened(request: ChatRequest) -> tuple[ChatRequest, Names]:
    """The request with every function of its namespaces among its tools. Raises BadRequest naming a tool that is none.

    What else is in a namespace stays an offer that only the vendor can take up.
    """
    built_in = request.extra.get(BUILT_IN_TOOLS) or []
    if not any(tool.get("type") == _NAMESPACE for tool in built_in):
        return request, {}
    names: Names = {}
    tools, left = list(request.tools), []
    for tool in built_in:
        if tool.get("type") != _NAMESPACE:
            left.append(tool)
            continue
        functions, others = _inside(tool, names)
        tools += functions
        left += [{**tool, "tools": others}] if others else []
    extra = {name: value for name, value in request.extra.items() if name != BUILT_IN_TOOLS}
    flat = msgspec.structs.replace(
        request,
        messages=tuple(map(_flat_message, request.messages)),
        tools=tuple(tools),
        tool_choice=_flat_choice(request.tool_choice),
        extra=extra | ({BUILT_IN_TOOLS: left} if left else {}),
    )
    return flat, names


def flat_name(namespace: str, name: str) -> str:
    """One that every source takes: of letters, digits, _ and -, no longer than 64."""
    whole = _FOREIGN.sub("_", f"{namespace}__{name}")
    if len(whole) <= NAME_MAX:
        return whole
    sign = hashlib.sha256(f"{namespace}\0{name}".encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{whole[: NAME_MAX - 9]}_{sign}"


def restored(reply: ChatReply, names: Mapping[str, tuple[str, str]]) -> ChatReply:
    """The reply with its calls under the names that the client gave them."""
    if not names:
        return reply
    parts = tuple(_restored_part(part, names) for part in reply.message.parts)
    return msgspec.structs.replace(reply, message=msgspec.structs.replace(reply.message, parts=parts))


class RenamingEncoder:
    """As `encoder`, with calls under the names that the client gave them."""

    def __init__(self, encoder: Encodes, names: Mapping[str, tuple[str, str]]) -> None:
        self._encoder = encoder
        self._names = names
        self.restarted = encoder.restarted
        self.end = encoder.end

    def encode(self, event: Event) -> bytes:
        if type(event) is PartStarted and event.name in self._names:
            namespace, name = self._names[event.name]
            event = msgspec.structs.replace(event, name=name, extra={**event.extra, _NAMESPACE: namespace})
        return self._encoder.encode(event)


def _inside(space: Object, names: Names) -> tuple[list[Tool], list[Object]]:
    """The functions of a namespace under flat names, which are noted in `names`; and what is no function."""
    namespace = required_text(space, "name", "tools.namespace")
    at = f"tools.{namespace[:NAME_MAX]}.tools"
    functions: list[Tool] = []
    others: list[Object] = []
    for place, item in enumerate(read_array(space.get("tools") or [], at)):
        if not isinstance(item, dict) or item.get("type") != "function":
            others.append(item)
            continue
        tool = read_function(item, f"{at}[{place}]")
        flat = flat_name(namespace, tool.name)
        names[flat] = namespace, tool.name
        functions.append(msgspec.structs.replace(tool, name=flat, extra=_without(tool.extra, _DEFERRED)))
    return functions, others


def _flat_message(message: Message) -> Message:
    if not any(isinstance(part, ToolCallPart) and part.extra.get(_NAMESPACE) for part in message.parts):
        return message
    return msgspec.structs.replace(message, parts=tuple(_flat_parts(message.parts)))


def _flat_parts(parts: Iterable[Part]) -> Iterable[Part]:
    for part in parts:
        namespace = part.extra.get(_NAMESPACE) if isinstance(part, ToolCallPart) else None
        if isinstance(part, ToolCallPart) and isinstance(namespace, str) and namespace:
            extra = _without(part.extra, _NAMESPACE)
            yield msgspec.structs.replace(part, name=flat_name(namespace, part.name), extra=extra)
        else:
            yield part


def _flat_choice(choice: ToolChoice | None) -> ToolChoice | None:
    namespace = choice.extra.get(_NAMESPACE) if choice is not None else None
    if choice is None or choice.name is None or not isinstance(namespace, str):
        return choice
    return ToolChoice(choice.mode, flat_name(namespace, choice.name), _without(choice.extra, _NAMESPACE))


def _restored_part(part: Part, names: Mapping[str, tuple[str, str]]) -> Part:
    if not isinstance(part, ToolCallPart) or part.name not in names:
        return part
    namespace, name = names[part.name]
    return msgspec.structs.replace(part, name=name, extra={**part.extra, _NAMESPACE: namespace})


def _without(extra: Mapping[str, object], name: str) -> Object:
    return {key: value for key, value in extra.items() if key != name}
