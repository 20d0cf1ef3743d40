"""Core requests to bodies of Cohere's chat API.

Knows its top-level fields and their bounds. A value out of bounds is sent as the nearest one that is taken, and said so; what
has no place is left out and named in a warning.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool
from jackfield.dialects.cohere_chat_messages import Turns
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
}
_BOUNDS: dict[str, tuple[float, float]] = {
    "top_p": (0.01, 0.99),
    "top_k": (0, 500),
    "frequency_penalty": (0.0, 1.0),
    "presence_penalty": (0.0, 1.0),
}
_PENALTIES = ("frequency_penalty", "presence_penalty")
_BUDGETS = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16_384, "xhigh": 31_000, "max": 31_000}
"""How many tokens of thinking an effort is worth; their longest answer, thinking included, has 32000."""
_HANDLED = (*_NAMES, "reasoning_effort")
_OWN_FIELDS = ("citation_options", "documents", "priority", "safety_mode", "strict_tools", "thinking")
_QUIET = ("stream_options",)


def encode_request(request: ChatRequest, *, model: str) -> tuple[bytes, list[str]]:
    """The body for a source, and a warning for everything in the request that it does not carry.

    Raises NotSupported for content that no block can hold, BadRequest for a request that says nothing.
    """
    warnings: list[str] = []
    body: Object = {"model": model, **_thinking(request, warnings)}
    thinks = isinstance(body.get("thinking"), dict) and body["thinking"].get("type") == "enabled"
    body["messages"] = Turns(warnings, thinks=thinks).encode(request.messages)
    body |= _sampling(request.generation, warnings) | _tools(request, warnings) | _format(request.response_format)
    _add_extra(request, body, warnings)
    if request.stream:
        body["stream"] = True
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def _thinking(request: ChatRequest, warnings: list[str]) -> Object:
    given = None if "thinking" in request.restated else request.extra.get("thinking")
    effort = request.generation.reasoning_effort
    if given is not None or effort is None:
        return {} if given is None else {"thinking": given}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if effort not in _BUDGETS:
        warnings.append(f"reasoning_effort: left out, {effort[:40]!r} is none of {', '.join(_BUDGETS)}")
        return {}
    budget, limit = _BUDGETS[effort], request.generation.max_tokens
    # Thinking is part of the answer's length: half of what is allowed is left for the answer itself.
    return {"thinking": {"type": "enabled", "token_budget": budget if limit is None else min(budget, max(1, limit // 2))}}


def _sampling(generation: Generation, warnings: list[str]) -> Object:
    fields: Object = {}
    for name, value in msgspec.structs.asdict(generation).items():
        if value is None or name == "reasoning_effort" or (name in _PENALTIES and value == 0):
            continue  # a penalty of 0 is their default, and some models take only one of the two
        if name in _HANDLED:
            fields[_NAMES[name]] = _bounded(name, value, warnings)
        elif not (name == "parallel_tool_calls" and value is True):
            warnings.append(_left_out(name))
    return fields


def _bounded(name: str, value: Any, warnings: list[str]) -> Any:
    low, high = _BOUNDS.get(name, (None, None))
    if low is None or high is None or low <= value <= high:
        return value
    nearest = type(value)(low if value < low else high)
    warnings.append(f"{name}: {value:g} is sent as {nearest:g}, the nearest that the source takes")
    return nearest


def _left_out(name: str) -> str:
    return f"{name}: left out, the source does not take it"


def _tools(request: ChatRequest, warnings: list[str]) -> Object:
    choice = request.tool_choice
    tools = request.tools
    if not tools:
        if choice is not None and choice.mode in ("required", "named"):
            warnings.append("tool_choice: left out, there are no tools")
        return {}
    fields: Object = {}
    match choice.mode if choice is not None else "auto":
        case "none":
            fields["tool_choice"] = "NONE"
        case "required":
            fields["tool_choice"] = "REQUIRED"
        case "named":
            # No tool can be named: who may call only one, and must call, calls that one.
            fields["tool_choice"] = "REQUIRED"
            tools = tuple(tool for tool in tools if choice is not None and tool.name == choice.name)
            if not tools:
                raise BadRequest(f"tool_choice names {choice and choice.name!r}, which is not in tools", param="tool_choice")
    return {"tools": [_tool(tool, warnings) for tool in tools], **fields, **_strictness(tools, warnings)}


def _tool(tool: Tool, warnings: list[str]) -> Object:
    function: Object = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    warnings += [f"tools: {name} of {tool.name} is left out, this dialect has no place for it" for name in tool.extra]
    return {"type": "function", "function": function}


def _strictness(tools: Sequence[Tool], warnings: list[str]) -> Object:
    """Strict or not is said once for all tools."""
    strict = [tool.strict for tool in tools]
    if all(strict):
        return {"strict_tools": True}
    if any(strict):
        warnings.append("tools: strict is left out, the source takes it for all tools or for none")
    return {}


def _format(form: ResponseFormat | None) -> Object:
    if form is None or form.kind == "text":
        return {}
    schema = {"json_schema": form.schema} if form.schema is not None else {}
    return {"response_format": {"type": "json_object", **schema}}


def _add_extra(request: ChatRequest, body: Object, warnings: list[str]) -> None:
    if request.user is not None:
        warnings.append(_left_out("user"))
    for name, value in request.extra.items():
        if name in request.restated:
            continue
        if name in _OWN_FIELDS:
            body[name] = value
        elif name not in _QUIET:
            warnings.append(f"{name}: left out, it is no parameter of this dialect")
