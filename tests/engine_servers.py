"""Real inference servers for tests: llama-server, Lemonade and vLLM, each in a process group of its own on a loopback port.

Knows where scripts/engines leaves the engines, how they are started, when they are ready and how they end. Knows nothing of
jackfield. The fixtures live here so that any test folder has them by way of tests/conftest.py.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletionFunctionToolParam

REPOSITORY = Path(__file__).parents[1]
CHAT_MODEL = REPOSITORY / "src/jackfield/app/demo/tiny-llm.gguf"
EMBED_MODEL = REPOSITORY / "tests/models/tiny-embed.gguf"
HF_MODEL = REPOSITORY / "tests/models/tiny-hf"
READY_S = 30.0
VLLM_READY_S = 400.0
VLLM_ENVIRON = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
"""One gigabyte of cache, one thread wherever the system puts it, and nothing asked of the internet."""
STOP_S = 2.0
START_TRIES = 3

WEATHER_TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
"""A tool that the tiny model has learnt to call when asked `What is the weather in Paris?`."""


Command = Callable[[int], list[str]]
"""A command line for a port."""


@dataclass(frozen=True)
class EngineServer:
    """A running engine. `base_url` is its OpenAI root, `root_url` its own; `model` the name it knows its model by."""

    root_url: str
    base_url: str
    model: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.root_url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait(STOP_S)


class EngineStartFailed(Exception):
    """The engine ended, or was not ready in time; the text holds the end of its log."""


def engines_folder() -> Path:
    """Where the engines are: $JACKFIELD_ENGINES, which scripts/test sets, or the folder that scripts/engines fills."""
    return Path(os.environ.get("JACKFIELD_ENGINES", REPOSITORY / ".cache/engines")).resolve()


def engine_program(name: str) -> Path:
    """The command of one engine. Fails the test where it is missing, and skips it only where scripts/engines wrote why."""
    program = engines_folder() / name
    if program.exists():
        return program
    reason = engines_folder() / "FALLBACK"
    if reason.exists() and (engines_folder() / "llama-server").exists():
        pytest.skip(f"no {name}: {reason.read_text(encoding='utf-8').strip()}")
    pytest.fail(f"no {name} in {engines_folder()}: run scripts/engines, or set JACKFIELD_ENGINES", pytrace=False)


def free_port() -> int:
    """A port that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get_json(url: str, path: str, timeout_s: float = 5.0) -> tuple[int, Any]:
    """Status and body of a plain GET on loopback; status 0 while nobody answers."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=timeout_s)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
    with suppress(ValueError):
        return reply.status, json.loads(body)
    return reply.status, None


@contextmanager
def llama_server(
    folder: Path, *options: str, model: Path = CHAT_MODEL, alias: str = "tiny", port: int | None = None
) -> Iterator[EngineServer]:
    """A llama-server with one model; `options` go to its command line. `folder` takes its log."""
    program = engine_program("llama-server")

    def command(port: int) -> list[str]:
        fixed = ["--alias", alias, "--host", "127.0.0.1", "--port", str(port), "-c", "4096", "-np", "2", "-t", "1"]
        return [str(program), "-m", str(model), *fixed, "--no-ui", "--offline", *options]

    with _running(command, folder / "llama-server.log", ready_path="/health", port=port) as (process, root_url):
        yield EngineServer(root_url, f"{root_url}/v1", alias, process, folder / "llama-server.log")


@contextmanager
def lemonade_server(folder: Path, *, port: int | None = None) -> Iterator[EngineServer]:
    """A Lemonade server that knows the tiny model as `tiny-llm` and starts llama-server by itself when asked for it."""
    program = engine_program("lemond")
    models = folder / "models"
    models.mkdir(parents=True)
    shutil.copy(CHAT_MODEL, models / "tiny-llm.gguf")
    settings = {
        "host": "127.0.0.1",
        "offline": True,
        "no_fetch_executables": True,
        "broadcast": False,
        "extra_models_dir": str(models),
        "llamacpp": {"backend": "system", "prefer_system": True},
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")

    def command(port: int) -> list[str]:
        return [str(program), str(folder), "--port", str(port)]

    with _running(command, folder / "lemond.log", ready_path="/v1/health", port=port) as (process, root_url):
        yield EngineServer(root_url, f"{root_url}/v1", "tiny-llm", process, folder / "lemond.log")


@contextmanager
def vllm_server(folder: Path) -> Iterator[EngineServer]:
    """vLLM on the CPU with the tiny model in Hugging Face's form, as `tiny`. Minutes pass until it is ready the first time."""
    program = engines_folder() / "vllm/bin/vllm"
    environ = [f"{name}={value}" for name, value in VLLM_ENVIRON.items()]

    def command(port: int) -> list[str]:
        fixed = ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
        sizes = ["--max-model-len", "2048", "--max-num-seqs", "8", "--enforce-eager"]
        tools = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
        return ["env", *environ, str(program), "serve", str(HF_MODEL), *fixed, *sizes, *tools]

    with _running(command, folder / "vllm.log", ready_path="/health", port=None, ready_s=VLLM_READY_S) as (process, root_url):
        yield EngineServer(root_url, f"{root_url}/v1", "tiny", process, folder / "vllm.log")


@contextmanager
def _running(
    command: Command, log: Path, *, ready_path: str, port: int | None, ready_s: float = READY_S
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Starts the command on a free port and yields once it is ready. Its whole process group is gone afterwards."""
    process, root_url = _start(command, log, ready_path, port, ready_s)
    try:
        yield process, root_url
    finally:
        _stop(process)


def _start(
    command: Command, log: Path, ready_path: str, port: int | None, ready_s: float
) -> tuple[subprocess.Popen[bytes], str]:
    """Another process may take the free port before the engine does, so a start is tried again on another one."""
    tries = 1 if port else START_TRIES
    for left in reversed(range(tries)):
        chosen = port or free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(chosen), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _await_ready(process, f"http://127.0.0.1:{chosen}", ready_path, log, ready_s)
        except EngineStartFailed:
            is_alive = process.poll() is None
            _stop(process)
            if is_alive or not left:
                raise
        except BaseException:
            _stop(process)
            raise
        else:
            return process, f"http://127.0.0.1:{chosen}"
    raise AssertionError("unreachable")


def _await_ready(process: subprocess.Popen[bytes], root_url: str, path: str, log: Path, ready_s: float) -> None:
    deadline = time.monotonic() + ready_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EngineStartFailed(f"{process.args!r} ended with {process.returncode}:\n{_tail(log)}")
        if get_json(root_url, path, timeout_s=1.0)[0] == 200:
            return
        time.sleep(0.02)
    raise EngineStartFailed(f"{process.args!r} was not ready in {ready_s:g} s:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    _signal_group(process, signal.SIGKILL)
    process.wait(STOP_S)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """A real llama-server with the tiny chat model, shared by the session: leave it as you found it."""
    with llama_server(tmp_path_factory.mktemp("llama-server")) as server:
        yield server


@pytest.fixture(scope="session")
def lemonade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """A real Lemonade server with the tiny chat model, shared by the session: leave it as you found it."""
    with lemonade_server(tmp_path_factory.mktemp("lemonade")) as server:
        yield server
