"""Chat Completions requests: the client's fields to a ChatRequest, and a ChatRequest to a source's body.

Knows the request's top-level fields; `messages` are in openai_chat_messages.py, quirks in openai_chat_quirks.py. Requests of
this dialect for a source of this dialect do not come here: they pass through (openai_chat_splice.py).
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.parameters import normalise
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.dialects.json_value import (
    Object,
    field_value,
    missing,
    read_array,
    read_flag,
    read_object,
    read_optional_text,
    required_text,
    rest,
    with_extra,
    wrong_type,
)
from jackfield.dialects.null_bytes import refuse_null_bytes
from jackfield.dialects.openai_chat_messages import decode_messages, encode_messages
from jackfield.dialects.openai_chat_quirks import REASONING_MODELS_REFUSE, ChatQuirks
from jackfield.dialects.openai_chat_splice import dropped_warning

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_GENERATION_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
)
_NAMED_FIELDS = frozenset(
    (
        *_GENERATION_FIELDS,
        "messages",
        "model",
        "n",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "stream",
        "user",
    )
)
_FORMAT_KINDS = {"text": "text", "json_object": "json", "json_schema": "json_schema"}


def parse_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """The body's top-level fields, undecoded; of a name given twice the last counts.

    Raises BadRequest: empty, not valid JSON (with the byte), not an object, nested too deeply, with a null character in it.
    """
    refuse_null_bytes(body)
    try:
        return _decode_fields(body)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body must be a JSON object: {error}") from None
    except msgspec.DecodeError as error:
        raise BadRequest(_syntax_message(body, str(error))) from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not valid UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None


def _syntax_message(body: bytes, detail: str) -> str:
    if not body.strip():
        return "the body is empty: send a JSON object with model and messages"
    _, found, place = detail.partition("(byte ")
    offset = place.rstrip(")") if found else str(len(body))
    reason = detail.partition(" (byte")[0].removeprefix("JSON is malformed: ")
    return f"the body is not valid JSON at byte {offset}: {reason}"


def decode_request(fields: Mapping[str, msgspec.Raw]) -> ChatRequest:
    """A validated request. null counts as not said; fields without a core name stay in `extra`.

    Raises BadRequest, or NotSupported for what only a pass-through can carry (`n` above 1, custom tools), with `param` as
    OpenAI writes it: messages[0].content.
    """
    values = {name: field_value(name, raw) for name, raw in fields.items()}
    if values.get("messages") is None:
        raise missing("messages")
    _refuse_many(values.get("n"))
    given = {name: values[name] for name in _GENERATION_FIELDS if values.get(name) is not None}
    include_usage, options = _stream_options(values.get("stream_options"))
    extra = {name: value for name, value in values.items() if name not in _NAMED_FIELDS and name != "stream_options"}
    return ChatRequest(
        messages=decode_messages(values["messages"]),
        model=read_optional_text(values.get("model"), "model"),
        generation=normalise(given).generation,
        tools=_tools(values),
        tool_choice=_tool_choice(values),
        response_format=_response_format(values.get("response_format")),
        stream=read_flag(values.get("stream"), "stream") or False,
        include_usage=include_usage,
        user=read_optional_text(values.get("user"), "user"),
        extra=extra | options,
    )


def _refuse_many(value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("n", "a whole number", value)
    if value < 1:
        raise BadRequest(f"n must be at least 1, got {value}", param="n")
    if value > 1:
        raise NotSupported("n above 1 is only possible where the source takes requests of this form as they are", param="n")


def _stream_options(value: Any) -> tuple[bool, Object]:
    if value is None:
        return False, {}
    options = read_object(value, "stream_options")
    include_usage = read_flag(options.get("include_usage"), "stream_options.include_usage") or False
    others = rest(options, ("include_usage",))
    return include_usage, {"stream_options": others} if others else {}


def _tools(values: Object) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, value in enumerate(_optional_array(values, "tools")):
        at = f"tools[{index}]"
        item = read_object(value, at)
        if required_text(item, "type", at) != "function":
            raise NotSupported(f"{at}.type: only function tools are understood here", param=f"{at}.type")
        tools.append(_function(item.get("function"), f"{at}.function", rest(item, ("type", "function"))))
    for index, value in enumerate(_optional_array(values, "functions")):
        tools.append(_function(value, f"functions[{index}]", {}))
    return tuple(tools)


def _optional_array(values: Object, name: str) -> list[Any]:
    value = values.get(name)
    return [] if value is None else read_array(value, name)


def _function(value: Any, at: str, outer: Object) -> Tool:
    function = read_object(value, at)
    name = required_text(function, "name", at)
    if not name:
        raise BadRequest(f"{at}.name must not be empty", param=f"{at}.name")
    parameters = function.get("parameters")
    left = rest(function, ("name", "description", "parameters", "strict"))
    return Tool(
        name,
        read_optional_text(function.get("description"), f"{at}.description"),
        None if parameters is None else read_object(parameters, f"{at}.parameters"),
        read_flag(function.get("strict"), f"{at}.strict"),
        outer | ({"function": left} if left else {}),
    )


def _tool_choice(values: Object) -> ToolChoice | None:
    value = values.get("tool_choice")
    if value is None:
        return _function_choice(values.get("function_call"))
    if value in ("auto", "none", "required"):
        return ToolChoice(value)
    if value == "any":
        return ToolChoice("required")
    if isinstance(value, str):
        raise BadRequest(f"tool_choice must be auto, none, required or an object, got {value[:40]!r}", param="tool_choice")
    choice = read_object(value, "tool_choice")
    if required_text(choice, "type", "tool_choice") != "function":
        raise NotSupported("tool_choice.type: only function is understood here", param="tool_choice.type")
    function = read_object(choice.get("function"), "tool_choice.function")
    extra = rest(choice, ("type", "function"), {"function": rest(function, ("name",))})
    return ToolChoice("named", required_text(function, "name", "tool_choice.function"), extra)


def _function_choice(value: Any) -> ToolChoice | None:
    if value is None:
        return None
    if value in ("auto", "none"):
        return ToolChoice(value)
    return ToolChoice("named", required_text(read_object(value, "function_call"), "name", "function_call"))


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None:
        return None
    item = read_object(value, "response_format")
    kind = required_text(item, "type", "response_format")
    if kind not in _FORMAT_KINDS:
        raise BadRequest(
            f"response_format.type must be one of {', '.join(_FORMAT_KINDS)}, got {kind[:40]!r}", param="response_format.type"
        )
    if kind != "json_schema":
        return ResponseFormat(cast("Any", _FORMAT_KINDS[kind]), extra=rest(item, ("type",)))
    return _schema_format(item)


def _schema_format(item: Object) -> ResponseFormat:
    at = "response_format.json_schema"
    if item.get("json_schema") is None and isinstance(item.get("schema"), dict):
        # llama.cpp's shorter spelling: the schema beside the type.
        return ResponseFormat("json_schema", item["schema"], extra=_beside_schema(item, ("type", "json_schema", "schema")))
    detail = read_object(item.get("json_schema"), at)
    schema = detail.get("schema")
    return ResponseFormat(
        "json_schema",
        None if schema is None else read_object(schema, f"{at}.schema"),
        read_optional_text(detail.get("name"), f"{at}.name"),
        read_flag(detail.get("strict"), f"{at}.strict"),
        rest(detail, ("schema", "name", "strict")) | _beside_schema(item, ("type", "json_schema")),
    )


def _beside_schema(item: Object, known: tuple[str, ...]) -> Object:
    """`ResponseFormat.extra` is the schema's; what stands a level above it keeps the name of that level."""
    left = rest(item, known)
    return {"response_format": left} if left else {}


