"""Starting must not pay for the MCP door, and without its SDK the extra is named."""

import subprocess
import sys

import pytest

from jackfield.core.errors import MissingExtra
from jackfield.doors.mcp import needs_sdk

WHAT_STARTS = "jackfield.app.compose, jackfield.app.server, jackfield.app.cli.main, jackfield.doors.mcp.panel"


def test_what_starts_a_gateway_loads_no_sdk() -> None:
    code = f"import sys, {WHAT_STARTS}; print([m for m in sys.modules if m.split('.')[0] in ('mcp', 'pydantic', 'starlette')])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_only_the_sdk_s_own_absence_is_told_as_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"jackfield\[mcp\]"), needs_sdk():
        raise ModuleNotFoundError("No module named 'mcp'", name="mcp.server")
    with pytest.raises(ModuleNotFoundError), needs_sdk():
        raise ModuleNotFoundError("No module named 'json5'", name="json5")
