"""`import jackfield`: everything public is there, and nothing heavy is loaded before it is used."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import jackfield

HEAVY = ("asyncio", "msgspec", "ssl", "httpx2", "litestar", "typer", "rich", "sqlite3", "keyring", "cryptography", "xllamacpp")
MEASURE = (
    "import sys\n"
    "import importlib.util, importlib\n"
    "before = set(sys.modules)\n"
    "import jackfield\n"
    "print(*sorted(set(sys.modules) - before))\n"
)


@pytest.mark.behaviour("FACE-01")
def test_importing_it_loads_next_to_nothing() -> None:
    ran = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=30)
    loaded = ran.stdout.split()
    assert not set(loaded) & set(HEAVY)
    assert [name for name in loaded if name.startswith("jackfield")] == ["jackfield"]
    assert len(loaded) < 40


@pytest.mark.parametrize("name", [name for name in jackfield.__all__ if name != "__version__"])
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(jackfield, name) is getattr(jackfield, name)
    assert name in dir(jackfield)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jackfield.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    stub = Path(jackfield.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    typed = {
        alias.asname or alias.name for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed | {"__version__"} == set(jackfield.__all__)


def test_the_version_is_the_packages() -> None:
    assert jackfield.__version__ == version("jackfield")


@pytest.mark.behaviour("SLOT-26")
async def test_a_provider_in_three_lines() -> None:
    provider = jackfield.create_provider("scripted", {"text": "hello"})
    assert await provider.forward("x") == "hello"
    manager = jackfield.ProviderManager()
    manager.add_provider("scripted")
    assert manager.provider_ids() == ["scripted"]
    await manager.aclose()
    await provider.disconnect()
