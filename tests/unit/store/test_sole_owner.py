"""A data directory has one owner at a time, and none once its owner has died, however it died."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jackfield.core.errors import Conflict, JackfieldError
from jackfield.store.sole_owner import sole_owner

OWNER = """
import sys, time
from pathlib import Path
from jackfield.store.sole_owner import sole_owner
with sole_owner(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_it_is_free_again_when_the_block_is_left(tmp_path: Path) -> None:
    with sole_owner(tmp_path / "new"):
        with pytest.raises(Conflict, match=r"another jackfield is running on .*JACKFIELD_HOME"), sole_owner(tmp_path / "new"):
            pass
        with sole_owner(tmp_path / "other"):
            pass
    with sole_owner(tmp_path / "new"):
        pass


def test_it_is_free_again_when_the_owner_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(Conflict), sole_owner(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
    with sole_owner(tmp_path):
        pass


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JackfieldError, match="cannot write"), sole_owner(tmp_path / "file"):
        pass
