"""Messages requests that come in at a door: the client's fields to a ChatRequest.

Knows the request's top-level fields; blocks are in anthropic_messages_blocks.py. Fields without a core name stay in `extra`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import Message, Part, Role, TextPart, ToolResultPart
from jackfield.core.parameters import normalise
from jackfield.core.requests import ChatRequest, ResponseFormat, Tool, ToolChoice
from jackfield.dialects.anthropic_messages_blocks import read_content
from jackfield.dialects.json_value import (
    Object,
    missing,
    read_array,
    read_flag,
    read_object,
    read_optional_text,
    required_text,
    rest,
)
from jackfield.dialects.plain_turns import plain_turn, said_fields

GENERATION_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
}
SETTINGS = "jackfield"
"""A field of ours: settings of a slot, by their canonical names, that this dialect has no field for."""
_GENERATION = tuple(GENERATION_NAMES.values())
_NAMED = frozenset((*_GENERATION, SETTINGS, "messages", "model", "system", "tools", "tool_choice", "stream", "metadata"))
_PLAIN_ROLES: tuple[Role, ...] = ("user", "assistant", "system")
_BUDGET_EFFORTS = ((2048, "low"), (8192, "medium"))


def decode_request(fields: Mapping[str, msgspec.Raw], *, wants_max_tokens: bool = True) -> ChatRequest:
    """A validated request; null counts as not said. `wants_max_tokens` is off where only tokens are counted.

    Raises BadRequest, or NotSupported for what only a pass-through can carry (server tools, blocks of theirs), with `param`
    naming the place: messages[0].content[1].type.
    """
    values = said_fields(fields)
    if wants_max_tokens and "max_tokens" not in values:
        raise missing("max_tokens")
    given = {**read_object(values.get(SETTINGS, {}), SETTINGS)}
    given |= {name: values[name] for name in _GENERATION if name in values}
    choice, is_parallel = _tool_choice(values.get("tool_choice"))
    if is_parallel is not None:
        given["parallel_tool_calls"] = is_parallel
    output, format_ = _output_config(values)
    if (effort := _effort(values)) is not None:
        given["reasoning_effort"] = effort
    user, metadata = _metadata(values.get("metadata"))
    stream = read_flag(values.get("stream"), "stream") or False
    extra = {name: value for name, value in values.items() if name not in _NAMED and name != "output_config"}
    return ChatRequest(
        messages=_messages(values),
        model=read_optional_text(values.get("model"), "model"),
        generation=normalise(given).generation,
        tools=_tools(values.get("tools")),
        tool_choice=choice,
        response_format=format_,
        stream=stream,
        include_usage=stream,
        user=user,
        extra=extra | output | metadata,
        restated=() if effort is None else _restated(values, output),
    )


def _messages(values: Object) -> tuple[Message, ...]:
    if "messages" not in values:
        raise missing("messages")
    items = read_array(values["messages"], "messages")
    if not items:
        raise BadRequest("messages must hold at least one message", param="messages")
    messages: list[Message] = []
    if "system" in values:
        messages.append(Message("system", _system(values["system"], "system")))
    for index, item in enumerate(items):
        plain = plain_turn(item, _PLAIN_ROLES)
        if plain is not None:
            messages.append(plain)
        else:
            messages += _turn(read_object(item, f"messages[{index}]"), f"messages[{index}]")
    return tuple(messages)


def _system(value: Any, at: str) -> tuple[Part, ...]:
    parts = read_content(value, at)
    if not all(isinstance(part, TextPart) for part in parts):
        raise BadRequest(f"{at} must hold text only", param=at)
    return parts


def _turn(item: Object, at: str) -> list[Message]:
    """The messages of one turn: each tool's result is one of its own, as in every other dialect."""
    role = required_text(item, "role", at)
    content = item.get("content")
    extra = rest(item, ("role", "content"))
    match role:
        case "assistant":
            return [Message("assistant", read_content(content, f"{at}.content"), extra=extra)]
        case "system":
            return [Message("system", _system(content, f"{at}.content"), extra=extra)]
        case "user":
            parts = read_content(content, f"{at}.content")
            results = [Message("tool", (part,)) for part in parts if isinstance(part, ToolResultPart)]
            others = tuple(part for part in parts if not isinstance(part, ToolResultPart))
            return results + ([Message("user", others, extra=extra)] if others or not results else [])
    raise BadRequest(f"{at}.role must be one of user, assistant, system, got {role[:40]!r}", param=f"{at}.role")


