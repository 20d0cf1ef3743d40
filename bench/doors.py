"""What each door of jackfield costs on the same work: one gateway, one upstream that speaks OpenAI's chat dialect, every door.

    python bench/doors.py            about two minutes
    python bench/doors.py --quick    half a minute

The OpenAI chat door passes through; all others translate, request and answer. Prints CPU time of the gateway per answer and
how many times the OpenAI door's it is. With --strict the exit status is 1 when one is over the limit. Needs what
bench/run.py does.
"""

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes
from contenders import CACHE, CHAT_PATH, jackfield
from rounds import BenchFailed, Running, Times, load, say, start_contender, start_upstream
from workloads import MODELS, Workload, request_body

LIMIT = 1.5
REFERENCE = "openai"
LOADS = (
    Workload("json", "up-0-0", False, connections=64, seconds=2.0, warm_up_s=0.5),
    Workload("stream of 32 events", "up-32-0", True, connections=64, seconds=2.0, warm_up_s=0.5),
    Workload("paced stream of 32", "up-32-20", True, connections=128, seconds=3.0, warm_up_s=1.0, rate=60),
)
Body = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """How one door is asked for the work: the path, `{model}` filled in, and the body made from OpenAI's."""

    path: str
    stream_path: str
    body: Callable[[Body], Body]
    ends: bytes
    """What a whole streamed answer holds."""


def _anthropic(chat: Body) -> Body:
    system, *turns = chat["messages"]
    asked = {"model": chat["model"], "system": system["content"], "messages": turns, "max_tokens": chat["max_tokens"]}
    return asked | {"temperature": chat["temperature"], "stream": chat.get("stream", False)}


def _gemini(chat: Body) -> Body:
    system, *turns = chat["messages"]
    roles = {"user": "user", "assistant": "model"}
    contents = [{"role": roles[turn["role"]], "parts": [{"text": turn["content"]}]} for turn in turns]
    config = {"temperature": chat["temperature"], "maxOutputTokens": chat["max_tokens"]}
    return {"systemInstruction": {"parts": [{"text": system["content"]}]}, "contents": contents, "generationConfig": config}


def _ollama(chat: Body) -> Body:
    options = {"temperature": chat["temperature"], "num_predict": chat["max_tokens"]}
    return {"model": chat["model"], "messages": chat["messages"], "options": options, "stream": chat.get("stream", False)}


def _responses(chat: Body) -> Body:
    system, *turns = chat["messages"]
    asked = {"model": chat["model"], "instructions": system["content"], "input": turns, "store": False}
    settings = {"temperature": chat["temperature"], "max_output_tokens": chat["max_tokens"]}
    return asked | settings | {"stream": chat.get("stream", False)}


DOORS: Mapping[str, Asked] = {
    REFERENCE: Asked(CHAT_PATH, CHAT_PATH, lambda chat: chat, b"[DONE]"),
    "responses": Asked("/v1/responses", "/v1/responses", _responses, b"response.completed"),
    "anthropic": Asked("/v1/messages", "/v1/messages", _anthropic, b"message_stop"),
    "gemini": Asked(
        "/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:streamGenerateContent?alt=sse", _gemini, b"STOP"
    ),
    "ollama": Asked("/api/chat", "/api/chat", _ollama, b'"done":true'),
}


def asked_of(door: str, workload: Workload) -> tuple[str, bytes]:
    """The path and the body of a workload's request at a door."""
    how = DOORS[door]
    model = jackfield().model(workload.model)
    chat = json.loads(request_body(model, is_stream=workload.is_stream))
    path = (how.stream_path if workload.is_stream else how.path).format(model=model)
    return path, json.dumps(how.body(chat), ensure_ascii=False).encode()


