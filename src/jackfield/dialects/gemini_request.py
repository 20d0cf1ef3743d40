"""Gemini requests: a body's fields to a ChatRequest and back.

Knows the top-level fields and `generationConfig`. The model and whether to stream stand in the address, not in the body: who
takes requests puts them beside the fields, as `model` and `stream`. Requests for a source of the same dialect pass through
instead.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.parameters import normalise
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat
from jackfield.dialects.gemini_contents import decode_contents, decode_system
from jackfield.dialects.gemini_names import bare_model, camel, spelled
from jackfield.dialects.gemini_schema import to_json_schema
from jackfield.dialects.gemini_thinking import decode_thinking, encode_effort, signs_calls
from jackfield.dialects.gemini_tools import decode_choice, decode_tools, encode_choice, encode_tools
from jackfield.dialects.gemini_turns import Turns
from jackfield.dialects.json_value import Object, read_flag, read_object, read_optional_text, rest
from jackfield.dialects.plain_turns import field_values

_encode = msgspec.json.Encoder().encode
GENERATION_NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_CORE_NAMES = {wire: core for core, wire in GENERATION_NAMES.items()}
_FORMAT = ("responseMimeType", "responseSchema", "responseJsonSchema")
_CONFIG = frozenset((*_CORE_NAMES, *_FORMAT, "thinkingConfig", "candidateCount"))
SETTINGS = "jackfield"
"""A field of ours: settings of a slot, by their canonical names, that this dialect has no field for."""
BESIDE = ("model", "stream", "alt", SETTINGS)
"""What a door puts beside the client's fields; sources tell it from the address, or not at all."""
_READ = frozenset(("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", *BESIDE))
_READ_ELSEWHERE = ("generationConfig", "tools", "toolConfig", "streamOptions")
OWN_FIELDS = ("safetySettings", "cachedContent", "labels", "serviceTier", "store", "modelArmorConfig")
"""Top-level fields that core has no name for and a source of this dialect takes."""
_JSON = "application/json"


def decode_request(fields: Mapping[str, msgspec.Raw]) -> ChatRequest:
    """A validated request. null counts as not said; fields without a core name stay in `extra`.

    Raises BadRequest, or NotSupported for what only a pass-through can carry (several candidates), with `param` as the place:
    contents[0].parts[1].text.
    """
    values = camel(field_values(fields))
    config = spelled(values["generationConfig"], "generationConfig") if values.get("generationConfig") is not None else {}
    _refuse_many(config.get("candidateCount"))
    generation, left = _generation(config, read_object(values.get(SETTINGS) or {}, SETTINGS))
    tools, other_tools = decode_tools(values.get("tools"))
    choice, tool_config = decode_choice(values.get("toolConfig"))
    kept: Object = {"generationConfig": left, "tools": other_tools, "toolConfig": tool_config}
    extra = {name: value for name, value in values.items() if name not in _READ and value is not None}
    model = read_optional_text(values.get("model"), "model")
    return ChatRequest(
        messages=decode_system(values.get("systemInstruction")) + decode_contents(values.get("contents")),
        model=bare_model(model) if model else None,
        generation=generation,
        tools=tools,
        tool_choice=choice,
        response_format=_response_format(config),
        stream=read_flag(values.get("stream"), "stream") or False,
        include_usage=True,
        extra=extra | {name: value for name, value in kept.items() if value},
    )


def _refuse_many(count: Any) -> None:
    if count not in (None, 1):
        at = "generationConfig.candidateCount"
        raise NotSupported(f"{at} above 1 is only possible where the source takes requests of this form as they are", param=at)


def _generation(config: Object, settings: Object) -> tuple[Generation, Object]:
    given = settings | {core: config[wire] for wire, core in _CORE_NAMES.items() if wire in config and config[wire] is not None}
    if isinstance(given.get("top_k"), float) and given["top_k"].is_integer():
        given["top_k"] = int(given["top_k"])  # Google's own clients write it as 40.0
    left = {name: value for name, value in config.items() if name not in _CONFIG and value is not None}
    if config.get("thinkingConfig") is not None:
        effort, unsaid = decode_thinking(spelled(config["thinkingConfig"], "generationConfig.thinkingConfig"))
        if effort is not None:
            given["reasoning_effort"] = effort
        left |= {"thinkingConfig": unsaid} if unsaid else {}
    try:
        return normalise(given).generation, left
    except BadRequest as error:
        name = GENERATION_NAMES.get(error.param or "", error.param)
        raise BadRequest(f"generationConfig.{name}: {error.message}", param=f"generationConfig.{name}") from None


