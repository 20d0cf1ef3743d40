"""GGUF files on disk: from the name that a person writes to a file, and the few facts in a file's head.

Knows file names and the head's layout (github.com/ggml-org/ggml, docs/gguf.md, read 2026-11-20); loads no model. Blocking:
call it from a thread where a disk may be slow.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from jackfield.core.errors import BadRequest, Malformed, ModelNotFound
from jackfield.providers.wsl_paths import path_here

QUANT_ORDER = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "Q4_K_S", "Q4_0", "F16", "BF16", "F32")
MAX_LISTED = 1000
MAX_DEPTH = 4
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_MAX_TEXT_BYTES = 1 << 20


class GgufFacts(msgspec.Struct, frozen=True):
    """What a file's head says. `context_length` is the length the model was trained for, in tokens."""

    architecture: str | None = None
    name: str | None = None
    context_length: int | None = None


def resolve_model(name: str, models_dir: str | None) -> Path:
    """The file for `name`: a path, `NAME`, `NAME.gguf`, or `NAME-Q4_K_M.gguf` (or another quantisation) in `models_dir`.

    Raises BadRequest for a relative name that leaves `models_dir`, ModelNotFound saying where was looked.
    """
    written = path_here(name)
    if written.is_absolute():
        return _existing([written, Path(f"{written}.gguf")], name, str(written.parent))
    if models_dir is None:
        raise BadRequest(
            f"{name!r} is not a whole path and no models_dir is set: give the path, or set models_dir", param="model"
        )
    inside = inside_folder(written, models_dir)
    stem = inside.name.removesuffix(".gguf")
    candidates = [
        inside,
        inside.with_name(f"{stem}.gguf"),
        *(inside.with_name(f"{stem}-{quant}.gguf") for quant in QUANT_ORDER),
    ]
    return _existing(candidates, name, str(path_here(models_dir)))


def inside_folder(written: Path, models_dir: str) -> Path:
    """Where a relative path is in `models_dir`, which need not exist. Raises BadRequest for one that leaves it."""
    folder = path_here(models_dir).absolute()
    inside = Path(os.path.normpath(folder / written))
    if folder not in inside.parents:
        raise BadRequest(
            f"{str(written)!r} leads out of the models folder: name what is inside it, or give its whole path", param="model"
        )
    return inside


def _existing(candidates: list[Path], name: str, where: str) -> Path:
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ModelNotFound(
        f"no GGUF file for {name!r} in {where}: looked for {', '.join(path.name for path in candidates[:3])}", param="model"
    )


def list_models(models_dir: str | None) -> list[Path]:
    """GGUF models below `models_dir`, sorted; projectors and the later parts of split files left out."""
    if models_dir is None:
        return []
    found = sorted(_walk(path_here(models_dir), MAX_DEPTH))
    return [path for path in found if not path.name.startswith("mmproj") and not _is_later_part(path.stem)][:MAX_LISTED]


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.suffix == ".gguf" and entry.is_file():
            yield entry
        elif depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry, depth - 1)


def _is_later_part(stem: str) -> bool:
    head, _, total = stem.rpartition("-of-")
    return bool(head) and total.isdigit() and head[-5:].isdigit() and int(head[-5:]) > 1


def read_facts(path: Path) -> GgufFacts:
    """Reads the head up to the tokenizer. Raises Malformed for a file that is no GGUF, ModelNotFound if it cannot be read."""
    try:
        with path.open("rb") as file:
            return _facts(file, path.name)
    except OSError as error:
        raise ModelNotFound(f"{path.name} cannot be read: {error.strerror}", param="model") from None
    except (struct.error, UnicodeDecodeError, KeyError):
        raise Malformed(f"{path.name} is cut short or damaged: download it again") from None


def _facts(file: BinaryIO, name: str) -> GgufFacts:
    magic, version, _tensors, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or not 2 <= version <= 3:
        raise Malformed(f"{name} is not a GGUF file (version 2 or 3)")
    found: dict[str, Any] = {}
    for _ in range(min(count, 10_000)):
        key = _text(file)
        if key.startswith("tokenizer."):
            break
        value = _value(file, _number(file, "I"))
        if key in ("general.architecture", "general.name") or key.endswith(".context_length"):
            found[key.rpartition(".")[2]] = value
    return GgufFacts(found.get("architecture"), found.get("name"), found.get("context_length"))


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))[0]


def _text(file: BinaryIO) -> str:
    size = _number(file, "Q")
    if size > _MAX_TEXT_BYTES:
        raise struct.error("a text of the head is too long")
    return file.read(size).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind != _ARRAY:
        return _number(file, _FORMATS[kind])
    inner, count = _number(file, "I"), _number(file, "Q")
    if inner in _FORMATS:
        file.seek(struct.calcsize(f"<{_FORMATS[inner]}") * count, os.SEEK_CUR)
        return None
    for _ in range(min(count, 1_000_000)):
        _value(file, inner)
    return None
