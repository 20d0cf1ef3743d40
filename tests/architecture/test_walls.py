"""Arrows point down: the import contracts of pyproject.toml hold, hidden imports included."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.behaviour("HOUSE-01")
def test_the_import_contracts_hold(repository: Path) -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"]
    checked = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=50)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout
