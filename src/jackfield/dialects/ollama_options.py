"""How to generate, in Ollama's words: core's names and those in `options`, how hard to think, and the form of the answer.

Knows names and values; where they stand in a request is ollama_request.py's business.
Source: github.com/ollama/ollama, docs/api.md and docs/modelfile.mdx (October 2026).
"""

from collections.abc import Mapping
from typing import Any

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import normalise
from jackfield.core.requests import Generation, ResponseFormat
from jackfield.dialects.json_value import Object, read_object, wrong_type

OPTION_NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "context_length": "num_ctx",
}
_OPTIONS = frozenset(OPTION_NAMES.values())
TOP_NAMES: Mapping[str, str] = {"logprobs": "logprobs", "top_logprobs": "top_logprobs"}
"""Settings of core that stand beside the options."""
OTHER_OPTIONS = frozenset(
    (
        "min_p", "typical_p", "tfs_z", "repeat_penalty", "repeat_last_n", "penalize_newline", "mirostat", "mirostat_tau",
        "mirostat_eta", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa", "low_vram", "f16_kv", "use_mmap",
        "use_mlock", "vocab_only", "logits_all", "draft_num_predict",
    )
)  # fmt: skip
"""Options that core has no name for."""
_SAMPLING = frozenset(
    (
        "min_p", "typical_p", "tfs_z", "repeat_penalty", "repeat_last_n", "penalize_newline", "mirostat", "mirostat_tau",
        "mirostat_eta",
    )
)  # fmt: skip
"""Those of them that other engines know by the same names, beside their other settings."""
_ONLY_HERE = frozenset(("keep_alive", "truncate", "shift", "raw", "suffix", "template", "context", "width", "height", "steps"))
_WHOLE = frozenset(("top_k", "num_predict", "seed", "num_ctx"))
_UNBOUNDED = frozenset(("num_predict", "num_ctx"))
_EFFORTS: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def decode_options(value: Any, top: Mapping[str, Any]) -> tuple[Generation, Object]:
    """What `options` and the settings beside them say, and the options without a core name. Raises BadRequest."""
    options = {} if value is None else read_object(value, "options")
    given = {core: _plain(wire, options[wire]) for core, wire in OPTION_NAMES.items() if wire in options}
    given |= {core: top[wire] for core, wire in TOP_NAMES.items() if wire in top}
    given["reasoning_effort"] = decode_think(top.get("think"))
    left = {name: item for name, item in options.items() if name not in _OPTIONS and item is not None}
    try:
        return normalise({name: item for name, item in given.items() if item is not None}).generation, left
    except BadRequest as error:
        name = error.param or ""
        at = f"options.{OPTION_NAMES[name]}" if name in OPTION_NAMES else name
        raise BadRequest(f"{at}: {error.message}", param=at) from None


def _plain(name: str, value: Any) -> Any:
    """Numbers as core wants them: whole ones are whole, and "without a bound" (0 and below) is nothing said."""
    if name in _WHOLE and isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and ((name in _UNBOUNDED and value <= 0) or (name == "top_k" and value < 0)):
        return None
    return value


def for_others(extra: Mapping[str, Any]) -> tuple[Object, tuple[str, ...]]:
    """A decoded request's `extra` for a source of another dialect, and a warning for each setting that only Ollama has."""
    if not extra:
        return {}, ()
    options = extra.get("options")
    given: Object = options if isinstance(options, dict) else {}
    kept = {name: value for name, value in extra.items() if name not in _ONLY_HERE and name != "options"}
    kept |= {name: value for name, value in given.items() if name in _SAMPLING}
    lost = [name for name, value in extra.items() if name in _ONLY_HERE and value is not False and value != ""]
    lost += [f"options.{name[:60]}" for name in given if name not in _SAMPLING]
    return kept, tuple(f"{name}: left out, only a source that speaks Ollama's API has it" for name in lost)


def encode_options(generation: Generation, others: Mapping[str, Any]) -> Object:
    """The `options` object; `others` are options without a core name."""
    options: Object = {}
    for core, wire in OPTION_NAMES.items():
        value = getattr(generation, core)
        if value is not None:
            options[wire] = value
    return {**others, **options}


def decode_think(value: Any) -> str | None:
    """The effort that `think` means. Raises BadRequest."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "medium" if value else "none"
    if not isinstance(value, str):
        raise wrong_type("think", 'true, false, "low", "medium" or "high"', value)
    return value


def encode_think(effort: str, warnings: list[str]) -> Object:
    """The `think` field; {} with a warning for an effort that it has no word for."""
    if effort not in _EFFORTS:
        warnings.append(f"reasoning_effort: left out, {effort[:40]!r} is none of {', '.join(_EFFORTS)}")
        return {}
    return {"think": _EFFORTS[effort]}


def decode_format(value: Any) -> ResponseFormat | None:
    """The form that `format` asks for: the word json, or a schema. Raises BadRequest."""
    if value is None or value == "":
        return None
    if value == "json":
        return ResponseFormat("json")
    if isinstance(value, dict):
        return ResponseFormat("json_schema", value)
    raise BadRequest('format must be "json" or a JSON schema', param="format")


def encode_format(form: ResponseFormat | None, warnings: list[str]) -> Object:
    """The `format` field; {} where free text is asked for."""
    if form is None or form.kind == "text":
        return {}
    warnings += [f"response_format: {name} is left out, this dialect has no place for it" for name in form.extra]
    return {"format": form.schema if form.kind == "json_schema" and form.schema is not None else "json"}
