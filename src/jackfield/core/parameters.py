"""One table from the many names of a generation parameter to the canonical one; nothing is ever dropped silently.

Knows spellings and ranges. What a dialect calls a parameter on the wire is in that dialect's file.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import Generation, ResponseFormat

NAME_MAX_CHARS = 256
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temp",),
    "top_p": ("nucleus_sampling",),
    "top_k": (),
    "max_tokens": (
        "max_length",
        "max_completion_tokens",
        "max_output_tokens",
        "num_predict",
        "max_new_tokens",
        "n_predict",
    ),
    "stop": ("stop_sequences",),
    "seed": (),
    "frequency_penalty": (),
    "presence_penalty": (),
    "context_length": ("context", "ctx_size", "num_ctx", "n_ctx"),
    "reasoning_effort": (),
    "logprobs": (),
    "top_logprobs": (),
    "parallel_tool_calls": (),
    "system_prompt": ("system",),
    "format": ("response_format",),
}
_CANONICAL = {name: canonical for canonical, names in SYNONYMS.items() for name in (canonical, *names)}
_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 1_000_000),
    "max_tokens": (1, 100_000_000),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "context_length": (1, 100_000_000),
    "top_logprobs": (0, 20),
}
_NUMBERS = (int, float)
FORMATS = ("text", "json", "embedding")
_GENERATION_FIELDS = frozenset(Generation.__struct_fields__)


class Parameters(msgspec.Struct, frozen=True):
    """Parameters after normalisation. `unknown` are passed on to the dialect, which sends or reports each of them."""

    generation: Generation
    system_prompt: str | None = None
    format: str = "text"
    response_format: ResponseFormat | None = None
    unknown: dict[str, Any] = msgspec.field(default_factory=dict)


def normalise(given: Mapping[str, Any]) -> Parameters:
    """Canonical parameters from any mix of synonyms.

    Raises BadRequest, naming the parameter, for a value of the wrong type or out of range, and where two names of one
    parameter disagree.
    """
    values: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    unknown: dict[str, Any] = {}
    for name, value in given.items():
        canonical = _CANONICAL.get(name)
        if canonical is None:
            unknown[name] = value
        elif value is not None:
            plain = _plain_stop(value) if canonical == "stop" else value
            if canonical in values and values[canonical] != plain:
                raise BadRequest(
                    f"{spelt[canonical]} and {name} are one parameter but differ: give only {canonical}", param=name
                )
            values[canonical] = plain
            spelt[canonical] = name
    if values.keys() <= _GENERATION_FIELDS:
        return Parameters(_generation(values, spelt), unknown=unknown)
    system_prompt = values.pop("system_prompt", None)
    if system_prompt is not None and not isinstance(system_prompt, str):
        raise BadRequest(f"system_prompt must be text, got {type(system_prompt).__name__}", param=spelt["system_prompt"])
    format_, response_format = _format(values.pop("format", "text"), spelt.get("format", "format"))
    return Parameters(_generation(values, spelt), system_prompt, format_, response_format, unknown)


def _generation(values: dict[str, Any], spelt: Mapping[str, str]) -> Generation:
    for name, value in values.items():
        bounds = _RANGES.get(name)
        if bounds and isinstance(value, _NUMBERS) and not bounds[0] <= value <= bounds[1]:
            raise BadRequest(f"{spelt[name]} must be {bounds[0]:g} to {bounds[1]:g}, got {value}", param=spelt[name])
    try:
        return msgspec.convert(values, Generation)
    except msgspec.ValidationError:
        for name, value in values.items():
            _check_type(name, value, spelt[name])
        raise


def _check_type(name: str, value: Any, spelt: str) -> None:
    try:
        msgspec.convert({name: value}, Generation)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{spelt}: {str(error).split(' - ')[0]}", param=spelt) from None


def _plain_stop(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _format(value: Any, name: str) -> tuple[str, ResponseFormat | None]:
    if isinstance(value, Mapping):
        kind = value.get("type")
        if kind == "json_object":
            return "json", ResponseFormat("json")
        if kind == "json_schema":
            return "json", _schema_format(value.get("json_schema"), name)
        if kind == "text":
            return "text", None
    if value == "json":
        return "json", ResponseFormat("json")
    if value in FORMATS:
        return str(value), None
    raise BadRequest(f"{name} must be one of {', '.join(FORMATS)}, got {value!r}", param=name)


def _schema_format(detail: Any, name: str) -> ResponseFormat:
    if not isinstance(detail, Mapping):
        raise BadRequest(f"{name}: json_schema must be an object that holds a schema", param=name)
    known = {key: detail[key] for key in ("schema", "name", "strict") if key in detail}
    extra = {key: item for key, item in detail.items() if key not in known}
    try:
        return msgspec.convert({"kind": "json_schema", **known, "extra": extra}, ResponseFormat)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{name}.json_schema: {error}", param=name) from None


def did_you_mean(name: str, known: object) -> str:
    """ " (did you mean 'x'?)" for the nearest known name, or "" where none is near, or the name too long to be one."""
    if len(name) > NAME_MAX_CHARS:
        return ""
    names = [str(item) for item in known] if isinstance(known, list | tuple | set | frozenset | dict) else []
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
