"""Hugging Face models on this machine's disk: from the name that a person writes to a folder, and the facts in its files.

Knows the layout of model folders and of the hub's cache (huggingface.co/docs/huggingface_hub/guides/manage-cache, read
2026-11-21); loads no model and asks nobody. Blocking: call it from a thread where a disk may be slow.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from jackfield.core.errors import Malformed, ModelNotFound, NotSupported
from jackfield.providers.gguf import inside_folder
from jackfield.providers.wsl_paths import path_here

Pooling = Literal["mean", "cls"]
HUB_FOLDER = ".cache/huggingface/hub"
MAX_LISTED = 1000
MAX_DEPTH = 3
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")


class HfFacts(msgspec.Struct, frozen=True):
    """What a folder's config.json says. `context_length` in tokens; `writes_text` None where it names no architecture."""

    architecture: str | None = None
    context_length: int | None = None
    writes_text: bool | None = None


def resolve_folder(name: str, models_dir: str | None, cache: Path) -> Path:
    """The folder for `name`: a path, `NAME` or `ORG/NAME` in `models_dir`, or that model in the hub's `cache`.

    Raises BadRequest for a relative name that leaves `models_dir`, ModelNotFound saying where was looked.
    """
    written = path_here(name)
    if written.is_absolute():
        places = [written]
    else:
        own = [inside_folder(written, models_dir)] if models_dir is not None else []
        places = [*own, *_cached(name, cache)]
    for place in places:
        if (place / "config.json").is_file():
            return place
    where = written.parent if written.is_absolute() else f"{models_dir or 'no models_dir'} or {cache}"
    raise ModelNotFound(f"no model folder for {name!r} (with a config.json) in {where}", param="model")


def _cached(name: str, cache: Path) -> Iterator[Path]:
    """The snapshot that `main` names, or else any whole one, newest first."""
    folder = cache / f"models--{name.replace('/', '--')}"
    with suppress(OSError):
        yield folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    with suppress(OSError):
        yield from sorted((folder / "snapshots").iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)


def list_folders(models_dir: str | None, cache: Path) -> dict[str, Path]:
    """Names and folders of the models below `models_dir` and in the hub's cache, sorted."""
    found: dict[str, Path] = {}
    if models_dir is not None:
        folder = path_here(models_dir)
        found |= {place.relative_to(folder).as_posix(): place for place in _walk(folder, MAX_DEPTH)}
    for place in cache.glob("models--*"):
        name = place.name.removeprefix("models--").replace("--", "/")
        for snapshot in _cached(name, cache):
            if name not in found and (snapshot / "config.json").is_file():
                found[name] = snapshot
    return dict(sorted(found.items())[:MAX_LISTED])


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if (entry / "config.json").is_file():
            yield entry
        elif depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry, depth - 1)


def read_folder(folder: Path) -> HfFacts:
    """Raises Malformed for a config.json that is no JSON object, ModelNotFound if it cannot be read."""
    config = _read_json(folder / "config.json")
    text = config.get("text_config")
    places = [config, text] if isinstance(text, dict) else [config]
    said = [place.get(key) for place in places for key in _WINDOW_KEYS]
    windows = [size for size in said if isinstance(size, int) and size > 0]
    names = config.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else None
    writes = None if architecture is None else architecture.endswith(_WRITES_TEXT)
    return HfFacts(architecture, windows[0] if windows else None, writes)


def read_pooling(folder: Path) -> Pooling:
    """How a sentence's vector is made of its tokens': as the folder's `1_Pooling` says, else their mean.

    Raises NotSupported for a way that is neither the mean nor the first token.
    """
    try:
        said = _read_json(folder / "1_Pooling" / "config.json")
    except ModelNotFound:
        return "mean"
    chosen = {key.removeprefix("pooling_mode_") for key, value in said.items() if key.startswith("pooling_mode_") and value}
    if isinstance(mode := said.get("pooling_mode"), str):
        chosen = {mode}
    if chosen <= {"mean", "mean_tokens"}:
        return "mean"
    if chosen <= {"cls", "cls_token"}:
        return "cls"
    raise NotSupported(f"{folder.name} pools by {', '.join(sorted(chosen))}: only mean and cls can be done here")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read: {error.strerror}", param="model") from None
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Malformed(f"{path} is not a JSON object: download the model again") from None
