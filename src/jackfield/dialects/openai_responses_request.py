"""Responses requests: the client's fields to a ChatRequest, and a ChatRequest to OpenAI's body.

Knows the request's top-level fields; `input` is in openai_responses_items.py. What has no core name rides in
`ChatRequest.extra`: built-in tools as `built_in_tools`, a choice among them as `built_in_tool_choice`, items that are no
messages as `input_items`. This dialect puts them back in their places; any other names them in a warning.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import Message, ReasoningPart, text_message
from jackfield.core.parameters import normalise
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.dialects.json_value import (
    Object,
    missing,
    read_array,
    read_flag,
    read_object,
    read_optional_text,
    required_text,
    rest,
    with_extra,
)
from jackfield.dialects.openai_chat_splice import dropped_warning
from jackfield.dialects.openai_responses_items import decode_input, encode_input, read_others, system_text
from jackfield.dialects.plain_turns import said_fields

BUILT_IN_TOOLS = "built_in_tools"
BUILT_IN_CHOICE = "built_in_tool_choice"
INPUT_ITEMS = "input_items"
_OURS = (BUILT_IN_TOOLS, BUILT_IN_CHOICE, INPUT_ITEMS)
_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED = "reasoning.encrypted_content"
STANDARD_FIELDS = frozenset(
    (
        "access_programs",
        "context_management",
        "conversation",
        "image",
        "include",
        "max_tool_calls",
        "metadata",
        "moderation",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "truncation",
    )
)
"""What passes through `ChatRequest.extra` as it is: the API's own fields that have no core name."""
_GENERATION = ("temperature", "top_p", "max_output_tokens", "top_logprobs", "parallel_tool_calls")
_NAMED = frozenset(
    (*_GENERATION, "input", "instructions", "model", "tools", "tool_choice", "text", "reasoning", "include", "stream", "user")
)
_NEVER_SENT = ("seed", "stop", "top_k", "frequency_penalty", "presence_penalty", "context_length")
_SAMPLING = ("temperature", "top_p")
_FORMATS = {"text": "text", "json_object": "json", "json_schema": "json_schema"}
_encode = msgspec.json.Encoder().encode


def decode_request(fields: Mapping[str, msgspec.Raw]) -> ChatRequest:
    """A validated request; null counts as not said.

    Stored state (`previous_response_id`, `conversation`) is carried as a field and never looked up here. Raises BadRequest, or
    NotSupported for what only a pass-through can carry (`background`), with `param` as OpenAI writes it: input[0].content.
    """
    return read_request(said_fields(fields))


def read_request(values: Object) -> ChatRequest:
    """As `decode_request`, of values that are read already. They are not kept and may be changed."""
    if "input" not in values:
        raise missing("input")
    if read_flag(values.pop("background", None), "background"):
        raise NotSupported(
            "background is only possible where the source takes requests of this form as they are", param="background"
        )
    messages, others = decode_input(values["input"])
    instructions = read_optional_text(values.get("instructions"), "instructions")
    if instructions:
        messages.insert(0, text_message("system", instructions))
        others = [(place + 1, item) for place, item in others]
    tools, built_in = _tools(values.get("tools"))
    choice, built_in_choice = _tool_choice(values.get("tool_choice"))
    format_, said_of_text = _text(values.get("text"))
    generation, left = _generation(values)
    extra = {name: value for name, value in values.items() if name not in _NAMED} | said_of_text | left
    ours = {BUILT_IN_TOOLS: built_in, BUILT_IN_CHOICE: built_in_choice, INPUT_ITEMS: [list(pair) for pair in others]}
    return ChatRequest(
        messages=tuple(messages),
        model=read_optional_text(values.get("model"), "model"),
        generation=generation,
        tools=tools,
        tool_choice=choice,
        response_format=format_,
        stream=read_flag(values.get("stream"), "stream") or False,
        include_usage=True,
        user=read_optional_text(values.get("user"), "user"),
        extra=extra | {name: value for name, value in ours.items() if value},
    )


