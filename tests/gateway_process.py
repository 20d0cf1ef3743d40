"""The installed `jackfield up` in a process of its own: how it is started, talked to, stopped and killed.

Knows the command line and HTTP, nothing of the package: what it finds out is what a person finds out.
"""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAI

from command_line import SCRIPT, Said

READY_S = 20.0
STOP_S = 20.0
SETTINGS = "jackfield.yaml"


class UpFailed(Exception):
    """It ended, or said nothing in time; the text is what it wrote to stderr."""


class Up:
    """A running gateway. `said` is the line that it printed once it was ready, `http` a plain client on it.

    Its settings file, its store (`home`) and its log are in `folder`.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path, environ: Mapping[str, str], log: Path) -> None:
        self.process = process
        self.folder = folder
        self.environ = environ
        self._log = log
        self.line = self._await_line()
        self.said: dict[str, Any] = json.loads(self.line)
        self.url: str = self.said["url"]
        self.port: int = self.said["port"]
        self.http = httpx2.Client(base_url=self.url, timeout=20, trust_env=False)

    @property
    def store(self) -> Path:
        return self.folder / "home"

    @property
    def settings(self) -> Path:
        return self.folder / SETTINGS

    @property
    def log(self) -> str:
        """All of stderr so far."""
        return self._log.read_text(encoding="utf-8")

    def openai(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=20, **options)

    def async_openai(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=20)

    def ask(self, text: str = "ping", model: str = "slot-0", **fields: Any) -> httpx2.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.http.post("/v1/chat/completions", json=body)

    def look(self, path: str) -> Any:
        """The answer of the control door to a GET."""
        reply = self.http.get(f"/control/v1/{path}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def change(self, path: str, **body: Any) -> Any:
        """The answer of the control door to a POST."""
        reply = self.http.post(f"/control/v1/{path}", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def rows(self) -> list[dict[str, Any]]:
        """The ledger, newest first."""
        rows: list[dict[str, Any]] = self.look("ledger")["rows"]
        return rows

    def slot_of(self, port: int) -> dict[str, Any]:
        """The slot that was plugged at start with what listens on `port` of this machine."""
        address = f"127.0.0.1:{port}"
        return next(slot for slot in self.said["slots"] if slot["live"] and address in slot["live"]["hosts"])

    def run(self, *words: str) -> Said:
        """Another `jackfield` command, in the same folder and on the same store."""
        return jackfield(self.folder, *words, environ=self.environ)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel would."""
        self.process.kill()
        self.process.wait(STOP_S)

    def _await_line(self) -> str:
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                line = self.process.stdout.readline()
                if line:
                    return line
                break
        raise UpFailed(self.log)


@contextmanager
def jackfield_up(
    folder: Path, *words: str, settings: str | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[Up]:
    """`jackfield up --json --port 0` with a store of its own in `folder`; SIGTERM at the end, if it still runs then.

    `settings` is written as its settings file; without, one that is there already is used. Raises UpFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if settings is not None:
        (folder / SETTINGS).write_text(settings, encoding="utf-8")
    log = folder / "stderr.log"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [str(SCRIPT), "up", "--json", "--port", "0", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=folder,
            env=surroundings(folder, environ),
        )
    up = None
    try:
        up = Up(process, folder, environ or {}, log)
        yield up
        if process.poll() is None:
            up.stop()
    finally:
        if up is not None:
            up.http.close()
        _end(process)


@asynccontextmanager
async def jackfield_up_beside(folder: Path, *words: str, **options: Any) -> AsyncIterator[Up]:
    """`jackfield_up`, while the fakes of this event loop go on answering."""
    opened = jackfield_up(folder, *words, **options)
    up = await asyncio.to_thread(opened.__enter__)
    try:
        yield up
    finally:
        await asyncio.to_thread(opened.__exit__, *sys.exc_info())


def jackfield(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> Said:
    """The installed script, with the settings and the store of `folder`, until it ends."""
    done = subprocess.run(
        [str(SCRIPT), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        cwd=folder,
        env=surroundings(folder, environ),
    )
    return Said(done.returncode, done.stdout, done.stderr)


def surroundings(folder: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which nothing of this machine's settings is found."""
    own = {"JACKFIELD_HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "config"), "COLUMNS": "200"}
    return {**os.environ, **own, **(environ or {})}


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait(STOP_S)
    if process.stdout is not None:
        process.stdout.close()
