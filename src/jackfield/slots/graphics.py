"""Which GPUs this machine has, and on what models can run here: read from files the kernel provides, without any driver.

Starts no process and loads no library. CUDA, ROCm and MPS are told by what the system shows of them; the CPU is always there.
"""

import platform
from pathlib import Path
from typing import Literal

import msgspec

_MAKERS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}


class FoundGpu(msgspec.Struct, frozen=True):
    """`name` as the driver tells it, or the maker's. `kind` is nvidia, amd, intel. `count` cards of that name."""

    name: str
    kind: str
    count: int = 1


class FoundDevice(msgspec.Struct, frozen=True):
    """Something that models can run on. `kind` as engines call it."""

    kind: Literal["cuda", "rocm", "mps", "cpu"]
    name: str


def find_devices(
    root: Path = Path("/"), *, system: str = platform.system(), machine: str = platform.machine()
) -> tuple[FoundDevice, ...]:
    """The fastest first, and the CPU last, which every machine has."""
    gpus = find_gpus(root)
    found = [FoundDevice("cuda", gpu.name) for gpu in gpus if gpu.kind == "nvidia" for _ in range(gpu.count)]
    if _has_kfd(root):
        found += [FoundDevice("rocm", gpu.name) for gpu in gpus if gpu.kind == "amd" for _ in range(gpu.count)]
    if system == "Darwin" and machine == "arm64":
        found.append(FoundDevice("mps", "Apple GPU"))
    return (*found, FoundDevice("cpu", machine or "CPU"))


def _has_kfd(root: Path) -> bool:
    """AMD's compute driver: without it a card draws, and computes nothing."""
    nodes = _listed(root / "sys" / "class" / "kfd" / "kfd" / "topology" / "nodes", "*/gpu_id")
    return any(_text(node).strip() not in ("", "0") for node in nodes)


def find_gpus(root: Path = Path("/")) -> tuple[FoundGpu, ...]:
    """Empty where there is none, or where its driver shows nothing. `root` stands in for / in tests."""
    names = _nvidia_names(root)
    kinds = ["nvidia"] * len(names)
    if not names:
        devices = [path for path in _listed(root / "dev", "nvidia[0-9]*") if path.name[6:].isdigit()]
        names = ["NVIDIA GPU"] * len(devices)
        kinds = ["nvidia"] * len(devices)
    for kind in _drm_kinds(root):
        if kind != "nvidia" or "nvidia" not in kinds:
            names.append(f"{kind.upper() if kind != 'intel' else 'Intel'} GPU")
            kinds.append(kind)
    counted: dict[tuple[str, str], int] = {}
    for name, kind in zip(names, kinds, strict=True):
        counted[name, kind] = counted.get((name, kind), 0) + 1
    return tuple(FoundGpu(name, kind, count) for (name, kind), count in counted.items())


def _nvidia_names(root: Path) -> list[str]:
    names = []
    for path in _listed(root / "proc" / "driver" / "nvidia" / "gpus", "*/information"):
        for line in _text(path).splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model" and value.strip():
                names.append(value.strip())
    return names


def _drm_kinds(root: Path) -> list[str]:
    """Makers of the cards under /sys/class/drm; connectors (card0-HDMI-A-1) are not cards."""
    found = []
    for path in _listed(root / "sys" / "class" / "drm", "card[0-9]*/device/vendor"):
        if path.parent.parent.name[4:].isdigit():
            kind = _MAKERS.get(_text(path).strip().lower())
            if kind is not None:
                found.append(kind)
    return found


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
