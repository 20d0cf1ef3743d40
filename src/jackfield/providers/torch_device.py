"""On which device PyTorch shall compute: decided from what it says of itself. Pure; imports no PyTorch."""

from typing import Literal, NamedTuple

from jackfield.core.errors import BadRequest, ServiceFailed

Hardware = Literal["cuda", "rocm", "mps", "cpu"]
DEVICES = ("auto", "cuda", "rocm", "mps", "cpu")


class TorchSays(NamedTuple):
    """`cuda` is torch.cuda.is_available(), true with AMD's ROCm too; `hip` its torch.version.hip; `gpus` their count."""

    cuda: bool = False
    hip: str | None = None
    mps: bool = False
    gpus: int = 0


class Device(NamedTuple):
    """`name` as torch takes it ("cuda:1" is also the second AMD GPU's); `hardware` what it is."""

    name: str
    hardware: Hardware


def check_device(wanted: str) -> None:
    """Raises BadRequest for what is no device: known are DEVICES, and `cuda:N` and `rocm:N` for the N-th GPU from 0."""
    kind, colon, number = wanted.partition(":")
    if kind not in DEVICES or (colon and not (kind in ("cuda", "rocm") and number.isdigit())):
        raise BadRequest(f"device is one of {', '.join(DEVICES)} or cuda:N, got {wanted!r}", param="device")


def pick_device(says: TorchSays, wanted: str = "auto") -> Device:
    """The wanted device; for "auto" a GPU where there is one, else the CPU. Raises BadRequest, or ServiceFailed if it lacks."""
    check_device(wanted)
    kind, _, number = wanted.partition(":")
    gpu: Hardware = "rocm" if says.hip else "cuda"
    if kind == "cpu" or (kind == "auto" and not says.cuda and not says.mps):
        return Device("cpu", "cpu")
    if kind in ("auto", gpu) and says.cuda:
        if number and int(number) >= says.gpus:
            raise ServiceFailed(f"there is no GPU {number}: PyTorch sees {says.gpus}, counted from 0; set device")
        return Device(f"cuda:{number}" if number else "cuda", gpu)
    if kind in ("auto", "mps") and says.mps:
        return Device("mps", "mps")
    raise ServiceFailed(
        f"PyTorch as it is installed sees no {kind} here: install the build for it (https://pytorch.org/get-started), "
        "or set device: auto"
    )
