r"""Windows paths and their names inside the Windows Subsystem for Linux: `D:\models\x.gguf` is `/mnt/d/models/x.gguf`.

Pure but for `path_here`, which asks what system this is.
"""

import os
import re
from pathlib import Path

_DRIVE = re.compile(r"(?P<drive>[A-Za-z]):[\\/](?P<rest>.*)", re.DOTALL)
_MOUNTED = re.compile(r"/mnt/(?P<drive>[a-z])(?:/(?P<rest>.*))?", re.DOTALL)


def is_wsl(proc_version: str) -> bool:
    """Whether a kernel that calls itself so (the text of /proc/version) is that of WSL."""
    return "microsoft" in proc_version.lower()


def is_windows_path(path: str) -> bool:
    return _DRIVE.fullmatch(path) is not None


def to_wsl(path: str) -> str:
    """A path with a drive letter as Linux sees it under WSL; any other path as it is."""
    match = _DRIVE.fullmatch(path)
    if match is None:
        return path
    rest = match["rest"].replace("\\", "/").strip("/")
    return f"/mnt/{match['drive'].lower()}/{rest}".rstrip("/")


def to_windows(path: str) -> str:
    """A path below /mnt/DRIVE as Windows sees it; any other path as it is."""
    match = _MOUNTED.fullmatch(path)
    if match is None:
        return path
    rest = (match["rest"] or "").replace("/", "\\")
    return f"{match['drive'].upper()}:\\{rest}"


def path_here(path: str) -> Path:
    r"""A path that a person wrote, `~` opened; a Windows one (`D:\models`) as this machine sees it, unless it is Windows."""
    return Path(os.path.expanduser(path if os.name == "nt" else to_wsl(path)))
