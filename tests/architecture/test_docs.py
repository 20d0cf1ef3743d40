"""The docs tell the truth: every block that says it can be run is run, page by page, against a demo gateway of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doc_blocks import BlockFailed, prints, run_block, runnable_blocks
from engine_servers import free_port, get_json
from source_tree import REPOSITORY, short

READY_S = 30.0
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "bench").glob("*.md")])
PAGES_THAT_RUN = [page for page in PAGES if runnable_blocks(page)]


@contextmanager
def demo_gateway(folder: Path) -> Iterator[str]:
    """`jackfield up --demo` with a home of its own; yields its URL."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "jackfield"), "up", "--demo", "--port", str(port)]
    environ = os.environ | {"JACKFIELD_HOME": str(folder / "home")}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        await_health(process, f"http://127.0.0.1:{port}", folder / "gateway.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
            pytest.fail("the demo gateway did not end within 10 s of SIGTERM", pytrace=False)


def await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while get_json(url, "/health", timeout_s=2.0)[0] != 200:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"jackfield up --demo did not come up:\n{log.read_text(encoding='utf-8')[-3000:]}", pytrace=False)
        time.sleep(0.05)


@pytest.mark.behaviour("DOCS-01")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=short)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    environ = os.environ | {"JACKFIELD_HOME": str(tmp_path / "home")}
    with demo_gateway(tmp_path) as url:
        for block in runnable_blocks(page):
            try:
                run_block(block, url, tmp_path, environ)
            except BlockFailed as failure:
                pytest.fail(str(failure), pytrace=False)


def page_of(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


FOUR_BLOCKS = """a
```sh
false
```
```sh run
echo 1
```
```text output
1
```
```python run error
1/0
```
"""


def test_only_tagged_blocks_are_run(tmp_path: Path) -> None:
    page = page_of(tmp_path, FOUR_BLOCKS)
    blocks = runnable_blocks(page)
    assert [(block.line, block.language, block.output, block.may_fail) for block in blocks] == [
        (5, "sh", "1\n", False),
        (11, "python", None, True),
    ]
    assert [run_block(block, "http://127.0.0.1:1", tmp_path, os.environ) for block in blocks] == ["1\n", ""]


@pytest.mark.parametrize(
    "text",
    [
        "```sh run\nfalse\n```\n",
        "```python run\n1/0\n```\n",
        '```sh run\necho \'{"error": {"message": "no"}}\'\n```\n',
        "```sh run\necho 1\n```\n```text output\n2\n```\n",
        "```ruby run\n1\n```\n",
    ],
)
def test_a_block_that_does_not_do_what_the_page_says_fails(tmp_path: Path, text: str) -> None:
    (block,) = runnable_blocks(page_of(tmp_path, text))
    with pytest.raises(BlockFailed):
        run_block(block, "http://127.0.0.1:1", tmp_path, os.environ)


def test_dots_in_an_output_block_stand_for_anything() -> None:
    assert prints("first\n...\nlast ... word\n", "first\nb\nc\nlast and final word\n")
    assert not prints("first\nlast\n", "first\nb\nlast\n")
