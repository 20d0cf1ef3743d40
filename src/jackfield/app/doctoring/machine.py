"""Looks at everything a gateway needs on this machine and says what is wrong and how to mend it.

Each check is one function that gives one `Check` and raises nothing. Looking changes nothing: it writes one empty file into
the store's folder and takes it away again, and asks only this machine.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jackfield.app.cli.gateway import Gateway
from jackfield.app.doctoring.check import Check
from jackfield.app.doctoring.places import is_listened_on
from jackfield.app.ports import free_port_near, port_holder
from jackfield.app.settings import Loaded, Settings, SettingsInvalid
from jackfield.core.errors import JackfieldError
from jackfield.core.modes import OperatingMode

if TYPE_CHECKING:
    from jackfield.providers.registry import Registrar

GIB = 1024**3
DISK_LOW_BYTES = 2 * GIB
DISK_FULL_BYTES = 100 * 1024**2
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "local": ("xllamacpp",),
    "transformers": ("torch", "transformers"),
    "otel": ("opentelemetry.sdk",),
    "mcp": ("mcp",),
    "ws": ("websockets",),
    "semantic": ("numpy",),
    "schema": ("jsonschema",),
    "litellm": ("litellm",),
}
"""Each optional extra of this package, with the modules that it brings."""
OLDEST_PYTHON = (3, 11)
REQUIRED = ("httptools", "uvicorn", "httpx2", "litestar", "keyring", "cryptography")


class Surroundings(msgspec.Struct, frozen=True):
    """What the checks look at. `invalid` is why the settings could not be read; `settings` are the defaults then."""

    settings: Settings
    loaded: Loaded | None
    invalid: SettingsInvalid | None
    environ: Mapping[str, str]
    registrar: "Registrar | None"
    gateway: Gateway
    servers: Callable[[], Sequence[str]]
    secret_names: Callable[[], Collection[str]]


def examine(around: Surroundings) -> list[Check]:
    """All checks, in the order in which a person would mend things."""
    return [check(around) for check in CHECKS]


def python(_: Surroundings) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if tuple(sys.version_info[:2]) < OLDEST_PYTHON:
        return Check("python", "fail", f"{version} is too old", "install Python 3.11 or newer")
    return Check("python", "ok", f"{version} ({sys.executable})")


def extras(_: Surroundings) -> Check:
    missing = [name for name in REQUIRED if not _is_importable(name)]
    if missing:
        return Check("extras", "fail", f"missing: {', '.join(missing)}", "reinstall: pip install --force-reinstall jackfield")
    present = [extra for extra, modules in EXTRAS.items() if all(map(_is_importable, modules))]
    absent = [extra for extra in EXTRAS if extra not in present]
    detail = f"installed: {', '.join(present) or 'none'}"
    if not absent:
        return Check("extras", "ok", detail)
    wanted = "what you want of them" if len(absent) > 1 else "it, if you want it"
    fix = f"install {wanted}: pip install 'jackfield[{','.join(absent)}]'"
    return Check("extras", "ok", f"{detail}; not installed: {', '.join(absent)}", fix)


def settings(around: Surroundings) -> Check:
    if around.invalid is not None:
        return Check("settings", "fail", str(around.invalid), "mend these places, then: jackfield config check")
    loaded = around.loaded
    file = loaded.file if loaded else None
    detail = str(file) if file else "no file: defaults and environment"
    if loaded and loaded.warnings:
        return Check("settings", "warn", f"{detail}; {'; '.join(loaded.warnings)}", "correct or unset what is named")
    return Check("settings", "ok", detail)


def store(around: Surroundings) -> Check:
    folder = around.settings.store_path
    existing = _existing(folder)
    try:
        descriptor, name = tempfile.mkstemp(prefix=".doctor-", dir=existing)
        os.close(descriptor)
        Path(name).unlink()
    except OSError as error:
        fix = f"give this user write rights on {existing}, or set store (JACKFIELD_HOME) to another folder"
        return Check("store", "fail", f"{folder} cannot be written: {error.strerror or error}", fix)
    return Check("store", "ok", str(folder) if existing == folder else f"{folder} (made at the first start)")


def disk(around: Surroundings) -> Check:
    free = shutil.disk_usage(_existing(around.settings.store_path)).free
    detail = f"{free / GIB:.1f} GiB free at {around.settings.store_path}"
    if free < DISK_FULL_BYTES:
        return Check("disk", "fail", detail, "free some space: the ledger and the panel could not be written")
    if free < DISK_LOW_BYTES:
        return Check("disk", "warn", detail, "free some space before loading models")
    return Check("disk", "ok", detail)


def port(around: Surroundings) -> Check:
    server = around.settings.server
    if around.gateway.is_up():
        return Check("port", "ok", f"{around.gateway.url} is taken by a gateway")
    if not is_listened_on(server.host, server.port):
        return Check("port", "ok", f"{server.port} is free")
    holder, free = port_holder(server.port), free_port_near(server.host, server.port)
    fix = f"stop it, or: jackfield up --port {free}" if free else "stop it, or choose another server.port"
    return Check("port", "fail", f"{server.port} is in use by {holder or 'another program'}", fix)


def gateway(around: Surroundings) -> Check:
    if not around.gateway.is_up():
        return Check("gateway", "warn", f"none answers at {around.gateway.url}", "start it: jackfield up")
    try:
        slots = around.gateway.get("slots")["slots"]
    except JackfieldError as error:
        return Check("gateway", "fail", f"{around.gateway.url}: {error}", "set JACKFIELD_API_KEY to the gateway's key")
    failed = [f"slot {slot['number']}: {slot.get('problem')}" for slot in slots if slot["state"] == "failed"]
    plugged = sum(slot["state"] == "plugged" for slot in slots)
    detail = f"{around.gateway.url}, {plugged} of {len(slots)} slots plugged"
    if failed:
        return Check("gateway", "warn", f"{detail}; {'; '.join(failed)}", "jackfield slots info N tells more")
    return Check("gateway", "ok", detail)


def engines(around: Surroundings) -> Check:
    try:
        found = around.servers()
    except JackfieldError as error:
        return Check("engines", "warn", f"could not look: {error}", "")
    if not found:
        return Check(
            "engines", "warn", "no local server found", "start ollama, llama-server or another; or: jackfield up --demo"
        )
    return Check("engines", "ok", ", ".join(found))


def keys(around: Surroundings) -> Check:
    """Names only: a value is neither read out nor shown."""
    cards = around.registrar.cards() if around.registrar else []
    names = sorted({name for card in cards for name in card.key_env if around.environ.get(name)})
    try:
        stored = sorted(around.secret_names())
    except JackfieldError as error:
        return Check("keys", "fail", f"stored keys cannot be read: {error}", "mend the store first")
    parts = [f"environment: {', '.join(names)}"] * bool(names) + [f"stored: {', '.join(stored)}"] * bool(stored)
    return Check("keys", "ok", "; ".join(parts) or "none, and none is needed for local providers")


def plugins(around: Surroundings) -> Check:
    if around.registrar is None:
        return Check("plugins", "warn", "not looked at: the settings must be mended first", "")
    problems = around.registrar.problems
    if problems:
        return Check("plugins", "warn", "; ".join(problems), "update or uninstall what is named, or set plugins: false")
    return Check("plugins", "ok", f"{len(around.registrar.ids())} providers can be plugged")


def mode(around: Surroundings) -> Check:
    said = {
        OperatingMode.LOCAL_ONLY: "prompts stay on this machine until you allow a provider",
        OperatingMode.BURST: "prompts go to the providers that you allowed",
        OperatingMode.AIRGAPPED: "nothing leaves this machine, whatever is allowed",
    }
    return Check("mode", "ok", f"{around.settings.mode}: {said[around.settings.mode]}")


CHECKS: tuple[Callable[[Surroundings], Check], ...] = (
    python,
    extras,
    settings,
    store,
    disk,
    mode,
    port,
    gateway,
    engines,
    keys,
    plugins,
)


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is not there either, or what is there came from nowhere
        return False


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
