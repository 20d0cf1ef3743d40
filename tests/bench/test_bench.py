"""The bench does not lie: its upstream sends what it says, its load generator counts it, and a missed target is called one."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_servers import free_port

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # the bench is a folder of scripts, not a package

import processes  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402
from contenders import Contender, Launch, jackfield, nginx  # noqa: E402
from targets import TARGETS  # noqa: E402
from workloads import MODELS, WORKLOADS, request_body  # noqa: E402


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The load generator's path and the port of a running upstream."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "CACHE", tmp_path_factory.mktemp("bench"))
        load, upstream = rounds.build("load"), rounds.build("upstream")
        port = free_port()
        process = subprocess.Popen([upstream, str(port)], stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            rounds.await_answer(process, Contender("upstream", None), Launch(port, port, Path()), Path("/dev/null"))
            yield str(load), port
        finally:
            processes.stop(process)


def load(programs: tuple[str, int], folder: Path, body: bytes, *, rate: float) -> dict[str, Any]:
    """Half a second of load after a tenth."""
    (folder / "body").write_bytes(body)
    command = [programs[0], str(programs[1]), "/v1/chat/completions", str(folder / "body"), "4", "0.5", str(rate), "0.1"]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=20)
    counted: dict[str, Any] = json.loads(ended.stdout)
    return counted


def test_the_open_loop_sends_at_its_rate_and_counts_every_event(programs: tuple[str, int], tmp_path: Path) -> None:
    counted = load(programs, tmp_path, request_body("up-3-0", is_stream=True), rate=100)
    assert (counted["failures"], counted["refusals"], counted["unfinished"]) == (0, 0, 0)
    assert counted["all_answers"] == 60
    assert counted["all_events"] == 60 * (1 + 3 + 1 + 1 + 1)
    assert 0 < counted["first_byte_p50_us"] <= counted["latency_p50_us"] <= counted["latency_p99_us"]


def test_the_closed_loop_asks_as_fast_as_it_is_answered(programs: tuple[str, int], tmp_path: Path) -> None:
    counted = load(programs, tmp_path, request_body("up-0-0", is_stream=False), rate=0)
    assert (counted["failures"], counted["refusals"], counted["reconnects"]) == (0, 0, 0)
    assert counted["answers"] > 100
    assert counted["all_events"] == 0


def test_paced_events_come_apart(programs: tuple[str, int], tmp_path: Path) -> None:
    counted = load(programs, tmp_path, request_body("up-3-20", is_stream=True), rate=20)
    assert counted["first_byte_p50_us"] >= 19_000
    assert counted["latency_p50_us"] >= 95_000


def test_requests_weigh_about_two_kilobytes() -> None:
    for workload in WORKLOADS:
        body = request_body(workload.model, is_stream=workload.is_stream)
        assert 1900 <= len(body) <= 2200
        assert json.loads(body)["model"] == workload.model


def test_jackfield_gets_a_slot_for_each_behaviour_of_the_upstream(tmp_path: Path) -> None:
    contender = jackfield()
    assert contender.command is not None
    contender.command(Launch(1, 2, tmp_path))
    slots = json.loads((tmp_path / "jackfield.yaml").read_text(encoding="utf-8"))["slots"]
    assert [slots[contender.model(model).removeprefix("slot-")]["model"] for model in MODELS] == list(MODELS)


def test_nginx_takes_the_settings_written_for_it(tmp_path: Path) -> None:
    contender = nginx()
    assert contender.command is not None
    command = contender.command(Launch(free_port(), 2, tmp_path))
    if shutil.which(command[0]) is None:
        assert contender.missing == "apt install nginx-light"
        return
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=10)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(("factor", "verdict"), [(0.99, True), (1.01, False)])
def test_a_target_is_met_or_missed(factor: float, verdict: bool) -> None:
    reference = {"cpu_per_request_us": 10.0, "cpu_per_paced_event_us": 10.0}
    ours = {
        target.measure: target.limit * factor * (reference[target.measure] if target.kind == "times nginx" else 1)
        for target in TARGETS
    }
    judged = report.verdicts(ours, reference)
    assert [entry["ok"] for entry in judged] == [verdict] * len(TARGETS)
    assert report.verdict_table(judged).count("pass" if verdict else "FAIL") == len(TARGETS)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {entry["ok"] for entry in report.verdicts({"cpu_per_request_us": 1.0}, None)} == {None}
