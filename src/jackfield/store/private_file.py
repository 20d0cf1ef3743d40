"""Directories and files that only their owner may read, replaced whole or not at all.

Knows modes, atomic replacement and fsync; does not know what is in the files.
"""

import contextlib
import os
from pathlib import Path

from jackfield.core.errors import JackfieldError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def make_private_directory(path: Path) -> None:
    """Creates `path` (mode 0700) and its parents. One that exists keeps its mode: it may be shared on purpose.

    Raises JackfieldError (code "store_unwritable") with what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    except OSError as error:
        raise unwritable(path, error) from error


def open_private(path: Path, flags: int) -> int:
    """A descriptor of `path`, created with mode 0600 where missing and tightened to it where wider. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), FILE_MODE)
    if os.fstat(descriptor).st_mode & 0o077:
        with contextlib.suppress(OSError):  # not ours to tighten: a file of another owner stays as that owner wants it
            os.chmod(path, FILE_MODE)
    return descriptor


def replace_private(path: Path, content: bytes) -> None:
    """Puts `content` at `path`: after a crash at any instant either the old bytes or the new ones are there, whole."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = open_private(fresh, os.O_WRONLY | os.O_TRUNC)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh, path)
        sync_directory(path.parent)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def sync_directory(path: Path) -> None:
    """Makes renames and removals in `path` outlive a power cut, on systems that can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> JackfieldError:
    """The error for a person whose disk said no."""
    reason = error.strerror or type(error).__name__
    return JackfieldError(
        f"cannot write {path}: {reason}. Free some space or fix the permissions, or choose another data directory",
        code="store_unwritable",
    )


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
