import os
import stat
from pathlib import Path

import pytest

from jackfield.core.errors import JackfieldError
from jackfield.store.private_file import make_private_directory, open_private, replace_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory_is_private_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o700
    (tmp_path / "old").mkdir(mode=0o755)
    make_private_directory(tmp_path / "old")
    assert mode_of(tmp_path / "old") == 0o755


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace_private(tmp_path / "f", b"x")
        make_private_directory(tmp_path / "d")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "f") == 0o600
    assert mode_of(tmp_path / "d") == 0o700


def test_a_file_that_was_open_to_others_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("")
    path.chmod(0o644)
    os.close(open_private(path, os.O_RDWR))
    assert mode_of(path) == 0o600


def test_replacing_leaves_the_new_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "f"
    replace_private(path, b"old")
    replace_private(path, b"new" * 100_000)
    assert path.read_bytes() == b"new" * 100_000
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_keeps_the_old_content_and_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    replace_private(path, b"old")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(JackfieldError, match="No space left"):
        replace_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