def _generation(values: Object) -> tuple[Generation, Object]:
    """The parameters; what is left of `reasoning` and `include` when their core part is taken out."""
    given = {name: values[name] for name in _GENERATION if name in values}
    reasoning = read_object(values.get("reasoning", {}), "reasoning")
    if reasoning.get("effort") is not None:
        given["reasoning_effort"] = required_text(reasoning, "effort", "reasoning")
    include = read_array(values.get("include", []), "include")
    if _LOGPROBS in include:
        given["logprobs"] = True
    left: Object = {}
    if unsaid := {name: value for name, value in reasoning.items() if name != "effort" and value is not None}:
        left["reasoning"] = unsaid
    if other := [name for name in include if name != _LOGPROBS]:
        left["include"] = other
    return normalise(given).generation, left


def _tools(value: Any) -> tuple[tuple[Tool, ...], list[Object]]:
    functions: list[Tool] = []
    built_in: list[Object] = []
    for index, item in enumerate(read_array(value if value is not None else [], "tools")):
        at = f"tools[{index}]"
        tool = read_object(item, at)
        if required_text(tool, "type", at) == "function":
            functions.append(read_function(tool, at))
        else:
            built_in.append(tool)
    return tuple(functions), built_in


def read_function(tool: Object, at: str) -> Tool:
    """A tool of the type function. Raises BadRequest naming the place."""
    parameters = tool.get("parameters")
    return Tool(
        required_text(tool, "name", at),
        read_optional_text(tool.get("description"), f"{at}.description"),
        None if parameters is None else read_object(parameters, f"{at}.parameters"),
        read_flag(tool.get("strict"), f"{at}.strict"),
        rest(tool, ("type", "name", "description", "parameters", "strict")),
    )


def _tool_choice(value: Any) -> tuple[ToolChoice | None, Object | None]:
    match value:
        case None:
            return None, None
        case "auto" | "none" | "required":
            return ToolChoice(value), None
        case str():
            raise BadRequest(f"tool_choice must be auto, none, required or an object, got {value[:40]!r}", param="tool_choice")
    choice = read_object(value, "tool_choice")
    if required_text(choice, "type", "tool_choice") != "function":
        return None, choice
    return ToolChoice("named", required_text(choice, "name", "tool_choice"), rest(choice, ("type", "name"))), None


def _text(value: Any) -> tuple[ResponseFormat | None, Object]:
    """The answer's form, and the other wishes about its text (`verbosity`) under their own names."""
    text = read_object(value if value is not None else {}, "text")
    wishes = {name: item for name, item in text.items() if name != "format" and item is not None}
    if text.get("format") is None:
        return None, wishes
    at = "text.format"
    item = read_object(text["format"], at)
    kind = required_text(item, "type", at)
    if kind not in _FORMATS:
        raise BadRequest(f"{at}.type must be one of {', '.join(_FORMATS)}, got {kind[:40]!r}", param=f"{at}.type")
    if kind == "text":
        return ResponseFormat("text"), wishes
    if kind == "json_object":
        return ResponseFormat("json"), wishes
    schema = ResponseFormat(
        "json_schema",
        read_object(item.get("schema"), f"{at}.schema"),
        read_optional_text(item.get("name"), f"{at}.name"),
        read_flag(item.get("strict"), f"{at}.strict"),
        rest(item, ("type", "schema", "name", "strict")),
    )
    return schema, wishes


def encode_request(
    request: ChatRequest, *, model: str, refused: Collection[str] = (), extra_fields: Collection[str] = ()
) -> tuple[bytes, list[str]]:
    """The body for OpenAI, and a warning for everything in the request that it does not carry.

    `refused` are core parameters that this model does not take (sampling, for reasoning models), `extra_fields` names beside
    the API's own that may be sent. Nothing is stored unless the request says `store`: what must come back for the next turn,
    encrypted reasoning, is asked for instead. Raises BadRequest or NotSupported for a message that has no form here.
    """
    warnings: list[str] = []
    extra = dict(request.extra)
    body: Object = {"model": model} | _input_fields(request.messages, read_others(extra.get(INPUT_ITEMS)), warnings)
    body |= _generation_fields(request, refused, warnings)
    body |= _tool_fields(request, extra)
    if text := _text_fields(request.response_format, extra):
        body["text"] = text
    body |= _extra_fields(extra, (*STANDARD_FIELDS, *extra_fields), request.restated, warnings)
    _ask_for_reasoning(request, body)
    if request.user is not None:
        body["user"] = request.user
    if request.stream:
        body["stream"] = True
    body.setdefault("store", False)
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def _input_fields(messages: tuple[Message, ...], others: list[tuple[int, Object]], warnings: list[str]) -> Object:
    """A first message of the system's is the `instructions`, so long as something follows it."""
    first = system_text(messages[0]) if len(messages) > 1 else None
    if first is None:
        return {"input": encode_input(messages, others, warnings)}
    moved = [(max(0, place - 1), item) for place, item in others]
    return {"instructions": first, "input": encode_input(messages[1:], moved, warnings)}


