"""Where PyTorch computes, for every machine that it may describe."""

import pytest

from jackfield.core.errors import BadRequest, ServiceFailed
from jackfield.providers.torch_device import Device, TorchSays, pick_device

NVIDIA = TorchSays(cuda=True, gpus=2)
AMD = TorchSays(cuda=True, hip="6.4.2", gpus=1)
APPLE = TorchSays(mps=True)
PLAIN = TorchSays()


@pytest.mark.behaviour("LOCL-02")
@pytest.mark.parametrize(
    ("says", "wanted", "device"),
    [
        (PLAIN, "auto", Device("cpu", "cpu")),
        (NVIDIA, "auto", Device("cuda", "cuda")),
        (AMD, "auto", Device("cuda", "rocm")),
        (APPLE, "auto", Device("mps", "mps")),
        (NVIDIA, "cpu", Device("cpu", "cpu")),
        (NVIDIA, "cuda:1", Device("cuda:1", "cuda")),
        (AMD, "rocm:0", Device("cuda:0", "rocm")),
        (APPLE, "mps", Device("mps", "mps")),
    ],
)
def test_the_device_follows_from_what_torch_says(says: TorchSays, wanted: str, device: Device) -> None:
    assert pick_device(says, wanted) == device


@pytest.mark.parametrize(
    ("says", "wanted"), [(PLAIN, "cuda"), (PLAIN, "mps"), (AMD, "cuda"), (NVIDIA, "rocm"), (NVIDIA, "cuda:2")]
)
def test_what_is_not_there_is_told_and_not_replaced(says: TorchSays, wanted: str) -> None:
    with pytest.raises(ServiceFailed, match="set device"):
        pick_device(says, wanted)


@pytest.mark.parametrize("wanted", ["gpu", "", "cuda:", "cuda:x", "cpu:1", "auto:0"])
def test_what_is_no_device_is_refused(wanted: str) -> None:
    with pytest.raises(BadRequest, match="device is one of") as caught:
        pick_device(NVIDIA, wanted)
    assert caught.value.param == "device"
