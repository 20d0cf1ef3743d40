"""The bench of the doors does not lie: a door over the limit is called one, and all are asked for the same words."""

import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # the bench is a folder of scripts, not a package

import doors  # noqa: E402
from workloads import Workload  # noqa: E402


def test_a_door_over_the_limit_is_named() -> None:
    measured = {"json": {door: [10.0, 20.0, 40.0] for door in doors.DOORS}}
    measured["json"]["gemini"] = [16.0, 20.0, 90.0]
    found = doors.summary(measured)
    assert found["json"]["gemini"] == {"cpu_us": 20.0, "times": 1.6}
    assert found["json"]["ollama"]["times"] == 1.0
    assert doors.missed(found) == ["gemini, json"]
    assert "| gemini | 20 | 1.60 |" in doors.table(found)


@pytest.mark.parametrize("door", doors.DOORS)
@pytest.mark.parametrize("workload", doors.LOADS, ids=lambda workload: workload.name)
def test_every_door_is_asked_for_the_same_words(door: str, workload: Workload) -> None:
    path, body = doors.asked_of(door, workload)
    _, chat = doors.asked_of(doors.REFERENCE, workload)
    said = json.dumps(json.loads(body), ensure_ascii=False)
    for message in json.loads(chat)["messages"]:
        assert json.dumps(message["content"], ensure_ascii=False) in said
    streams = json.loads(body).get("stream", "stream" in path)
    assert streams == workload.is_stream
    assert "{" not in path
