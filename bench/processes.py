"""Processes as the kernel counts them: CPU time, memory, cores and priority of a whole process tree. Linux only."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STOP_S = 10.0


def tree(pid: int) -> list[int]:
    """A process and all its descendants, as far as they still live."""
    found = [pid]
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                found += tree(int(child))
    return found


def threads(pid: int) -> list[int]:
    """Every thread of a process tree."""
    found: list[int] = []
    for member in tree(pid):
        with suppress(OSError):
            found += map(int, os.listdir(f"/proc/{member}/task"))
    return found


def cpu_us(pid: int) -> float:
    """User and system time of a process tree so far, in microseconds. Threads that have ended are not in it."""
    total_ns = 0
    for thread in threads(pid):
        with suppress(OSError):
            total_ns += int(Path(f"/proc/{thread}/schedstat").read_text().split()[0])
    return total_ns / 1e3


def pss_mb(pid: int) -> float:
    """Memory of a process tree in which shared pages count by share."""
    total_kb = 0
    for member in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total_kb += int(line.split()[1])
    return total_kb / 1024


@contextmanager
def real_time(*pids: int) -> Iterator[bool]:
    """Real-time priority for whole trees while the block runs; yields whether this user may give it."""
    try:
        _schedule(pids, os.SCHED_FIFO, 1)
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        _schedule(pids, os.SCHED_OTHER, 0)


def _schedule(pids: tuple[int, ...], policy: int, priority: int) -> None:
    for pid in pids:
        for thread in threads(pid):
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, os.sched_param(priority))


def clean_environ() -> dict[str, str]:
    """This process's environment without proxies and without settings of the gateways under test."""
    unwanted = ("http_proxy", "https_proxy", "all_proxy")
    return {
        name: value for name, value in os.environ.items() if name.lower() not in unwanted and not name.startswith("JACKFIELD_")
    }


def start(
    command: list[str], core: int, *, log: Path, environ: dict[str, str] | None = None, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Starts a command in a process group of its own, on one core."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    os.sched_setaffinity(process.pid, {core})
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole group, kindly first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            return
