"""llama.cpp's program and its model: is each path one for this system, is the file there, can the program be started?

Knows paths, and runs the program once for its help, as the provider does. Where paths come from is llama_places.py's.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from jackfield.app.doctoring.check import Check
from jackfield.core.errors import JackfieldError
from jackfield.core.redaction import redact
from jackfield.providers.gguf import read_facts, resolve_model
from jackfield.providers.llama_direct import HELP_WITHIN_S
from jackfield.providers.wsl_paths import is_windows_path, is_wsl, to_windows, to_wsl

System = Literal["unix", "wsl", "windows"]
PROC_VERSION = Path("/proc/version")
NOT_STARTED = (126, 127)
"""Exit codes by which shells and loaders say that a program could not be started at all."""
GET_IT = "get llama.cpp's programs (https://github.com/ggml-org/llama.cpp/releases) and put them on the PATH, or give --program"
SAID_MAX_CHARS = 200


class Place(msgspec.Struct, frozen=True):
    """Where llama.cpp's program is used, and with what. `programs` are tried in their order; `model` None: none is set."""

    where: str
    programs: tuple[str, ...]
    model: str | None = None
    models_dir: str | None = None


class Looked(msgspec.Struct, frozen=True):
    where: str
    checks: tuple[Check, ...]


def system_here(proc_version: Path = PROC_VERSION) -> System:
    """What this machine is: Windows, Linux within Windows, or neither."""
    if sys.platform == "win32":
        return "windows"
    try:
        return "wsl" if is_wsl(proc_version.read_text(encoding="utf-8", errors="replace")) else "unix"
    except OSError:
        return "unix"


def look_at(place: Place, system: System, environ: Mapping[str, str]) -> Looked:
    """Format, existence and a start of the program, then format and existence of the model. A failed look ends its row."""
    return Looked(place.where, (*_program(place, system, environ), *_model(place, system)))


def _program(place: Place, system: System, environ: Mapping[str, str]) -> list[Check]:
    name = place.programs[0] if len(place.programs) == 1 else " or ".join(place.programs)
    checks = [_program_format(name, system)]
    if checks[0].state == "fail":
        return checks
    found = _found(place.programs, environ.get("PATH"), os.F_OK)
    if found is None:
        where = "is not there" if os.path.dirname(name) else "is not on the PATH"
        return [*checks, Check("program exists", "fail", f"{name} {where}", GET_IT)]
    checks.append(Check("program exists", "ok", found))
    started = _found(place.programs, environ.get("PATH"), os.F_OK | os.X_OK)
    if started is None:
        return [*checks, Check("program executable", "fail", f"{found} may not be executed", f"chmod +x {found}")]
    return [*checks, _starts(started, environ)]


def _program_format(name: str, system: System) -> Check:
    label = "program format"
    if system == "wsl" and is_windows_path(name):
        return Check(label, "fail", f"{name} is a Windows path, and this is Linux within Windows", f"write {to_wsl(name)}")
    return _format(label, name, system)


def _found(programs: Sequence[str], path: str | None, rights: int) -> str | None:
    return next((found for name in programs if (found := shutil.which(name, mode=rights, path=path))), None)


def _starts(program: str, environ: Mapping[str, str]) -> Check:
    label = "program executable"
    try:
        done = subprocess.run(
            [program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=HELP_WITHIN_S, env=dict(environ)
        )
    except subprocess.TimeoutExpired:
        return Check(label, "fail", f"{program} --help took more than {HELP_WITHIN_S:g} s", "end what keeps the machine busy")
    except OSError as error:
        fix = "get the build for this system and processor: https://github.com/ggml-org/llama.cpp/releases"
        return Check(label, "fail", f"{program} cannot be started: {error.strerror or error}", fix)
    said = _first_line(done.stderr)
    if done.returncode < 0 or done.returncode in NOT_STARTED:
        fix = "its libraries may be missing: set LD_LIBRARY_PATH, or get the whole release"
        return Check(label, "fail", f"{program} ended with {done.returncode}{said}", fix)
    if done.returncode:
        return Check(label, "warn", f"{program} --help ended with {done.returncode}{said}", "is it llama.cpp's program?")
    return Check(label, "ok", f"{program} starts")


def _first_line(data: bytes) -> str:
    lines = data.decode(errors="replace").strip().splitlines()
    return f": {redact(lines[0][:SAID_MAX_CHARS])}" if lines else ""


def _model(place: Place, system: System) -> list[Check]:
    if not place.model:
        return [Check("model exists", "warn", "no model is set", "give --model FILE, or set the provider's model")]
    checks = [_format("model format", place.model, system)]
    return checks if checks[0].state == "fail" else [*checks, _model_exists(place, system)]


def _model_exists(place: Place, system: System) -> Check:
    name = str(place.model)
    try:
        path = resolve_model(name if system == "windows" else to_wsl(name), place.models_dir)
        read_facts(path)
        size_bytes = path.stat().st_size
    except (JackfieldError, OSError) as error:
        said = error.message if isinstance(error, JackfieldError) else str(error.strerror)
        return Check("model exists", "fail", said, "give the whole path of a GGUF file, or its name in models_dir")
    return Check("model exists", "ok", f"{path} ({size_bytes / 1024**2:.1f} MiB)")


def _format(label: str, path: str, system: System) -> Check:
    """Is the path written as this system writes paths?"""
    if is_windows_path(path):
        if system == "windows":
            return Check(label, "ok", path)
        if system == "wsl":
            return Check(label, "ok", f"{path} is read as {to_wsl(path)}")
        fix = "give its path on this machine"
        return Check(label, "fail", f"{path} is a Windows path, and this is neither Windows nor WSL", fix)
    if system == "windows" and to_windows(path) != path:
        return Check(label, "fail", f"{path} is a path within WSL, and this is Windows", f"write {to_windows(path)}")
    return Check(label, "ok", path)
