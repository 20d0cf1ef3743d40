"""Measures what jackfield costs, beside nginx and whichever other gateways are installed, in one interleaved run.

    python bench/run.py            about five minutes, more with peers
    python bench/run.py --quick    about one minute: enough to see a change of a quarter

Prints the tables to stdout and the progress to stderr; writes .cache/bench/result.json and result.md. The exit status is 1
when a target is missed and --strict is given, or when something failed. Linux, two cores, gcc, and nginx for the ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import processes
import report
from contenders import CACHE, Contender, all_contenders, other
from rounds import BenchFailed, Running, play, say, start_contender, start_upstream

FRESH_STARTS = 7


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, help="rounds to take the median of (5, or 2 with --quick)")
    parser.add_argument("--only", metavar="NAME,NAME", help="of direct, nginx, floor, jackfield, litellm, portkey")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=COMMAND", help="{port}, {upstream_port} filled in")
    parser.add_argument("--out", type=Path, default=CACHE / "result.json", help="the JSON; the table goes beside it as .md")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Contender]:
    """The contenders to start. `direct` always takes part: the others' latencies are counted from it."""
    wanted = set(options.only.split(",")) | {"direct"} if options.only else None
    known = [contender for contender in all_contenders() if wanted is None or contender.name in wanted]
    here = []
    for contender in known:
        if contender.missing:
            say(f"without {contender.name}; to have it: {contender.missing}")
        else:
            here.append(contender)
    return here + [other(*entry.split("=", 1)) for entry in options.also]


def start_all(contenders: list[Contender], upstream_port: int, folder: Path, runners: list[Running]) -> None:
    """Starts each into `runners`; a peer that does not start is left out, jackfield and nginx must."""
    for contender in contenders:
        try:
            runners.append(start_contender(contender, upstream_port, folder))
        except BenchFailed as failure:
            if not contender.is_peer:
                raise
            say(f"without {contender.name}: {failure}")


def fresh_ms(command: list[str]) -> float:
    """Median wall time of a command from start to end, milliseconds, its files already in the page cache."""
    times = []
    for _ in range(FRESH_STARTS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[1:])


def import_ms() -> float:
    """Median of `import jackfield` in a fresh interpreter, without the interpreter's own start."""
    code = "import time; began = time.perf_counter(); import jackfield; print((time.perf_counter() - began) * 1e3)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=30).stdout)
        for _ in range(FRESH_STARTS + 1)
    ]
    return statistics.median(runs[1:])


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rounds = options.rounds or (2 if options.quick else 5)
    facts = report.conditions(rounds, is_quick=options.quick, had_priority=True)
    contenders = chosen(options)
    starts: report.Result = {}
    if any(contender.name == "jackfield" for contender in contenders):
        starts = {"import_ms": import_ms(), "help_ms": fresh_ms([str(Path(sys.executable).parent / "jackfield"), "--help"])}
    runners: list[Running] = []
    upstream, upstream_port = start_upstream(folder)
    try:
        start_all(contenders, upstream_port, folder, runners)
        facts["latency_with_real_time_priority"] = play(runners, upstream, rounds, pace=0.5 if options.quick else 1.0)
    finally:
        for runner in runners:
            if runner.process:
                processes.stop(runner.process)
        processes.stop(upstream)
    direct = next(runner for runner in runners if runner.process is None)
    results = {runner.contender.name: report.result_of(runner, direct) for runner in runners}
    if "jackfield" in results:
        results["jackfield"] |= starts
    judged = report.verdicts(results.get("jackfield", {}), results.get("nginx"))
    raw = {runner.contender.name: runner.measured for runner in runners}
    return {"conditions": facts, "results": results, "targets": judged, "rounds": raw}


def main() -> int:
    options = parse()
    if (os.cpu_count() or 1) < 2:
        say("bench: needs two cores, one for the gateway and one for the load")
        return 2
    with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as folder:
        try:
            measured = measure(options, Path(folder))
        except BenchFailed as failure:
            say(f"bench: {failure}")
            return 1
    tables = [
        report.conditions_line(measured["conditions"]),
        report.table(measured["results"]),
        report.verdict_table(measured["targets"]),
    ]
    text = "\n\n".join(tables) + "\n"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report.without_nan(measured), indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text, end="")
    return int(options.strict and any(entry["ok"] is False for entry in measured["targets"]))


if __name__ == "__main__":
    sys.exit(main())
