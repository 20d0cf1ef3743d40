"""Gemini's `tools` and `toolConfig` to core tools and back.

Knows functions; Google's own tools (search, code) are kept as they came and sent to a source of this dialect only.
"""

from collections.abc import Sequence
from typing import Any

from jackfield.core.errors import BadRequest
from jackfield.core.requests import Tool, ToolChoice
from jackfield.dialects.gemini_names import spelled
from jackfield.dialects.gemini_schema import to_json_schema
from jackfield.dialects.json_value import (
    Object,
    read_array,
    read_object,
    read_optional_text,
    read_text,
    required_text,
    rest,
)

_FUNCTION = ("name", "description", "parameters", "parametersJsonSchema")
_FUNCTION_EXTRAS = ("response", "responseJsonSchema", "behavior")
_MODES = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_WIRE_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def decode_tools(value: Any) -> tuple[tuple[Tool, ...], list[Object]]:
    """The functions, and the tools that are Google's own. Raises BadRequest."""
    if value is None:
        return (), []
    tools: list[Tool] = []
    others: list[Object] = []
    for index, item in enumerate(read_array(value, "tools")):
        at = f"tools[{index}]"
        tool = spelled(item, at)
        functions = tool.get("functionDeclarations")
        for number, function in enumerate([] if functions is None else read_array(functions, f"{at}.functionDeclarations")):
            tools.append(_function(function, f"{at}.functionDeclarations[{number}]"))
        if left := rest(tool, ("functionDeclarations",)):
            others.append(left)
    return tuple(tools), others


def _function(value: Any, at: str) -> Tool:
    function = spelled(value, at)
    name = required_text(function, "name", at)
    if not name:
        raise BadRequest(f"{at}.name must not be empty", param=f"{at}.name")
    schema = function.get("parametersJsonSchema")
    if schema is not None:
        schema = read_object(schema, f"{at}.parametersJsonSchema")
    elif function.get("parameters") is not None:
        schema = to_json_schema(read_object(function["parameters"], f"{at}.parameters"))
    description = read_optional_text(function.get("description"), f"{at}.description")
    return Tool(name, description, schema, extra=rest(function, _FUNCTION))


def decode_choice(value: Any) -> tuple[ToolChoice | None, Object]:
    """What `toolConfig` says of functions, and the rest of it. Raises BadRequest."""
    if value is None:
        return None, {}
    at = "toolConfig.functionCallingConfig"
    config = spelled(value, "toolConfig")
    left = rest(config, ("functionCallingConfig",))
    if config.get("functionCallingConfig") is None:
        return None, left
    calling = spelled(config["functionCallingConfig"], at)
    mode = read_text(calling.get("mode") or "AUTO", f"{at}.mode").upper()
    if mode not in (*_MODES, "MODE_UNSPECIFIED"):
        raise BadRequest(f"{at}.mode must be one of {', '.join(_MODES)}, got {mode[:40]!r}", param=f"{at}.mode")
    names = calling.get("allowedFunctionNames")
    allowed = [read_text(name, f"{at}.allowedFunctionNames") for name in read_array(names if names is not None else [], at)]
    if mode == "ANY" and len(allowed) == 1:
        return ToolChoice("named", allowed[0]), left
    extra = {"allowedFunctionNames": allowed} if allowed else {}
    match _MODES.get(mode, "auto"):
        case "none":
            return ToolChoice("none", extra=extra), left
        case "required":
            return ToolChoice("required", extra=extra), left
        case _:
            return ToolChoice("auto", extra=extra), left


def encode_tools(tools: Sequence[Tool], others: Any, warnings: list[str]) -> list[Object]:
    """All functions stand in one tool; `others` are Google's own, as they were given."""
    functions = [_encode_function(tool, warnings) for tool in tools]
    items = [{"functionDeclarations": functions}] if functions else []
    return items + [item for item in (others if isinstance(others, list) else ()) if isinstance(item, dict)]


def _encode_function(tool: Tool, warnings: list[str]) -> Object:
    item: Object = {"name": tool.name}
    if tool.description is not None:
        item["description"] = tool.description
    if tool.parameters is not None:
        item["parametersJsonSchema"] = tool.parameters
    if tool.strict:
        warnings.append(f"tools: strict of {tool.name} is left out, this dialect has no such promise")
    for name, value in tool.extra.items():
        if name in _FUNCTION_EXTRAS:
            item[name] = value
        else:
            warnings.append(f"tools: {name} of {tool.name} is left out, this dialect has no place for it")
    return item


def encode_choice(choice: ToolChoice | None, left: Any, warnings: list[str]) -> Object:
    """The `toolConfig`, {} where there is nothing to say."""
    config: Object = dict(left) if isinstance(left, dict) else {}
    if config.pop("streamFunctionCallArguments", None):
        warnings.append("toolConfig.streamFunctionCallArguments: left out, calls are read whole")
    if choice is None:
        return config
    calling: Object = {"mode": _WIRE_MODES[choice.mode]}
    names = [choice.name] if choice.mode == "named" else choice.extra.get("allowedFunctionNames")
    if names:
        calling["allowedFunctionNames"] = names
    return config | {"functionCallingConfig": calling}
