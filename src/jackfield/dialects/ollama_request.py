"""Ollama requests: the fields of /api/chat and /api/generate to a ChatRequest and back.

Knows the top-level fields. A request to generate is a conversation of one turn, whose own fields (`raw`, `suffix`, `template`,
`context`) stay in `extra` and make it such a request again.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.messages import Message, TextPart
from jackfield.core.requests import ChatRequest, Tool, ToolChoice
from jackfield.dialects.json_value import Object, read_flag, read_optional_text, with_extra
from jackfield.dialects.ollama_messages import decode_images, decode_messages, decode_tools
from jackfield.dialects.ollama_options import (
    OTHER_OPTIONS,
    TOP_NAMES,
    decode_format,
    decode_options,
    encode_format,
    encode_options,
    encode_think,
)
from jackfield.dialects.ollama_turns import content_of, encode_messages
from jackfield.dialects.plain_turns import said_fields

_encode = msgspec.json.Encoder().encode
Form = Literal["chat", "generate"]
_SHARED = ("model", "stream", "format", "options", "think", *TOP_NAMES.values())
_READ: Mapping[Form, frozenset[str]] = {
    "chat": frozenset((*_SHARED, "messages", "tools")),
    "generate": frozenset((*_SHARED, "prompt", "system", "images")),
}
_GENERATE_FIELDS = ("raw", "suffix", "template", "context", "width", "height", "steps")
OWN_FIELDS = ("keep_alive", "truncate", "shift", "think", *_GENERATE_FIELDS)
"""Top-level fields that core has no name for and a source of this dialect takes."""


def decode_request(fields: Mapping[str, msgspec.Raw], *, form: Form = "chat") -> ChatRequest:
    """A validated request. null counts as not said; fields without a core name stay in `extra`.

    Without a word about it a stream is wanted: that is Ollama's way. Raises BadRequest with `param` as the place.
    """
    values = said_fields(fields)
    generation, left = decode_options(values.get("options"), values)
    extra = {name: value for name, value in values.items() if name not in _READ[form]}
    streams = read_flag(values.get("stream"), "stream")
    return ChatRequest(
        messages=decode_messages(values.get("messages")) if form == "chat" else _prompt(values),
        model=read_optional_text(values.get("model"), "model") or None,
        generation=generation,
        tools=decode_tools(values.get("tools")) if form == "chat" else (),
        response_format=decode_format(values.get("format")),
        stream=True if streams is None else streams,
        include_usage=True,
        extra=extra | ({"options": left} if left else {}),
    )


def _prompt(values: Mapping[str, Any]) -> tuple[Message, ...]:
    system = read_optional_text(values.get("system"), "system")
    prompt = read_optional_text(values.get("prompt"), "prompt") or ""
    images = decode_images(values.get("images"), "images")
    user = Message("user", (TextPart(prompt), *images))
    return (Message("system", (TextPart(system),)), user) if system else (user,)


def form_of(request: ChatRequest) -> Form:
    """Which call the request is for: one that has a field of /api/generate, and no more than a prompt, goes there."""
    roles = tuple(message.role for message in request.messages)
    is_prompt = roles in (("user",), ("system", "user")) and not request.tools
    return "generate" if is_prompt and any(request.extra.get(name) for name in _GENERATE_FIELDS) else "chat"


def path_of(form: Form) -> str:
    """The call's path from the server's root."""
    return f"api/{form}"


def encode_request(request: ChatRequest, *, model: str) -> tuple[bytes, list[str]]:
    """The body for `path_of(form_of(request))`, and a warning for everything in the request that it does not carry.

    Raises NotSupported for content that has no form here, BadRequest for a request that says nothing.
    """
    warnings: list[str] = []
    body: Object = {"model": model, "stream": request.stream}
    if form_of(request) == "generate":
        body |= _encode_prompt(request, warnings)
    else:
        body["messages"] = encode_messages(request.messages, warnings)
        if tools := _encode_tools(request.tools, request.tool_choice, warnings):
            body["tools"] = tools
    body |= encode_format(request.response_format, warnings)
    body |= _encode_settings(request, warnings)
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def _encode_prompt(request: ChatRequest, warnings: list[str]) -> Object:
    user = content_of(request.messages[-1].parts, f"messages[{len(request.messages) - 1}]", warnings)
    body: Object = {"prompt": user.pop("content"), **user}
    if len(request.messages) > 1:
        body["system"] = request.messages[0].text
    return body


def _encode_tools(tools: tuple[Tool, ...], choice: ToolChoice | None, warnings: list[str]) -> list[Object]:
    mode = choice.mode if choice is not None else "auto"
    if mode == "none":
        return []
    if mode in ("required", "named"):
        warnings.append("tool_choice: left out, the source lets the model choose")
    warnings += [f"tools: strict of {tool.name} is left out, the source does not take it" for tool in tools if tool.strict]
    return [_encode_tool(tool) for tool in tools]


def _encode_tool(tool: Tool) -> Object:
    function: Object = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    return with_extra({"type": "function", "function": function}, tool.extra, "function")


def _encode_settings(request: ChatRequest, warnings: list[str]) -> Object:
    """Options and what stands beside them. What was given in Ollama's own names counts."""
    generation = request.generation
    given = request.extra.get("options")
    others: Object = {name: value for name, value in request.extra.items() if name in OTHER_OPTIONS}
    others |= given if isinstance(given, dict) else {}
    fields: Object = {}
    if options := encode_options(generation, others):
        fields["options"] = options
    for core, wire in TOP_NAMES.items():
        if (value := getattr(generation, core)) is not None:
            fields[wire] = value
    if generation.reasoning_effort is not None:
        fields |= encode_think(generation.reasoning_effort, warnings)
    if generation.parallel_tool_calls is False:
        warnings.append("parallel_tool_calls: left out, the source does not take it")
    if request.user is not None:
        warnings.append("user: left out, the source does not take it")
    for name, value in request.extra.items():
        if name in OWN_FIELDS:
            fields[name] = value
        elif name not in OTHER_OPTIONS and name not in ("options", "stream_options", *request.restated):
            warnings.append(f"{name}: left out, it is no parameter of this dialect (options may hold it)")
    return fields
