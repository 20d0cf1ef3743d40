"""Starting must not pay for the control door."""

import subprocess
import sys

import pytest


@pytest.mark.behaviour("CTRL-06")
def test_importing_the_panel_loads_no_litestar() -> None:
    code = (
        "import sys, jackfield.doors.control, jackfield.doors.control.panel; print([m for m in sys.modules if 'litestar' in m])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
