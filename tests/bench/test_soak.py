"""The soak does not lie: only the whole right answer is right, what is cut or doubled is wrong, and growth is seen."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # the bench is a folder of scripts, not a package

import soak  # noqa: E402
from soak_load import WHOLE, read_plain, read_stream  # noqa: E402


def events(*texts: str, reason: str | None = "stop", error: Any = None, done: bool = True) -> bytes:
    chunks: list[Any] = [{"choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts]
    if reason:
        chunks.append({"choices": [{"delta": {}, "finish_reason": reason}]})
    if error:
        chunks.append({"error": error})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, *(["data: [DONE]\n\n"] if done else [])]).encode()


def test_a_whole_stream_is_whole_and_anything_else_is_not() -> None:
    assert read_stream(events(WHOLE[:5], WHOLE[5:])) == (WHOLE, None, True)
    assert read_stream(events(WHOLE[:5], WHOLE)) == (WHOLE[:5] + WHOLE, None, True)
    assert read_stream(events(WHOLE, done=False)) == (WHOLE, None, False)
    assert read_stream(events(WHOLE, reason=None)) == (WHOLE, None, False)
    broken = {"code": "stream_broken"}
    assert read_stream(events("1, ", reason=None, error=broken, done=False)) == ("1, ", broken, False)


def test_a_plain_answer_is_read_and_a_broken_one_raises() -> None:
    whole = {"choices": [{"message": {"content": WHOLE}, "finish_reason": "stop"}]}
    assert read_plain(json.dumps(whole).encode()) == (WHOLE, None, True)
    assert read_plain(b'{"error": {"code": "timeout"}}') == ("", {"code": "timeout"}, False)
    with pytest.raises(ValueError, match="Unterminated"):
        read_plain(json.dumps(whole).encode()[:40])


def test_growth_is_a_slope_and_what_is_left_is_a_failure() -> None:
    samples = [{"at": float(second), "rss_mb": 40 + second / 100, "tasks": 3.0} for second in range(10)]
    assert math.isclose(soak.slope(samples, "rss_mb"), 0.01)
    assert soak.slope(samples, "tasks") == 0
    assert math.isnan(soak.slope(samples[:2], "tasks"))
    good = dict.fromkeys(("not_sent", "wrong", "unanswered", "lost_rows", "rows_of_nobody", "misbooked", "in_use_at_rest"), 0)
    found = {**good, "tasks": [3, 90, 3], "sockets": [5, 60, 5]}
    assert soak.failures(found) == []
    assert soak.failures({**found, "lost_rows": 1, "tasks": [3, 90, 4]}) == ["lost_rows = 1", "tasks at rest: [3, 90, 4]"]


async def test_a_second_of_soak_finds_nothing_wrong_without_faults(tmp_path: Path) -> None:
    options = argparse.Namespace(seconds=1.5, rate=40.0, faults=0.0, leaving=0.0, seed=1)
    found = await soak.soak(options, tmp_path)
    assert soak.failures(found) == [], found
    assert found["sent"] == found["right"] == found["ledger_rows"] == found["upstream_requests"] == 60
