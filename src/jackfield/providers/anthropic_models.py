"""What is known of Claude models: documented rows, and what the vendor's own list tells, which counts more.

Knows facts and how the list spells them. It makes no request; unknown models get no facts and the mildest assumptions.
"""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from jackfield.core.errors import Malformed
from jackfield.core.profiles import ModelProfile
from jackfield.dialects.anthropic_messages import MessagesQuirks
from jackfield.providers.model_facts import completed, documented
from jackfield.providers.model_list import decode_models

NAME = "anthropic"


class ModelManners(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How models of one name are asked: one row of anthropic_models.toml. None is unknown."""

    match: str = "*"
    sampling: bool = True
    thinking: Literal["budget", "adaptive", "none"] = "budget"
    schemas: bool = True
    prefill: bool | None = None


class ListedModel(msgspec.Struct, frozen=True):
    """A model of the list: its profile, and what of the quirks the list tells."""

    profile: ModelProfile
    told: dict[str, Any]


class ModelPage(msgspec.Struct, frozen=True):
    """One page of the list. `following` is the id to go on after, None on the last page."""

    models: tuple[ListedModel, ...]
    following: str | None


@cache
def _rows() -> tuple[ModelManners, ...]:
    text = files("jackfield.providers").joinpath("anthropic_models.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text)["models"], tuple[ModelManners, ...])


@cache
def manners_of(model: str) -> ModelManners:
    """The documented facts of a model; for an unknown one a row that knows nothing."""
    return next((row for row in _rows() if fnmatchcase(model, row.match)), ModelManners())


def quirks_of(model: str, told: Mapping[str, Any], *, sampling: bool, extra_fields: tuple[str, ...]) -> MessagesQuirks:
    """What may be sent for this model. `sampling` False: the version of the API that is spoken has no such parameters."""
    known = manners_of(model)
    quirks = {"sampling": known.sampling, "thinking": known.thinking, "schemas": known.schemas, **told}
    quirks["sampling"] = quirks["sampling"] and sampling
    return MessagesQuirks(extra_fields=extra_fields, **quirks)


@lru_cache(maxsize=1024)
def profile_of(model: str, source: str | None = None) -> ModelProfile:
    """The profile that is documented, without asking anybody."""
    return completed(ModelProfile(model, source=source), documented(NAME, model))


def read_page(body: bytes, source: str) -> ModelPage:
    """A page of the list: the vendor's, or that of an OpenAI-like server. Raises Malformed."""
    profiles = decode_models(body, source)
    whole = msgspec.json.decode(body)
    fields = whole if isinstance(whole, dict) else {}
    entries = fields.get("data", fields.get("models"))
    listed = tuple(_listed(profile, entry) for profile, entry in zip(profiles, entries or [], strict=False))
    following = fields.get("last_id") if fields.get("has_more") is True else None
    if following is not None and not isinstance(following, str):
        raise Malformed("the model list says that there is more, but not after which id")
    return ModelPage(listed, following)


def _listed(profile: ModelProfile, entry: Any) -> ListedModel:
    told = entry.get("capabilities") if isinstance(entry, dict) else None
    capabilities: dict[str, Any] = told if isinstance(told, dict) else {}
    supported = ModelProfile(
        profile.id,
        vision=_supports(capabilities, "image_input"),
        reasoning=_supports(capabilities, "thinking"),
        json_mode=_supports(capabilities, "structured_outputs"),
        source=profile.source,
    )
    return ListedModel(completed(supported, profile, documented(NAME, profile.id)), _quirks_told(capabilities))


def _supports(capabilities: Mapping[str, Any], *path: str) -> bool | None:
    """What `{"thinking": {"types": {"adaptive": {"supported": true}}}}` tells of such a path; None if nothing."""
    found: Any = capabilities
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    supported = found.get("supported") if isinstance(found, dict) else None
    return supported if isinstance(supported, bool) else None


def _quirks_told(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if (schemas := _supports(capabilities, "structured_outputs")) is not None:
        told["schemas"] = schemas
    if _supports(capabilities, "thinking", "types", "adaptive"):
        told["thinking"] = "adaptive"
    elif _supports(capabilities, "thinking", "types", "enabled"):
        told["thinking"] = "budget"
    elif _supports(capabilities, "thinking") is False:
        told["thinking"] = "none"
    return told
