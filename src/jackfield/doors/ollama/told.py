"""What the gateway knows of a model, in the words of Ollama's lists. What is not known stays empty, 0 or at time's beginning.

Clients read every one of these keys, so none may be missing.
"""

import hashlib
import re
from typing import Any

import msgspec

from jackfield.core.profiles import ModelProfile
from jackfield.dialects.ollama_reply import written_time
from jackfield.gateway.stock import InMemory
from jackfield.slots.catalogue import CatalogueEntry
from jackfield.slots.slot import Binding

_PARAMETERS = re.compile(r"\d+(\.\d+)?[KMBT]")
UNKNOWN_TIME = written_time(0)
FOREVER = "9999-12-31T23:59:59Z"
"""Of a model that stays until it is unloaded: a time in the past would read as being on its way out."""
ARCHITECTURE = "unknown"


def listed(name: str, profile: ModelProfile | None) -> dict[str, Any]:
    """An entry of /api/tags."""
    size = profile.size_bytes if profile is not None else None
    return {
        "name": name,
        "model": name,
        "modified_at": UNKNOWN_TIME,
        "size": size or 0,
        "digest": digest(name, profile),
        "details": details(profile),
    }


def digest(name: str, profile: ModelProfile | None) -> str:
    """Of no file, but it tells models apart: clients take those of one digest for one, and keep what they heard of it."""
    known = msgspec.structs.replace(profile or ModelProfile(name), source=None)
    return hashlib.sha256(msgspec.json.encode([name, known])).hexdigest()


def details(profile: ModelProfile | None) -> dict[str, Any]:
    size = (profile.description or "") if profile is not None else ""
    return {
        "parent_model": "",
        "format": "",
        "family": "",
        "families": [],
        "parameter_size": size if _PARAMETERS.fullmatch(size) else "",
        "quantization_level": (profile.quantization or "") if profile is not None else "",
    }


def running(held: InMemory, profile: ModelProfile | None) -> dict[str, Any]:
    """An entry of /api/ps."""
    model = held.model
    entry = listed(model.model, profile)
    del entry["modified_at"]
    return {
        **entry,
        "size": model.size_bytes or entry["size"],
        "expires_at": model.expires_at or FOREVER,
        "size_vram": model.gpu_bytes,
        "context_length": model.context_length or 0,
    }


def shown(entry: CatalogueEntry | None, binding: Binding) -> dict[str, Any]:
    """An answer of /api/show for a source that does not speak this dialect."""
    profile = entry.profile if entry is not None else None
    window = (profile.context_length if profile is not None else None) or binding.capabilities.max_context
    info = {"general.architecture": ARCHITECTURE, f"{ARCHITECTURE}.context_length": window} if window else {}
    return {
        "license": "",
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": details(profile),
        "model_info": info,
        "capabilities": abilities(profile, binding),
        "modified_at": UNKNOWN_TIME,
    }


def abilities(profile: ModelProfile | None, binding: Binding) -> list[str]:
    """What a model is known to do. What its source says of it counts before what is said of the source."""
    facts, stated = profile or ModelProfile(""), binding.capabilities
    only_embeds = facts.embeddings is True or binding.spec.role == "embed"
    known = {
        "completion": not only_embeds,
        "embedding": only_embeds,
        "tools": not only_embeds and (stated.tools if facts.tools is None else facts.tools),
        "vision": not only_embeds and (stated.vision if facts.vision is None else facts.vision),
        "thinking": not only_embeds and facts.reasoning,
    }
    return [name for name, is_so in known.items() if is_so is True]
