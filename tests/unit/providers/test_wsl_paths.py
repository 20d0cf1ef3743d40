"""Windows paths inside WSL, there and back."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import ModelNotFound
from jackfield.providers import wsl_paths
from jackfield.providers.gguf import resolve_model
from jackfield.providers.llama_direct import LlamaDirect
from jackfield.providers.local_llama import LocalLlama
from jackfield.providers.wsl_paths import is_windows_path, is_wsl, path_here, to_windows, to_wsl
from jackfield.testing.tools import FakeTools


@pytest.mark.behaviour("LOCL-08")
@pytest.mark.parametrize(
    ("windows", "linux"),
    [(r"D:\models\x.gguf", "/mnt/d/models/x.gguf"), (r"C:\a b\ü.gguf", "/mnt/c/a b/ü.gguf"), ("c:/x", "/mnt/c/x")],
)
def test_a_drive_is_a_mount(windows: str, linux: str) -> None:
    assert is_windows_path(windows)
    assert to_wsl(windows) == linux
    assert to_windows(linux).lower() == windows.replace("/", "\\").lower()


@given(st.lists(st.text("abcXYZ 0._-ü", min_size=1), min_size=1, max_size=4), st.sampled_from("CDZ"))
def test_there_and_back(names: list[str], drive: str) -> None:
    path = f"{drive}:\\" + "\\".join(names)
    assert to_windows(to_wsl(path)) == path


@pytest.mark.parametrize("path", ["/home/me/x.gguf", "x.gguf", "./D:x", ""])
def test_any_other_path_stays(path: str) -> None:
    assert to_wsl(path) == path


def test_a_kernel_of_wsl_says_so() -> None:
    assert is_wsl("Linux version 5.15.153.1-microsoft-standard-WSL2 (gcc ...)")
    assert not is_wsl("Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)")


@pytest.mark.behaviour("LOCL-08")
async def test_a_windows_path_is_seen_where_this_machine_has_it() -> None:
    assert path_here(r"D:\models\x.gguf") == Path("/mnt/d/models/x.gguf")
    assert path_here("~/x.gguf") == Path.home() / "x.gguf"
    with pytest.raises(ModelNotFound, match="in /mnt/q/models"):
        resolve_model(r"Q:\models\x.gguf", None)
    provider = LocalLlama.create({"model": r"Q:\models\x.gguf"}, FakeTools(None))
    assert provider.capabilities.default_model == "x"
    assert "in /mnt/q/models" in (await provider.probe()).detail


@pytest.mark.behaviour("LOCL-08")
async def test_on_windows_itself_a_windows_path_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsl_paths, "os", SimpleNamespace(name="nt", path=os.path))
    assert path_here(r"D:\models\x.gguf") == Path(r"D:\models\x.gguf")
    for kind in (LlamaDirect, LocalLlama):
        said = (await kind.create({"model": r"D:\models\gone.gguf"}, FakeTools(None)).probe()).detail
        assert repr(r"D:\models\gone.gguf") in said
        assert "/mnt/" not in said
    monkeypatch.undo()
    assert "/mnt/q/models" in (await LlamaDirect.create({"model": r"Q:\models\x.gguf"}, FakeTools(None)).probe()).detail
