"""The tables of the docs that are made from the code are as the code has them now."""

import subprocess
import sys

import pytest

from source_tree import REPOSITORY


@pytest.mark.behaviour("DOCS-02")
def test_the_tables_are_up_to_date() -> None:
    ended = subprocess.run(
        [sys.executable, str(REPOSITORY / "docs" / "tables.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