def _tools(value: Any) -> tuple[Tool, ...]:
    if value is None:
        return ()
    return tuple(
        _tool(read_object(item, f"tools[{index}]"), f"tools[{index}]") for index, item in enumerate(read_array(value, "tools"))
    )


def _tool(item: Object, at: str) -> Tool:
    kind = read_optional_text(item.get("type"), f"{at}.type")
    if kind not in (None, "custom"):
        raise NotSupported(
            f"{at}.type: {kind[:40]!r} is a tool of the source itself: possible only where it takes requests as they are",
            param=f"{at}.type",
        )
    schema = item.get("input_schema")
    return Tool(
        required_text(item, "name", at),
        read_optional_text(item.get("description"), f"{at}.description"),
        None if schema is None else read_object(schema, f"{at}.input_schema"),
        read_flag(item.get("strict"), f"{at}.strict"),
        rest(item, ("type", "name", "description", "input_schema", "strict")),
    )


def _tool_choice(value: Any) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several calls at once are wanted (None: not said)."""
    if value is None:
        return None, None
    item = read_object(value, "tool_choice")
    disabled = read_flag(item.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    is_parallel = None if disabled is None else not disabled
    match required_text(item, "type", "tool_choice"):
        case "auto":
            return ToolChoice("auto"), is_parallel
        case "any":
            return ToolChoice("required"), is_parallel
        case "none":
            return ToolChoice("none"), is_parallel
        case "tool":
            return ToolChoice("named", required_text(item, "name", "tool_choice")), is_parallel
    raise BadRequest("tool_choice.type must be one of auto, any, tool, none", param="tool_choice.type")


def _output_config(values: Object) -> tuple[Object, ResponseFormat | None]:
    """What is left of `output_config` for `extra`, and the form that the answer must have."""
    if "output_config" not in values:
        return {}, None
    config = read_object(values["output_config"], "output_config")
    left = rest(config, ("format",))
    extra = {"output_config": left} if left else {}
    given = config.get("format")
    if given is None:
        return extra, None
    at = "output_config.format"
    item = read_object(given, at)
    if required_text(item, "type", at) != "json_schema":
        raise BadRequest(f"{at}.type must be json_schema", param=f"{at}.type")
    schema = read_object(item.get("schema"), f"{at}.schema")
    return extra, ResponseFormat("json_schema", schema, extra=rest(item, ("type", "schema")))


def _effort(values: Object) -> str | None:
    """How much thinking is asked for, in the word that other dialects have for it. `thinking` itself stays in `extra`."""
    config = values.get("output_config")
    if isinstance(config, dict) and isinstance(config.get("effort"), str):
        return str(config["effort"])
    thinking = values.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return None
    budget = thinking.get("budget_tokens")
    return next((word for below, word in _BUDGET_EFFORTS if isinstance(budget, int) and budget < below), "high")


def _restated(values: Object, output: Object) -> tuple[str, ...]:
    """The fields that an effort says as well: thinking, unless it is forbidden, and a config that holds nothing else."""
    thinking = values.get("thinking")
    is_wanted = isinstance(thinking, dict) and thinking.get("type") != "disabled"
    is_all = output.get("output_config", {}).keys() == {"effort"}
    return (*(("thinking",) if is_wanted else ()), *(("output_config",) if is_all else ()))


def _metadata(value: Any) -> tuple[str | None, Object]:
    if value is None:
        return None, {}
    item = read_object(value, "metadata")
    left = rest(item, ("user_id",))
    return read_optional_text(item.get("user_id"), "metadata.user_id"), {"metadata": left} if left else {}
