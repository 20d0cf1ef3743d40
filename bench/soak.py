"""Runs one gateway for a long time under steady load with faults, and says whether anything grew, was lost or came wrong.

    python bench/soak.py                     ten minutes, 200 requests a second, 5 % of upstream answers at fault
    python bench/soak.py --seconds 30        a look

Loopback only. The upstreams and the clients live in this process, the gateway in one of its own (soak_gateway.py). Status 1
when an answer was wrong or missing, a ledger row was lost or doubled, or tasks or sockets were left behind at the end.
"""

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import processes
from soak_load import MODEL, TOKENS, Counts, Load

from jackfield.testing.fakes import Behaviour
from jackfield.testing.faults import AFTER_CONTENT, BEFORE_CONTENT, TRICKLE, FaultyOpenAI

GATEWAY_CORE = 0
READY_S = 20.0
REST_S = 45.0  # idle connections are kept for 30
WARM_UP_SHARE = 0.25
"""Of the samples, not looked at for the slope: pools fill and caches warm in that time."""
SAMPLES_A_MINUTE = 60
LOCKS_OUT = {"key refused", "payment required", "quota spent"}
"""Not among the faults of a soak: after one of them a source is rightly left alone for minutes."""
SLOT_LIMITS = {"connect_timeout": 1, "first_byte_timeout": 1, "idle_timeout": 1, "timeout": 5}

Sample = dict[str, float]


class SoakFailed(Exception):
    """The soak cannot run."""


def faults() -> dict[str, Behaviour]:
    before = {name: fault for name, fault in BEFORE_CONTENT.items() if name not in LOCKS_OUT}
    after = {f"{name} after content": fault for name, fault in AFTER_CONTENT.items()}
    return {**before, **after, "trickle": TRICKLE}


def settings(ports: Sequence[int]) -> dict[str, Any]:
    return {
        "server": {"port": 0},
        "discovery": {"enabled": False},
        "plugins": False,
        "slots": {
            str(number): {
                "provider": "openai-compat",
                "model": MODEL,
                "config": {"base_url": f"http://127.0.0.1:{port}/v1", **SLOT_LIMITS},
            }
            for number, port in enumerate(ports)
        },
    }


def samples_of(folder: Path) -> list[Sample]:
    path = folder / "samples.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


async def until_ready(folder: Path) -> int:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        told = samples_of(folder)
        if len(told) >= 2:
            return int(told[0]["port"])
        await asyncio.sleep(0.1)
    raise SoakFailed("the gateway did not start:\n" + (folder / "gateway.log").read_text(encoding="utf-8")[-2000:])


async def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    draw = random.Random(options.seed)
    sources = [FaultyOpenAI(faults(), options.faults, draw, models=[MODEL]) for _ in range(2)]
    async with sources[0], sources[1]:
        # JSON is YAML
        (folder / "jackfield.yaml").write_text(json.dumps(settings([source.port for source in sources])), encoding="utf-8")
        command = [sys.executable, str(Path(__file__).with_name("soak_gateway.py")), str(folder)]
        gateway = processes.start(
            command, GATEWAY_CORE, log=folder / "gateway.log", environ=processes.clean_environ(), folder=folder
        )
        load = None
        try:
            load = Load(await until_ready(folder), draw, options.leaving)
            at_rest = samples_of(folder)[-1]
            used_us = processes.cpu_us(gateway.pid)
            await load.play(options.rate, options.seconds)
            used_us = processes.cpu_us(gateway.pid) - used_us
            loaded = samples_of(folder)[1:]
            await load.aclose()
            after = await rest(folder, at_rest)
        finally:
            if load is not None:
                await load.aclose()
            await asyncio.to_thread(processes.stop, gateway)
    found = {"cpu_us_per_request": used_us / max(1, load.counts.sent), **grown(loaded, at_rest, after), **asked(sources)}
    return {**told(load.counts), **found, **booked(folder / "home/jackfield.db", load.counts)}


async def rest(folder: Path, before: Sample) -> Sample:
    """The first sample in which no more is in use than before the load; the last one when there is none within `REST_S`."""
    deadline = time.monotonic() + REST_S
    while time.monotonic() < deadline:
        last = samples_of(folder)[-1]
        if all(last[name] <= before[name] for name in ("tasks", "sockets", "in_flight", "upstream_in_use")):
            return last
        await asyncio.sleep(0.5)
    return samples_of(folder)[-1]


