"""Bars on a terminal: bytes and speed for what comes, time for what is sent; nothing where JSON is wanted."""

import io
import sys

import pytest

from jackfield.app.cli.transfer import TransferBar, uploading
from jackfield.core.contracts import PullProgress


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In place of stderr: from within the test, since pytest puts its own there before."""
    made = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_what_comes_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with TransferBar("tiny") as bar:
        bar.tell(PullProgress("pulling", 1_500_000, 3_000_000))
    shown = screen.getvalue()
    assert all(word in shown for word in ("tiny", "1.5/3.0 MB", "pulling"))


def test_what_is_sent_shows_its_size_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with uploading("examples.jsonl", 2_500_000, quiet=False):
        pass
    shown = screen.getvalue()
    assert all(word in shown for word in ("examples.jsonl", "uploading 2.5 MB", "0:00:0"))
    assert "MB/s" not in shown


def test_where_json_is_wanted_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with uploading("examples.jsonl", 10, quiet=True):
        pass
    assert screen.getvalue() == ""