def _response_format(config: Object) -> ResponseFormat | None:
    kind = read_optional_text(config.get("responseMimeType"), "generationConfig.responseMimeType")
    for name in ("responseJsonSchema", "responseSchema"):
        if config.get(name) is not None:
            schema = read_object(config[name], f"generationConfig.{name}")
            schema = to_json_schema(schema) if name == "responseSchema" else schema
            extra = {"responseMimeType": kind} if kind not in (None, _JSON) else {}
            return ResponseFormat("json_schema", schema, extra=extra)
    if kind is None:
        return None
    if kind == _JSON:
        return ResponseFormat("json")
    return ResponseFormat("text", extra={} if kind == "text/plain" else {"responseMimeType": kind})


def encode_request(request: ChatRequest, *, model: str) -> tuple[bytes, list[str]]:
    """The body for a source, and a warning for everything in the request that it does not carry.

    Google refuses fields it does not know, so only its own are sent: those of `request.extra` that are in `OWN_FIELDS`, and
    within `generationConfig`, `tools` and `toolConfig` what is given there. Raises BadRequest for what has no form here.
    """
    warnings: list[str] = []
    turns = Turns(warnings, signs_calls=signs_calls(model))
    turns.add(request.messages)
    body: Object = {"contents": turns.contents}
    if turns.system:
        body["systemInstruction"] = {"parts": turns.system}
    if tools := encode_tools(request.tools, request.extra.get("tools"), warnings):
        body["tools"] = tools
    if tool_config := encode_choice(request.tool_choice, request.extra.get("toolConfig"), warnings):
        body["toolConfig"] = tool_config
    if config := _encode_config(request, model, warnings):
        body["generationConfig"] = config
    body |= _encode_extra(request, warnings)
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def _encode_config(request: ChatRequest, model: str, warnings: list[str]) -> Object:
    given = msgspec.structs.asdict(request.generation)
    config: Object = {wire: given[core] for core, wire in GENERATION_NAMES.items() if given[core] is not None}
    if given["context_length"] is not None:
        warnings.append("context_length: left out, the source decides it")
    if given["parallel_tool_calls"] is False:
        warnings.append("parallel_tool_calls: left out, the source does not take it")
    if given["reasoning_effort"] is not None:
        thinking = encode_effort(given["reasoning_effort"], model, warnings)
        config |= {"thinkingConfig": thinking} if thinking else {}
    config |= _encode_format(request.response_format, warnings)
    extra = request.extra.get("generationConfig")
    for name, value in (camel(extra) if isinstance(extra, dict) else {}).items():
        if name == "thinkingConfig" and isinstance(value, dict):
            config[name] = _merged_thinking(config.get(name, {}), camel(value))
        else:
            config.setdefault(name, value)
    return config


def _merged_thinking(ours: Object, given: Object) -> Object:
    """What was given counts; Google takes a budget or a level, never both."""
    says_amount = "thinkingBudget" in given or "thinkingLevel" in given
    return (rest(ours, ("thinkingBudget", "thinkingLevel")) if says_amount else ours) | given


def _encode_format(form: ResponseFormat | None, warnings: list[str]) -> Object:
    if form is None:
        return {}
    config: Object = {}
    if isinstance(form.extra.get("responseMimeType"), str):
        config["responseMimeType"] = form.extra["responseMimeType"]
    elif form.kind != "text":
        config["responseMimeType"] = _JSON
    if form.kind == "json_schema" and form.schema is not None:
        config["responseJsonSchema"] = form.schema
    warnings += [
        f"response_format: {name} is left out, this dialect has no place for it"
        for name in form.extra
        if name != "responseMimeType"
    ]
    return config


def _encode_extra(request: ChatRequest, warnings: list[str]) -> Object:
    if request.user is not None:
        warnings.append("user: left out, the source does not take it")
    fields: Object = {}
    for name, value in camel(request.extra).items():
        if name in OWN_FIELDS:
            fields[name] = value
        elif name not in (*_READ_ELSEWHERE, *camel(dict.fromkeys(request.restated))):
            warnings.append(f"{name}: left out, it is no parameter of this dialect")
    return fields
