"""Turns what was measured into a table, ratios and verdicts. Knows no process."""

import math
import os
import platform
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rounds import Running
from targets import TARGETS, Target

Result = dict[str, float]

COLUMNS = (
    ("cpu_per_request_us", "CPU us per request", "{:.1f}"),
    ("cpu_per_paced_event_us", "CPU us per paced event", "{:.1f}"),
    ("events_per_core", "events/s per core, saturated", "{:,.0f}"),
    ("added_first_byte_p50_us", "first byte p50, +us", "{:.0f}"),
    ("added_first_byte_p99_us", "first byte p99, +us", "{:.0f}"),
    ("requests_per_core", "requests/s per core", "{:,.0f}"),
    ("pss_mb", "PSS MB", "{:.1f}"),
    ("start_s", "start s", "{:.2f}"),
)
RATIOS = ("cpu_per_request_us", "cpu_per_paced_event_us", "added_first_byte_p50_us")


def median(values: Iterable[float]) -> float:
    """NaN where there are none: a peer that failed every round."""
    known = list(values)
    return statistics.median(known) if known else math.nan


def medians(runner: Running, workload: str, key: str) -> float:
    return median(entry[key] for entry in runner.measured[workload] if entry)


def added(runner: Running, direct: Running, key: str) -> float:
    """Median over the rounds of how much later than direct, each round against the direct one of the same round."""
    pairs = zip(runner.measured["first_byte"], direct.measured["first_byte"], strict=True)
    return median(ours[key] - theirs[key] for ours, theirs in pairs if ours and theirs)


def result_of(runner: Running, direct: Running) -> Result:
    """One contender's numbers. The upstream by itself has no CPU, memory or added time to report."""
    if runner.process is None:
        return {
            "first_byte_p50_us": medians(runner, "first_byte", "first_byte_p50_us"),
            "first_byte_p99_us": medians(runner, "first_byte", "first_byte_p99_us"),
        }
    per_request = medians(runner, "json", "cpu_per_request_us")
    return {
        "cpu_per_request_us": per_request,
        "requests_per_core": 1e6 / per_request,
        "cpu_per_paced_event_us": medians(runner, "paced", "cpu_per_event_us"),
        "events_per_core": 1e6 / medians(runner, "saturated", "cpu_per_event_us"),
        "added_first_byte_p50_us": added(runner, direct, "first_byte_p50_us"),
        "added_first_byte_p99_us": added(runner, direct, "first_byte_p99_us"),
        "idle_pss_mb": runner.idle_pss_mb,
        "pss_mb": runner.pss_mb,
        "start_s": runner.start_s,
    }


def without_nan(value: Any) -> Any:
    """The same with null for what could not be measured: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(member) for key, member in value.items()}
    if isinstance(value, list):
        return [without_nan(member) for member in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def table(results: dict[str, Result]) -> str:
    """Markdown: one row per gateway, then the ratios to nginx."""
    gateways = {name: result for name, result in results.items() if "cpu_per_request_us" in result}
    lines = [_row(["gateway", *(title for _, title, _ in COLUMNS)]), _row(["---"] * (len(COLUMNS) + 1))]
    for name, result in gateways.items():
        lines.append(_row([name, *(_cell(result[key], form) for key, _, form in COLUMNS)]))
    reference = gateways.get("nginx")
    if reference:
        titles = {key: title for key, title, _ in COLUMNS}
        lines += ["", _row(["times nginx", *(titles[key] for key in RATIOS)]), _row(["---"] * (len(RATIOS) + 1))]
        for name, result in gateways.items():
            lines.append(_row([name, *(_cell(result[key] / reference[key], "{:.2f}") for key in RATIOS)]))
    return "\n".join(lines)


def verdicts(ours: Result, reference: Result | None) -> list[dict[str, Any]]:
    """Each target with the value it is judged by; `ok` None where there was nothing to judge it with."""
    return [_verdict(target, ours, reference) for target in TARGETS]


def _verdict(target: Target, ours: Result, reference: Result | None) -> dict[str, Any]:
    value = ours.get(target.measure)
    if value is not None and target.kind == "times nginx":
        value = value / reference[target.measure] if reference else None
    ok = None if value is None else value <= target.limit
    return {"target": target.sentence, "kind": target.kind, "limit": target.limit, "value": value, "ok": ok}


def verdict_table(judged: list[dict[str, Any]]) -> str:
    marks = {True: "pass", False: "FAIL", None: "not measured"}
    lines = [_row(["target", "limit", "measured", ""]), _row(["---"] * 4)]
    for entry in judged:
        unit = " x nginx" if entry["kind"] == "times nginx" else ""
        value = "-" if entry["value"] is None else f"{entry['value']:.2f}{unit}"
        lines.append(_row([entry["target"], f"{entry['limit']:g}{unit}", value, marks[entry["ok"]]]))
    return "\n".join(lines)


def conditions(rounds: int, *, is_quick: bool, had_priority: bool) -> dict[str, Any]:
    """What the numbers were measured under."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "rounds": rounds,
        "quick": is_quick,
        "latency_with_real_time_priority": had_priority,
    }


def conditions_line(facts: dict[str, Any]) -> str:
    priority = "under real-time priority" if facts["latency_with_real_time_priority"] else "without real-time priority"
    return (
        f"{facts['at']}, {facts['processor']}, {facts['cores']} cores, Linux {facts['kernel']}, Python {facts['python']}, "
        f"load {facts['load_before']} before; {facts['rounds']} interleaved rounds; gateway on one core, load and upstream on "
        f"another; first-byte times {priority}. Compare within one run: the ratios hold better than the numbers."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cell(value: float, form: str) -> str:
    return "failed" if math.isnan(value) else form.format(value)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
