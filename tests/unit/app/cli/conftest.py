"""A real gateway on a thread of its own, and the command line called in this process or as the installed script."""

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from command_line import SCRIPT, Live, Run, Said
from jackfield.app.cli.main import app
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import running_gateway


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("gateway")
    loop = asyncio.new_event_loop()
    ready: asyncio.Future[Live] = loop.create_future()
    done = asyncio.Event()

    async def serve() -> None:
        async with FakeOpenAI(("fake-model", "special")) as fake, running_gateway(folder, plugins=True) as gateway:
            ready.set_result(Live(gateway, fake, loop))
            await done.wait()

    async def whole() -> Live:
        return await asyncio.shield(ready)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    live = asyncio.run_coroutine_threadsafe(whole(), loop).result(30)
    yield live
    loop.call_soon_threadsafe(done.set)
    thread.join(30)
    loop.close()


@pytest.fixture
def live(house: Live) -> Live:
    house.run(house.refill())
    return house


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of this machine's settings is found."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "JACKFIELD_HOME": str(tmp_path / "home"), "COLUMNS": "200"}


@pytest.fixture
def jf(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command line in this process, stdin not a terminal: jf("slots", "list", url=...)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, url: str | None = None, stdin: str | None = None, env: dict[str, str] | None = None) -> Said:
        line = [*(["--url", url] if url else []), *map(str, words)]
        result = CliRunner().invoke(app, line, input=stdin, env={**environ, **(env or {})}, prog_name="jackfield")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def script(environ: dict[str, str], tmp_path: Path) -> Run:
    """The installed script in a process of its own."""

    def run(*words: object, stdin: str = "", env: dict[str, str] | None = None) -> Said:
        surroundings = {**os.environ, **environ, **(env or {})}
        done = subprocess.run(
            [str(SCRIPT), *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
            env=surroundings,
            cwd=tmp_path,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The address of a port where nobody listens."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
