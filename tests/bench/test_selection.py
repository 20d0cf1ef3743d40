"""The bench of selection measures what it says: 500 backends, the usual spread, and a verdict that can fail."""

import gc
import logging
import sys
from pathlib import Path

import pytest

from jackfield.routing.balance import POLICIES

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # the bench is a folder of scripts, not a package

import selection  # noqa: E402


def test_there_are_500_in_50_slots_and_what_is_broken_rests() -> None:
    members = selection.backends(selection.MODELS)
    assert len({member.id for member in members}) == 500
    assert len({member.slot for member in members}) == 50
    assert {len([each for each in members if each.model == f"m{number}"]) for number in range(10)} == {50}
    selection.break_down(members[0])
    selection.measure(members[1], 0.5)
    assert [member.is_routable for member in members[:3]] == [False, True, True]
    assert (members[1].latency_s, members[1].in_flight) == (0.5, 1)


@pytest.mark.parametrize(("bound_us", "status"), [(1e9, 0), (0.0, 1)])
def test_it_prints_every_case_and_says_what_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bound_us: float, status: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["selection.py", "--strict"])
    for name, value in {"BOUND_US": bound_us, "ROUNDS": 1, "PER_ROUND": 2}.items():
        monkeypatch.setattr(selection, name, value)
    monkeypatch.setattr(gc, "disable", lambda: None)
    monkeypatch.setattr(logging, "disable", lambda: None)
    assert selection.main() == status
    said = capsys.readouterr().out
    assert all(f"alike, {policy} " in said for policy in POLICIES)
    assert ("none" in said.splitlines()[-1]) == (status == 0)