def told(counts: Counts) -> dict[str, Any]:
    latencies = sorted(counts.latencies_s)
    return {
        "sent": counts.sent,
        "not_sent": counts.not_sent,
        "clients_that_left": counts.left,
        "right": len(counts.right_ids),
        "told": sum(counts.told.values()),
        "told_by_code": dict(counts.told.most_common()),
        "wrong": len(counts.wrong),
        "unanswered": len(counts.silent),
        "examples": [text for text in (*counts.wrong, *counts.silent) if text][:5],
        "latency_p50_ms": percentile(latencies, 0.5) * 1e3,
        "latency_p99_ms": percentile(latencies, 0.99) * 1e3,
        "latency_max_ms": percentile(latencies, 1) * 1e3,
    }


def percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def grown(loaded: Sequence[Sample], before: Sample, after: Sample) -> dict[str, Any]:
    steady = loaded[int(len(loaded) * WARM_UP_SHARE) :]
    return {
        "rss_mb": [before["rss_mb"], after["rss_mb"]],
        "rss_mb_by_minute": [round(sample["rss_mb"], 1) for sample in loaded[::SAMPLES_A_MINUTE]],
        "rss_slope_mb_per_hour": slope(steady, "rss_mb") * 3600,
        "tasks": [before["tasks"], max(sample["tasks"] for sample in loaded), after["tasks"]],
        "tasks_slope_per_hour": slope(steady, "tasks") * 3600,
        "sockets": [before["sockets"], max(sample["sockets"] for sample in loaded), after["sockets"]],
        "in_use_at_rest": after["in_flight"] + after["upstream_in_use"],
    }


def slope(samples: Sequence[Sample], name: str) -> float:
    """Least squares, in units a second; not a number for fewer than three samples."""
    if len(samples) < 3:
        return float("nan")
    return statistics.linear_regression([sample["at"] for sample in samples], [sample[name] for sample in samples]).slope


def asked(sources: Sequence[FaultyOpenAI]) -> dict[str, Any]:
    played = sum((source.played for source in sources), start=type(sources[0].played)())
    return {
        "upstream_requests": sum(source.asked for source in sources),
        "faults_played": played.total(),
        "faults_by_name": dict(played.most_common()),
    }


def booked(database: Path, counts: Counts) -> dict[str, Any]:
    """The ledger beside what the clients know. `lost_rows` are answers without one."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT request_id, outcome, prompt_tokens + completion_tokens FROM ledger").fetchall()
    good: dict[str, list[int]] = {}
    for request_id, outcome, tokens in rows:
        good.setdefault(request_id, []).extend([tokens] if outcome == "ok" else [])
    seen = [*counts.right_ids, *counts.told_ids]
    return {
        "ledger_rows": len(rows),
        "lost_rows": sum(request_id not in good for request_id in seen),
        "rows_of_nobody": max(0, len(good) - len(set(seen)) - counts.left - len(counts.silent) - len(counts.wrong)),
        "misbooked": sum(good.get(request_id) != [TOKENS] for request_id in counts.right_ids),
    }


def failures(found: Mapping[str, Any]) -> list[str]:
    """What makes the soak a failure, in words."""
    names = ("not_sent", "wrong", "unanswered", "lost_rows", "rows_of_nobody", "misbooked", "in_use_at_rest")
    bad = [f"{name} = {found[name]:g}" for name in names if found[name]]
    return bad + [f"{name} at rest: {found[name]}" for name in ("tasks", "sockets") if found[name][-1] > found[name][0]]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--faults", type=float, default=0.05, help="share of upstream answers that are at fault")
    parser.add_argument("--leaving", type=float, default=0.01, help="share of clients that leave")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    return parser.parse_args()


def main() -> int:
    options = parse()
    if not Path("/proc/self/statm").exists() or (os.cpu_count() or 1) < 2:
        print("soak: needs Linux and two cores", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="jackfield-soak-") as folder:
        try:
            found = asyncio.run(soak(options, Path(folder)))
        except SoakFailed as failure:
            print(f"soak: {failure}", file=sys.stderr)
            return 2
    for name, value in found.items():
        print(f"{name:24} {round(value, 2) if isinstance(value, float) else value}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    bad = failures(found)
    print("failed: " + "; ".join(bad) if bad else "nothing grew, nothing was lost")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
