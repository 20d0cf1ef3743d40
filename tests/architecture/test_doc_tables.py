"""The tables of the docs that are made from the code are as the code has them now."""

import re
import subprocess
import sys

import pytest

from jackfield.providers.registry import load_registrar
from source_tree import REPOSITORY


@pytest.mark.behaviour("DOCS-02")
def test_the_tables_are_up_to_date() -> None:
    ended = subprocess.run(
        [sys.executable, str(REPOSITORY / "docs" / "tables.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.behaviour("DOCS-04", "LOCL-30")
def test_every_provider_stands_in_the_tables_and_has_a_page_that_tells_its_limits() -> None:
    listed = (REPOSITORY / "docs" / "providers.md").read_text(encoding="utf-8")
    for provider in load_registrar(plugins=False).ids():
        (page,) = re.findall(rf"^\| \[`{re.escape(provider)}`\]\((providers/[a-z0-9_-]+\.md)\)", listed, re.MULTILINE)
        text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
        assert "slots plug" in text or "provider:" in text, provider
        assert "## Limits" in text, provider