def encode_request(request: ChatRequest, quirks: ChatQuirks, *, model: str | None = None) -> tuple[bytes, list[str]]:
    """The body for a source, and a warning for everything in the request that it does not carry.

    `model` overrides the request's. A streaming request asks for a usage chunk whenever the source can give one. Nothing is
    dropped silently, and nothing unknown is sent on trust: parameters outside OpenAI's own list (`top_k`, `repeat_penalty` and
    whatever else `request.extra` holds) are sent when `quirks.extra_fields` allows them, otherwise they are left out with a
    warning; `context_length` has no name in this dialect and always is. Whether warnings are fatal (strict) is the caller's
    choice. Unknown fields inside messages and tools are always sent.

    Raises BadRequest for a message that has no form here.
    """
    warnings: list[str] = []
    name = model if model is not None else request.model
    body: Object = {} if name is None else {"model": name}
    body["messages"] = encode_messages(request.messages, quirks, warnings)
    body |= _generation_fields(request.generation, quirks, quirks.is_reasoning_model(name), warnings)
    if request.tools or request.tool_choice is not None:
        body |= _tool_fields(request, quirks, warnings)
    if request.response_format is not None:
        body["response_format"] = _encode_format(request.response_format)
    if request.user is not None:
        body["user"] = request.user
    if quirks.continue_final_message and _is_begun(request):
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.stream:
        body["stream"] = True
    if request.extra or request.stream:
        body |= _extra_fields(request, quirks, warnings)
    for field in quirks.drop_fields:
        if body.pop(field, None) is not None:
            warnings.append(dropped_warning(field))
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def _is_begun(request: ChatRequest) -> bool:
    """Whether the last turn is the assistant's and can be gone on with."""
    last = request.messages[-1] if request.messages else None
    return last is not None and last.role == "assistant" and not last.tool_calls


