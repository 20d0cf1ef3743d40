"""Runs contenders under the workloads: starts them, waits for them, loads them in shuffled order, and keeps what was measured.

The gateway has one core and the load generator and the upstream share another, so what a gateway costs is read from its own
CPU time and not from how many requests came through.
"""

import hashlib
import http.client
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import processes
from contenders import CACHE, CHAT_PATH, Contender, Launch, free_port
from workloads import WORKLOADS, Workload, request_body

GATEWAY_CORE = 0
LOAD_CORE = 1
SOURCES = Path(__file__).parent
Measured = dict[str, float]


class Times(NamedTuple):
    """Of one load, in seconds: the measured part, and before it the warm-up."""

    seconds: float
    warm_up_s: float


class BenchFailed(Exception):
    """The bench cannot run, or a contender did not answer as it must."""


@dataclass
class Running:
    """A contender that is up, and what was measured of it: workload name -> one entry a round, None for a round it failed."""

    contender: Contender
    launch: Launch
    process: subprocess.Popen[bytes] | None
    start_s: float = 0
    idle_pss_mb: float = 0
    pss_mb: float = 0
    measured: dict[str, list[Measured | None]] = field(default_factory=dict)

    @property
    def pids(self) -> tuple[int, ...]:
        return (self.process.pid,) if self.process else ()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build(name: str) -> Path:
    """Compiles a C source of this folder, once for each version of it."""
    source = SOURCES / f"{name}.c"
    program = CACHE / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Wno-format-overflow", "-o", str(program), str(source)]
        try:
            subprocess.run(command, check=True, timeout=120)
        except FileNotFoundError:
            raise BenchFailed("gcc is needed to build the load generator and the upstream: apt install gcc libc6-dev") from None
    return program


def start_upstream(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    process = processes.start([str(build("upstream")), str(port)], LOAD_CORE, log=folder / "upstream.log")
    await_answer(process, Contender("upstream", None), Launch(port, port, folder), folder / "upstream.log")
    return process, port


def start_contender(contender: Contender, upstream_port: int, folder: Path) -> Running:
    """Starts one and waits until it has answered a request through to the upstream. Raises BenchFailed."""
    own = folder / contender.name
    own.mkdir()
    if contender.command is None:
        return Running(contender, Launch(upstream_port, upstream_port, own), None)
    launch = Launch(free_port(), upstream_port, own)
    environ = processes.clean_environ() | dict(contender.environ)
    began = time.monotonic()
    process = processes.start(contender.command(launch), GATEWAY_CORE, log=own / "log", environ=environ, folder=own)
    try:
        await_answer(process, contender, launch, own / "log")
    except BaseException:
        processes.stop(process)
        raise
    return Running(contender, launch, process, start_s=time.monotonic() - began, idle_pss_mb=processes.pss_mb(process.pid))


def await_answer(process: subprocess.Popen[bytes], contender: Contender, launch: Launch, log: Path) -> None:
    deadline = time.monotonic() + contender.ready_s
    last = "nothing"
    while time.monotonic() < deadline and process.poll() is None:
        last = _ask_each_model(contender, launch)
        if not last:
            return
        time.sleep(0.05)
    tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
    raise BenchFailed(f"{contender.name} did not answer (last: {last}); its log ends with:\n{tail}")


def _ask_each_model(contender: Contender, launch: Launch) -> str:
    """Empty when every workload's request was answered as it must be, else what came instead."""
    fields = dict(line.split(": ", 1) for line in contender.headers(launch)) | {"content-type": "application/json"}
    for workload in WORKLOADS:
        connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=15)
        body = request_body(contender.model(workload.model), is_stream=workload.is_stream)
        try:
            connection.request("POST", CHAT_PATH, body, fields)
            reply = connection.getresponse()
            answer = reply.read()
        except (OSError, http.client.HTTPException) as failure:
            return repr(failure)
        finally:
            connection.close()
        is_whole = b"[DONE]" in answer if workload.is_stream else b'"usage"' in answer
        if reply.status != 200 or not is_whole:
            return f"{workload.name}: {reply.status} {answer[:300]!r}"
    return ""


def play(runners: list[Running], upstream: subprocess.Popen[bytes], rounds: int, pace: float) -> bool:
    """All rounds. `pace` scales the seconds of each load. Returns whether the light loads had real-time priority."""
    had_priority = True
    for number in range(rounds):
        for workload in WORKLOADS:
            order = random.sample(runners, len(runners))
            say(f"round {number + 1}/{rounds} {workload.name}: {', '.join(runner.contender.name for runner in order)}")
            for runner in order:
                had_priority &= _play_one(runner, upstream, workload, pace)
    for runner in runners:
        runner.pss_mb = sum(map(processes.pss_mb, runner.pids))
    return had_priority


def _play_one(runner: Running, upstream: subprocess.Popen[bytes], workload: Workload, pace: float) -> bool:
    if not workload.is_light:
        _measure(runner, workload, pace, is_first=False)
        return True
    with processes.real_time(upstream.pid, *runner.pids) as has_priority:
        _measure(runner, workload, pace, is_first=has_priority)
    return has_priority


def _measure(runner: Running, workload: Workload, pace: float, *, is_first: bool) -> None:
    before_us = sum(map(processes.cpu_us, runner.pids))
    result = _load(runner, workload, pace, is_first=is_first)
    used_us = sum(map(processes.cpu_us, runner.pids)) - before_us
    rounds = runner.measured.setdefault(workload.name, [])
    carried = result["all_events"] if workload.is_stream else result["answers"]
    if result["failures"] or result["refusals"] or result["unfinished"] or not carried:
        failed = f"{runner.contender.name} failed under {workload.name}: {json.dumps(result)}"
        if not runner.contender.is_peer:
            raise BenchFailed(failed)
        say(failed)
        rounds.append(None)
        return
    result["cpu_per_request_us"] = used_us / max(1, result["all_answers"])
    result["cpu_per_event_us"] = used_us / max(1, result["all_events"])
    rounds.append(result)


def _load(runner: Running, workload: Workload, pace: float, *, is_first: bool) -> Measured:
    body = request_body(runner.contender.model(workload.model), is_stream=workload.is_stream)
    patience = 1 if workload.rate else runner.contender.patience
    times = Times(workload.seconds * pace * patience, workload.warm_up_s * patience)
    return load(runner, workload, CHAT_PATH, body, times, is_first=is_first)


def load(runner: Running, workload: Workload, path: str, body: bytes, times: Times, *, is_first: bool = False) -> Measured:
    """One load on one path, as the load generator counts it. Raises BenchFailed when it ends badly."""
    sent = runner.launch.folder / f"{workload.name}.json"
    sent.write_bytes(body)
    command = [str(build("load")), str(runner.launch.port), path, str(sent), str(workload.connections)]
    command += [str(times.seconds), str(workload.rate), str(times.warm_up_s), *runner.contender.headers(runner.launch)]
    log = runner.launch.folder / "load.log"
    process = processes.start(command, LOAD_CORE, log=log)
    try:
        if is_first:
            with processes.real_time(process.pid):
                status = process.wait(120)
        else:
            status = process.wait(120)
    finally:
        processes.stop(process)
    printed = log.read_text(encoding="utf-8")
    if status != 0:
        raise BenchFailed(f"the load generator ended with {status} against {runner.contender.name}: {printed}")
    result: dict[str, Any] = json.loads(printed)
    return {name: float(value) for name, value in result.items()}
