"""docs/adding-a-provider.md, followed to the letter: what it says to write is written, what it says to run is run."""

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from doc_blocks import file_blocks, run_block, runnable_blocks
from jackfield.testing.fakes import FakeOpenAI
from source_tree import REPOSITORY

PAGE = REPOSITORY / "docs" / "adding-a-provider.md"
PORT = "4321"


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "JACKFIELD_HOME": str(folder / "home"), **more}


@pytest.mark.behaviour("DOCS-05")
async def test_a_row_in_six_steps(tmp_path: Path) -> None:
    steps = re.findall(r"^\d\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(steps) == 6
    async with FakeOpenAI() as fake:
        port = fake.root_url.rpartition(":")[2]
        written = file_blocks(PAGE)
        for name, text in written.items():
            (tmp_path / name).write_text(text.replace(PORT, port), encoding="utf-8")
        blocks = runnable_blocks(PAGE, "step")
        assert len(written) + len(blocks) == 6
        said = [await asyncio.to_thread(run_block, block, fake.root_url, tmp_path, environ_of(tmp_path)) for block in blocks]
    assert all(word in said[0] for word in ("my-server", "My server", port))
    assert fake.completions == 1, "only the question is a completion"


@pytest.mark.behaviour("DOCS-05")
def test_an_adapter_and_its_package(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    code = re.search(r"<!-- table: shouter -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    entry = re.search(r"^```toml\n(\[project\.entry-points.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert code is not None
    assert entry is not None
    ((name, target),) = tomllib.loads(entry[1])["project"]["entry-points"]["jackfield.providers"].items()
    install(tmp_path, target.partition(":")[0], code[1], f"[jackfield.providers]\n{name} = {target}\n")
    environ = environ_of(tmp_path, PYTHONPATH=str(tmp_path))
    assert f"\n{name} " in run(tmp_path, environ, "providers", "list")
    assert run(tmp_path, environ, "ask", "--provider", name, "ping") == "PING!\n"


def install(folder: Path, module: str, code: str, entry_points: str) -> None:
    """As an installer leaves a package: its module, and beside it what it says of itself."""
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(entry_points, encoding="utf-8")


def run(folder: Path, environ: dict[str, str], *words: str) -> str:
    command = [str(Path(sys.executable).with_name("jackfield")), *words]
    done = subprocess.run(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