def _generation_fields(request: ChatRequest, refused: Collection[str], warnings: list[str]) -> Object:
    fields = {name: value for name, value in msgspec.structs.asdict(request.generation).items() if value is not None}
    for name in (*_NEVER_SENT, *refused):
        if fields.pop(name, None) is not None:
            warnings.append(dropped_warning(name))
    if "max_tokens" in fields:
        fields["max_output_tokens"] = fields.pop("max_tokens")
    if "reasoning_effort" in fields:
        fields["reasoning"] = {"effort": fields.pop("reasoning_effort")}
    if fields.pop("logprobs", None):
        fields["include"] = [_LOGPROBS]
    return fields


def _tool_fields(request: ChatRequest, extra: Object) -> Object:
    fields: Object = {}
    tools = [*map(_encode_tool, request.tools), *read_array(extra.get(BUILT_IN_TOOLS) or [], BUILT_IN_TOOLS)]
    if tools:
        fields["tools"] = tools
    choice = request.tool_choice
    if choice is not None:
        named = with_extra({"type": "function", "name": choice.name}, choice.extra)
        fields["tool_choice"] = named if choice.mode == "named" else choice.mode
    elif extra.get(BUILT_IN_CHOICE):
        fields["tool_choice"] = extra[BUILT_IN_CHOICE]
    return fields


def _encode_tool(tool: Tool) -> Object:
    """`strict` is always said: unsaid it means true here and false in every other dialect."""
    item: Object = {"type": "function", "name": tool.name, "parameters": tool.parameters, "strict": tool.strict or False}
    if tool.description is not None:
        item["description"] = tool.description
    return with_extra(item, {name: value for name, value in tool.extra.items() if name != "function"})


def _text_fields(format_: ResponseFormat | None, extra: Object) -> Object:
    text: Object = {"verbosity": extra.pop("verbosity")} if extra.get("verbosity") is not None else {}
    if format_ is None:
        return text
    if format_.kind == "json_schema":
        given = {"schema": format_.schema or {}, "strict": format_.strict}
        detail = {name: value for name, value in given.items() if value is not None}
        item: Object = {"type": "json_schema", "name": format_.name or "answer", **detail}
        inner = {name: value for name, value in format_.extra.items() if name != "response_format"}
        text["format"] = with_extra(item, inner)
    else:
        text["format"] = {"type": "json_object" if format_.kind == "json" else "text"}
    return text


def _extra_fields(extra: Object, known: Collection[str], restated: Collection[str], warnings: list[str]) -> Object:
    fields: Object = {}
    for name, value in extra.items():
        if name in _OURS:
            continue
        if name in known:
            fields[name] = value
        elif name == "stream_options":
            options = rest(read_object(value or {}, name), ("include_usage",))
            fields |= {name: options} if options else {}
        elif name not in restated:
            warnings.append(f"{name}: left out, the Responses API has no such field")
    return fields


def _ask_for_reasoning(request: ChatRequest, body: Object) -> None:
    """Merges what was said of reasoning in two places, and asks for its proof where there will be some to keep."""
    effort = request.generation.reasoning_effort
    reasoning = {**read_object(body.get("reasoning") or {}, "reasoning"), **({"effort": effort} if effort else {})}
    include = [*read_array(body.get("include") or [], "include")]
    thought = any(isinstance(part, ReasoningPart) for message in request.messages for part in message.parts)
    if request.generation.logprobs and _LOGPROBS not in include:
        include.append(_LOGPROBS)
    if (reasoning or thought) and not body.get("store") and _ENCRYPTED not in include:
        include.append(_ENCRYPTED)
    for name, value in (("reasoning", reasoning), ("include", include)):
        if value:
            body[name] = value


def refused_sampling(*, is_reasoning: bool) -> tuple[str, ...]:
    """The parameters that a model which reasons does not take."""
    return _SAMPLING if is_reasoning else ()


_ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)


def echo_of(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The fields of a request that its response repeats, undecoded, for `encode_reply` and `StreamEncoder`."""
    return {name: fields[name] for name in _ECHOED if name in fields and bytes(fields[name]) != b"null"}
