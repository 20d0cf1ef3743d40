"""Reads the model lists of OpenAI-compatible servers, each of which adds facts of its own.

Pure: bytes in, profiles out. Unknown facts stay None; nothing is guessed from a model's name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import msgspec

from jackfield.core.errors import Malformed
from jackfield.core.profiles import ModelProfile

_CONTEXT = (
    "context_length", "context_window", "max_context_length", "max_model_len", "max_context_window", "context_size",
    "loaded_context_length", "max_input_tokens",
)  # fmt: skip
_OUTPUT = ("max_output_tokens", "max_completion_tokens", "max_tokens")
_VISION = frozenset({"vision", "image", "image_input", "supports_vision", "multimodal"})
_TOOLS = frozenset(
    {"tools", "function_calling", "tool_use", "tool-calling", "function-calling", "supports_tools", "tool_calling"}
)


def decode_models(body: bytes, source: str) -> tuple[ModelProfile, ...]:
    """Profiles in the server's order. Raises Malformed for anything but a list of objects with ids."""
    try:
        whole = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Malformed(f"the model list is not JSON: {error}") from None
    entries = whole
    if isinstance(whole, dict):
        entries = whole.get("data", whole.get("models"))
    if not isinstance(entries, list):
        raise Malformed("the model list holds no list of models")
    return tuple(_profile(entry, source) for entry in entries)


def _profile(entry: Any, source: str) -> ModelProfile:
    if isinstance(entry, str):
        return ModelProfile(entry, source=source)
    model_id = entry.get("id", entry.get("name")) if isinstance(entry, dict) else None
    if not isinstance(model_id, str) or not model_id:
        raise Malformed("an entry of the model list has no id")
    places = [
        entry,
        *(part for part in map(entry.get, ("meta", "top_provider", "limits", "model_spec")) if isinstance(part, dict)),
    ]
    abilities = _abilities(places)
    name = entry.get("name", entry.get("display_name"))
    description = entry.get("description")
    pricing = entry.get("pricing")
    return ModelProfile(
        model_id,
        name=name if isinstance(name, str) and name != model_id else None,
        description=description if isinstance(description, str) else None,
        context_length=_number(places, (*_CONTEXT, "n_ctx", "n_ctx_train")),
        max_output_tokens=_number(places, _OUTPUT),
        vision=_told(abilities, _VISION),
        tools=_told(abilities, _TOOLS),
        pricing=pricing if isinstance(pricing, dict) else None,
        source=source,
    )


def _number(places: Iterable[Mapping[str, Any]], names: Sequence[str]) -> int | None:
    for place in places:
        for name in names:
            value = place.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _abilities(places: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Every ability that is told as yes or no. A list names only what is there: what it leaves out stays unknown."""
    told: dict[str, bool] = {}
    for place in places:
        for field in ("capabilities", "supported_parameters", "features", "input_modalities", "supported_input_modalities"):
            value = place.get(field)
            if isinstance(value, dict):
                told.update({str(name): state for name, state in value.items() if isinstance(state, bool)})
            elif isinstance(value, list):
                told.update({item: True for item in value if isinstance(item, str)})
                if field.endswith("modalities"):
                    told.setdefault("image", False)
        architecture = place.get("architecture")
        modalities = architecture.get("input_modalities") if isinstance(architecture, dict) else None
        if isinstance(modalities, list):
            told["image"] = "image" in modalities
    return told


def _told(abilities: Mapping[str, bool], names: frozenset[str]) -> bool | None:
    known = [state for name, state in abilities.items() if name in names]
    return any(known) if known else None


class Wanted(TypedDict, total=False):
    """Which models to list: `contains` in id or name (any case), and facts as *known*: an unknown one does not fit."""

    contains: str
    vision: bool
    tools: bool
    min_context: int


def select(profiles: Iterable[ModelProfile], **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
    """The profiles that fit, in their order; all of them if nothing is wanted."""
    needle = wanted.get("contains", "").lower()
    return tuple(
        profile
        for profile in profiles
        if needle in f"{profile.id} {profile.name or ''}".lower()
        and all(getattr(profile, fact) is wanted[fact] for fact in ("vision", "tools") if fact in wanted)
        and (profile.context_length or 0) >= wanted.get("min_context", 0)
    )
