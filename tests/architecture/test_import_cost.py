"""What loading costs, counted in modules and not in time: time belongs to bench/."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MOST_MODULES = 120
HEAVY = ("litestar", "httpx2", "uvicorn", "httptools", "uvloop", "openai", "xllamacpp", "cryptography", "keyring", "sqlite3")
NOT_FOR_HELP = ("litestar", "httpx2", "uvicorn", "openai", "xllamacpp", "cryptography", "keyring")

WATCH_THE_IMPORT = """
import json, sys
own = tuple(sys.argv[1:])
effects = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "sqlite3.", "os.mkdir", "os.remove", "os.rename")
seen = []
def watch(event, arguments):
    if event.startswith(effects):
        seen.append(event)
    elif event == "open" and isinstance(arguments[0], str) and not arguments[0].startswith(own):
        seen.append(f"open {arguments[0]}")
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+") and ".pyc" not in arguments[0]:
        seen.append(f"write {arguments[0]}")
before = set(sys.modules)
sys.addaudithook(watch)
import jackfield
print(json.dumps({"seen": seen, "loaded": sorted(set(sys.modules) - before)}))
"""

ASK_FOR_HELP = """
import contextlib, io, json, sys
sys.argv = ["jackfield", "--help"]
from jackfield.app.cli.main import main
shown = io.StringIO()
with contextlib.redirect_stdout(shown):
    try:
        status = main()
    except SystemExit as ended:
        status = ended.code
print(json.dumps({"status": status or 0, "loaded": sorted(sys.modules), "shown": shown.getvalue()}))
"""


def in_fresh_python(code: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture(scope="module")
def the_import(repository: Path) -> dict[str, Any]:
    return in_fresh_python(WATCH_THE_IMPORT, sys.prefix, sys.base_prefix, str(repository / "src"))


@pytest.mark.behaviour("HOUSE-02")
def test_importing_jackfield_touches_nothing(the_import: dict[str, Any]) -> None:
    assert the_import["seen"] == []


def test_importing_jackfield_loads_few_modules(the_import: dict[str, Any]) -> None:
    loaded = the_import["loaded"]
    assert len(loaded) <= MOST_MODULES, loaded
    assert not set(HEAVY) & set(loaded)


@pytest.mark.behaviour("HOUSE-02")
@pytest.mark.behaviour("CMD-05")
def test_help_loads_nothing_heavy() -> None:
    result = in_fresh_python(ASK_FOR_HELP)
    assert result["status"] == 0
    assert "up" in result["shown"]
    assert not set(NOT_FOR_HELP) & set(result["loaded"])
