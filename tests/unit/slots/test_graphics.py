"""GPUs by the files of the kernel."""

from pathlib import Path

import pytest

from jackfield.slots.graphics import FoundGpu, find_devices, find_gpus


def write(root: Path, name: str, text: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_names_of_the_nvidia_driver_are_counted(tmp_path: Path) -> None:
    for card in ("0000:01:00.0", "0000:02:00.0"):
        write(tmp_path, f"proc/driver/nvidia/gpus/{card}/information", "Model: \t NVIDIA H200\nIRQ: 1\n")
    write(tmp_path, "dev/nvidia0")
    write(tmp_path, "sys/class/drm/card0/device/vendor", "0x10de\n")
    assert find_gpus(tmp_path) == (FoundGpu("NVIDIA H200", "nvidia", 2),)


def test_device_files_do_where_the_driver_tells_no_name(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        write(tmp_path, f"dev/{name}")
    assert find_gpus(tmp_path) == (FoundGpu("NVIDIA GPU", "nvidia", 2),)


def test_other_makers_by_their_number(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/drm/card0/device/vendor", "0x1002\n")
    write(tmp_path, "sys/class/drm/card1/device/vendor", "0x8086\n")
    write(tmp_path, "sys/class/drm/card0-HDMI-A-1/device/vendor", "0x1002\n")
    write(tmp_path, "sys/class/drm/card2/device/vendor", "0xffff\n")
    assert find_gpus(tmp_path) == (FoundGpu("AMD GPU", "amd"), FoundGpu("Intel GPU", "intel"))


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert find_gpus(tmp_path / "missing") == ()


@pytest.mark.behaviour("MGR-12")
def test_models_run_on_cuda_rocm_mps_and_always_on_the_cpu(tmp_path: Path) -> None:
    nothing = find_devices(tmp_path / "missing", system="Linux", machine="x86_64")
    assert [device.kind for device in nothing] == ["cpu"]
    for card in range(2):
        write(tmp_path, f"proc/driver/nvidia/gpus/{card}/information", "Model: NVIDIA H200\n")
    write(tmp_path, "sys/class/drm/card0/device/vendor", "0x1002\n")
    kinds = [device.kind for device in find_devices(tmp_path, system="Linux", machine="x86_64")]
    assert kinds == ["cuda", "cuda", "cpu"], "a card of AMD's without its compute driver only draws"
    write(tmp_path, "sys/class/kfd/kfd/topology/nodes/0/gpu_id", "0\n")
    write(tmp_path, "sys/class/kfd/kfd/topology/nodes/1/gpu_id", "41234\n")
    kinds = [device.kind for device in find_devices(tmp_path, system="Linux", machine="x86_64")]
    assert kinds == ["cuda", "cuda", "rocm", "cpu"]
    apple = find_devices(tmp_path / "missing", system="Darwin", machine="arm64")
    assert [device.kind for device in apple] == ["mps", "cpu"]
    assert [device.kind for device in find_devices(tmp_path / "missing", system="Darwin", machine="x86_64")] == ["cpu"]
