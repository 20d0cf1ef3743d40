"""One finding of the doctor, in the words that every look of his uses. Knows nothing of what was looked at."""

from collections.abc import Iterable
from typing import Literal

import msgspec

State = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True):
    """What one look found. `fix` says what to do, "" where nothing needs to be done."""

    name: str
    state: State
    detail: str
    fix: str = ""


def has_failed(checks: Iterable[Check]) -> bool:
    return any(check.state == "fail" for check in checks)
