"""Core requests to bodies of the Converse API.

Knows its top-level fields. Parameters that only some models take go where AWS wants them (`additionalModelRequestFields`), by
the maker's name in the model id; what has no place is left out and named in a warning.
"""

from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import ChatRequest, ResponseFormat, Tool
from jackfield.dialects.bedrock_converse_blocks import CACHE_POINT, Turns
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
_INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
# What the models of one maker take beside the common fields, by core's name and by theirs.
_MAKERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("anthropic.", {"top_k": "top_k"}),
    ("mistral.", {"top_k": "top_k"}),
    ("openai.", {"seed": "seed", "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty"}),
)
_OWN_FIELDS = (
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
)
_HANDLED = (*_INFERENCE, "reasoning_effort")


def encode_request(request: ChatRequest, *, model: str) -> tuple[bytes, list[str]]:
    """The body for a source, and a warning for everything in the request that it does not carry.

    The model and whether to stream are in the address. Raises NotSupported for content that no block can hold, BadRequest for a
    request that says nothing.
    """
    warnings: list[str] = []
    turns = Turns(warnings)
    turns.add(request.messages)
    body: Object = {"messages": turns.messages}
    if turns.system:
        body["system"] = turns.system
    if inference := _inference(request):
        body["inferenceConfig"] = inference
    if tools := _tool_config(request, turns, warnings):
        body["toolConfig"] = tools
    if output := _output_config(request, warnings):
        body["outputConfig"] = output
    if model_fields := _model_fields(request, model, warnings):
        body["additionalModelRequestFields"] = model_fields
    _add_extra(request, body, warnings)
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def encode_count(body: bytes) -> bytes:
    """A CountTokens body for what `encode_request` gave."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    counted = ("messages", "system", "toolConfig", "additionalModelRequestFields")
    return _encode({"input": {"converse": {name: fields[name] for name in counted if name in fields}}})


def _inference(request: ChatRequest) -> Object:
    given = msgspec.structs.asdict(request.generation)
    return {wire: given[core] for core, wire in _INFERENCE.items() if given[core] is not None}


def _tool_config(request: ChatRequest, turns: Turns, warnings: list[str]) -> Object:
    choice = request.tool_choice
    if choice is not None and choice.mode == "none" and not turns.called:
        return {}
    specs: list[Object] = []
    for tool in request.tools:
        specs += _tool(tool, warnings)
    declared = {tool.name for tool in request.tools}
    for name in dict.fromkeys(turns.called):
        if name not in declared:
            # The API refuses a history with calls to tools that are not declared.
            specs.append({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})
    if not specs:
        return {}
    config: Object = {"tools": specs}
    match choice.mode if choice is not None else None:
        case "auto":
            config["toolChoice"] = {"auto": {}}
        case "required":
            config["toolChoice"] = {"any": {}}
        case "named":
            config["toolChoice"] = {"tool": {"name": choice.name if choice else None}}
        case "none":
            warnings.append("tool_choice: none is left out, the source cannot be kept from calling tools")
    return config


def _tool(tool: Tool, warnings: list[str]) -> list[Object]:
    spec: Object = {"name": tool.name, "inputSchema": {"json": tool.parameters or {"type": "object", "properties": {}}}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    for name in tool.extra:
        if name != "cache_control":
            warnings.append(f"tools: {name} of {tool.name} is left out, this dialect has no place for it")
    return [{"toolSpec": spec}, *([CACHE_POINT] if tool.extra.get("cache_control") else [])]


def _output_config(request: ChatRequest, warnings: list[str]) -> Object:
    config: Object = {}
    effort = request.generation.reasoning_effort
    if effort is not None:
        if effort in _EFFORTS:
            config["effort"] = _EFFORTS[effort]
        elif effort != "none":
            warnings.append(f"reasoning_effort: left out, {effort[:40]!r} is none of {', '.join(_EFFORTS)}")
    return config | _text_format(request.response_format, warnings)


def _text_format(form: ResponseFormat | None, warnings: list[str]) -> Object:
    if form is None or form.kind == "text":
        return {}
    if form.kind == "json" or form.schema is None:
        warnings.append("response_format: left out, the source takes a JSON schema only")
        return {}
    schema: Object = {"schema": _encode(form.schema).decode()}
    if form.name:
        schema["name"] = form.name
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _model_fields(request: ChatRequest, model: str, warnings: list[str]) -> Object:
    names = next((names for maker, names in _MAKERS if maker in model), {})
    fields: Object = {}
    for core, value in msgspec.structs.asdict(request.generation).items():
        if value is None or core in _HANDLED:
            continue
        if core in names:
            fields[names[core]] = value
        elif not (core == "parallel_tool_calls" and value is True):
            warnings.append(f"{core}: left out, the source does not take it")
    return fields


def _add_extra(request: ChatRequest, body: Object, warnings: list[str]) -> None:
    if request.user is not None:
        warnings.append("user: left out, the source does not take it")
    for name, value in request.extra.items():
        if name not in _OWN_FIELDS:
            if name != "stream_options" and name not in request.restated:
                warnings.append(f"{name}: left out, it is no parameter of this dialect")
        else:
            body[name] = _merged(body.get(name), value)


def _merged(ours: Any, given: Any) -> Any:
    return {**ours, **given} if isinstance(ours, dict) and isinstance(given, dict) else given
