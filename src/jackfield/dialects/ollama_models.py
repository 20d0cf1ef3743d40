"""Ollama's calls about models: what is on its disk, what one can do, what is in memory, and how a pull goes. Provider side.

Pure. Sizes in bytes; what is not told stays None.
"""

from typing import Any, TypeVar

import msgspec

from jackfield.core.contracts import LoadedModel, PullProgress
from jackfield.core.errors import Malformed
from jackfield.core.profiles import ModelProfile
from jackfield.dialects.json_answer import answer_object
from jackfield.dialects.ollama_errors import in_band_error
from jackfield.dialects.openai_chat_usage import read_count

_CONTEXT = ".context_length"
DEFAULT_TAG = ":latest"


class _Details(msgspec.Struct, frozen=True):
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Listed(msgspec.Struct, frozen=True):
    name: str = ""
    model: str = ""
    size: int | None = None
    details: _Details | None = None


class _List(msgspec.Struct, frozen=True):
    models: tuple[_Listed, ...] | None = None


class _Shown(msgspec.Struct, frozen=True):
    details: _Details | None = None
    model_info: dict[str, Any] | None = None
    capabilities: tuple[str, ...] | None = None


class _Running(msgspec.Struct, frozen=True):
    name: str = ""
    model: str = ""
    size: int = 0
    size_vram: int = 0
    expires_at: str | None = None
    context_length: int | None = None


class _RunningList(msgspec.Struct, frozen=True):
    models: tuple[_Running, ...] | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str


Kind = TypeVar("Kind")


def _decoded(body: bytes, kind: type[Kind], what: str) -> Kind:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{what} is not what it should be: {error}") from None


def full_name(model: str) -> str:
    """The name with its tag: `llama3.2` is `llama3.2:latest`."""
    return model if ":" in model.rpartition("/")[2] else model + DEFAULT_TAG


def decode_tags(body: bytes, source: str) -> tuple[ModelProfile, ...]:
    """The models on its disk, with their sizes, in its order. Raises Malformed."""
    listed = _decoded(body, _List, "the model list").models or ()
    return tuple(_profile(entry, source) for entry in listed if entry.name or entry.model)


def _profile(entry: _Listed, source: str) -> ModelProfile:
    details = entry.details or _Details()
    return ModelProfile(
        entry.name or entry.model,
        description=details.parameter_size or None,
        size_bytes=entry.size,
        quantization=details.quantization_level or None,
        source=source,
    )


def decode_show(body: bytes, model: str, source: str) -> ModelProfile:
    """What a model is and can do. A list of abilities that is there is taken for the whole of it. Raises Malformed."""
    shown = _decoded(body, _Shown, "what it tells of the model")
    details, can = shown.details or _Details(), shown.capabilities
    info = shown.model_info or {}
    context = next((read_count(value) for name, value in info.items() if name.endswith(_CONTEXT)), 0)

    def known(ability: str) -> bool | None:
        return None if can is None else ability in can

    return ModelProfile(
        model,
        description=details.parameter_size or None,
        context_length=context or None,
        vision=known("vision"),
        tools=known("tools"),
        reasoning=known("thinking"),
        embeddings=known("embedding"),
        quantization=details.quantization_level or None,
        source=source,
    )


def decode_running(body: bytes) -> tuple[LoadedModel, ...]:
    """The models in memory. Raises Malformed."""
    running = _decoded(body, _RunningList, "the list of loaded models").models or ()
    return tuple(
        LoadedModel(one.name or one.model, one.size, one.size_vram, one.expires_at, one.context_length) for one in running
    )


def decode_version(body: bytes) -> str:
    """Raises Malformed."""
    return _decoded(body, _Version, "its version").version


def decode_progress(line: bytes, provider: str) -> PullProgress:
    """One line of a pull. Each layer counts its own bytes. Raises Malformed, or the error that the line tells."""
    value = answer_object(line, provider)
    error = in_band_error(value, provider=provider)
    if error is not None:
        raise error
    total = read_count(value.get("total"))
    return PullProgress(str(value.get("status") or ""), read_count(value.get("completed")), total or None)