def _generation_fields(generation: Generation, quirks: ChatQuirks, is_reasoning: bool, warnings: list[str]) -> Object:
    fields: Object = {name: value for name in Generation.__struct_fields__ if (value := getattr(generation, name)) is not None}
    if fields.pop("context_length", None) is not None:
        warnings.append("context_length: left out, a source of this kind sets it when it loads the model")
    if "top_k" in fields and not quirks.takes_field("top_k"):
        del fields["top_k"]
        warnings.append(_unknown_warning("top_k"))
    if is_reasoning:
        refused = [name for name in REASONING_MODELS_REFUSE if fields.pop(name, None) is not None]
        warnings += [dropped_warning(name) for name in refused]
    if "max_tokens" in fields:
        limit = fields.pop("max_tokens")
        fields["max_completion_tokens" if is_reasoning else quirks.max_tokens_field or "max_tokens"] = limit
    return fields


def _tool_fields(request: ChatRequest, quirks: ChatQuirks, warnings: list[str]) -> Object:
    fields: Object = {}
    if request.tools:
        fields["tools"] = [_encode_tool(tool) for tool in request.tools]
    if request.tool_choice is None:
        return fields
    if not quirks.tool_choice:
        warnings.append(dropped_warning("tool_choice"))
        return fields
    choice = request.tool_choice
    if choice.mode == "named":
        named = {"type": "function", "function": {"name": choice.name}}
        fields["tool_choice"] = with_extra(named, choice.extra, "function")
    else:
        fields["tool_choice"] = choice.mode
    return fields


def _encode_tool(tool: Tool) -> Object:
    given = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    function = {name: value for name, value in given.items() if value is not None}
    return with_extra({"type": "function", "function": function}, tool.extra, "function")


def _encode_format(response_format: ResponseFormat) -> Object:
    match response_format.kind:
        case "text":
            return with_extra({"type": "text"}, response_format.extra)
        case "json":
            return with_extra({"type": "json_object"}, response_format.extra)
        case "json_schema":
            given = {"schema": response_format.schema, "strict": response_format.strict}
            detail: Object = {"name": response_format.name or "answer"}
            detail |= {name: value for name, value in given.items() if value is not None}
            beside = response_format.extra.get("response_format", {})
            inner = {name: item for name, item in response_format.extra.items() if name != "response_format"}
            return with_extra({"type": "json_schema", "json_schema": with_extra(detail, inner)}, beside)


def _extra_fields(request: ChatRequest, quirks: ChatQuirks, warnings: list[str]) -> Object:
    fields: Object = {}
    for name, value in request.extra.items():
        if name == "stream_options":
            continue
        if quirks.takes_field(name):
            fields[name] = value
        elif name not in request.restated:
            warnings.append(_unknown_warning(name))
    if request.stream and quirks.stream_usage:
        given = read_object(request.extra.get("stream_options") or {}, "stream_options")
        fields["stream_options"] = {**given, "include_usage": True}
    return fields


def _unknown_warning(name: str) -> str:
    return f"{name}: left out, it is no parameter of this dialect and the source is not known to take it"
