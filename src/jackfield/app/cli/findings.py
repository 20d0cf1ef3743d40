"""The doctor's findings as lines: a mark, what was found, and below it what to do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jackfield.app.cli import output

if TYPE_CHECKING:
    from jackfield.app.doctoring.check import Check

MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


def show_checks(checks: Sequence["Check"]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        output.line(f"{MARKS[check.state]} {check.name.ljust(width)} {check.detail}")
        if check.fix:
            output.line(f"{' ' * (width + 3)}-> {check.fix}")