def check(running: Running) -> None:
    """Every door answers every load's request as it must. Raises BenchFailed."""
    for door, how in DOORS.items():
        for workload in LOADS:
            path, body = asked_of(door, workload)
            connection = http.client.HTTPConnection("127.0.0.1", running.launch.port, timeout=15)
            try:
                connection.request("POST", path, body, {"content-type": "application/json"})
                reply = connection.getresponse()
                answer = reply.read()
            finally:
                connection.close()
            wanted = how.ends if workload.is_stream else b"How can I assist you"
            if reply.status != 200 or wanted not in answer:
                raise BenchFailed(f"{door} under {workload.name}: {reply.status} {answer[:300]!r}")


def play(running: Running, rounds: int, pace: float) -> dict[str, dict[str, list[float]]]:
    """Microseconds of CPU per answer: load -> door -> one entry a round. The doors take turns in an order shuffled anew."""
    measured: dict[str, dict[str, list[float]]] = {workload.name: {door: [] for door in DOORS} for workload in LOADS}
    for number in range(rounds):
        for workload in LOADS:
            order = random.sample(list(DOORS), len(DOORS))
            say(f"round {number + 1}/{rounds} {workload.name}: {', '.join(order)}")
            for door in order:
                measured[workload.name][door].append(_cost_us(running, workload, door, pace))
    return measured


def _cost_us(running: Running, workload: Workload, door: str, pace: float) -> float:
    path, body = asked_of(door, workload)
    before_us = sum(map(processes.cpu_us, running.pids))
    result = load(running, workload, path, body, Times(workload.seconds * pace, workload.warm_up_s))
    used_us = sum(map(processes.cpu_us, running.pids)) - before_us
    if result["failures"] or result["refusals"] or result["unfinished"] or not result["all_answers"]:
        raise BenchFailed(f"{door} failed under {workload.name}: {json.dumps(result)}")
    return used_us / result["all_answers"]


def summary(measured: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """load -> door -> `cpu_us` an answer (median) and `times` the OpenAI door's in the same round (median)."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for workload, doors in measured.items():
        found[workload] = {
            door: {
                "cpu_us": statistics.median(costs),
                "times": statistics.median(cost / least for cost, least in zip(costs, doors[REFERENCE], strict=True)),
            }
            for door, costs in doors.items()
        }
    return found


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    lines = ["| door | " + " | ".join(f"{name}: CPU us an answer | times OpenAI" for name in found) + " |"]
    lines.append("| --- |" + " --- | --- |" * len(found))
    for door in DOORS:
        cells = (f"{costs[door]['cpu_us']:.0f} | {costs[door]['times']:.2f}" for costs in found.values())
        lines.append(f"| {door} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def missed(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The doors over the limit, with the load."""
    return [f"{door}, {name}" for name, costs in found.items() for door, cost in costs.items() if cost["times"] > LIMIT]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, help="rounds to take the median of (5, or 2 with --quick)")
    parser.add_argument("--out", type=Path, default=CACHE / "doors.json", help="where the numbers go")
    parser.add_argument("--strict", action="store_true", help=f"exit 1 when a door costs more than {LIMIT} times OpenAI's")
    return parser.parse_args()


def main() -> int:
    options = parse()
    assert {workload.model for workload in LOADS} <= set(MODELS), "the gateway has no slot for a load"
    with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as folder:
        upstream, upstream_port = start_upstream(Path(folder))
        running: Running | None = None
        try:
            running = start_contender(jackfield(), upstream_port, Path(folder))
            check(running)
            measured = play(running, options.rounds or (2 if options.quick else 5), 0.5 if options.quick else 1.0)
        except BenchFailed as failure:
            say(f"bench: {failure}")
            return 1
        finally:
            if running is not None and running.process:
                processes.stop(running.process)
            processes.stop(upstream)
    found = summary(measured)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"found": found, "rounds": measured}, indent=2) + "\n", encoding="utf-8")
    print(table(found))
    over = missed(found)
    print(f"\nover {LIMIT} times the OpenAI door: {'; '.join(over) if over else 'none'}")
    return int(options.strict and bool(over))


if __name__ == "__main__":
    sys.exit(main())
