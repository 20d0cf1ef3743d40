"""Code blocks of the docs that say they can be run: reads them out of a page and runs them as a reader would.

A block fenced as ```sh run or ```python run is run; one fenced as ```text output right after it must be what it prints, line
by line, where a line of `...` stands for any lines. Blocks of a page run in order, in one folder.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
BLOCK_S = 30.0
DOCUMENTED_URL = "http://127.0.0.1:7311"

# Where a machine has no curl: the options that the docs use, and no others.
CURL = r"""
import argparse, sys, urllib.error, urllib.request
parser = argparse.ArgumentParser(prog="curl")
parser.add_argument("url")
parser.add_argument("-s", "--silent", action="store_true")
parser.add_argument("-S", "--show-error", action="store_true")
parser.add_argument("-N", "--no-buffer", action="store_true")
parser.add_argument("-i", "--include", action="store_true")
parser.add_argument("-X", "--request")
parser.add_argument("-H", "--header", action="append", default=[])
parser.add_argument("-d", "--data")
asked = parser.parse_args()
headers = dict(line.split(": ", 1) for line in asked.header)
body = asked.data.encode() if asked.data is not None else None
request = urllib.request.Request(asked.url, body, headers, method=asked.request)
try:
    reply = urllib.request.urlopen(request, timeout=25)
except urllib.error.HTTPError as refused:
    reply = refused
with reply:
    if asked.include:
        print(f"HTTP/1.1 {reply.status}", *(f"{name}: {value}" for name, value in reply.headers.items()), "", sep="\n")
    sys.stdout.write(reply.read().decode())
"""


class BlockFailed(Exception):
    """A documented command failed, or printed something else than the page says."""


@dataclass(frozen=True)
class Block:
    """One runnable block: where it stands, its language, its text, and what it should print (None: not said)."""

    page: Path
    line: int
    language: str
    text: str
    output: str | None
    may_fail: bool

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def runnable_blocks(page: Path, tag: str = "run") -> list[Block]:
    """The blocks of a page that are tagged so, in order. `run error` marks one that shows an error on purpose."""
    text = page.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    blocks = []
    for index, fence in enumerate(fences):
        language, *tags = fence["info"].split()
        if tag not in tags:
            continue
        follower = fences[index + 1] if index + 1 < len(fences) else None
        output = follower["body"] if follower and follower["info"].split() == ["text", "output"] else None
        line = text.count("\n", 0, fence.start()) + 1
        blocks.append(Block(page, line, language, fence["body"], output, "error" in tags))
    return blocks


def file_blocks(page: Path) -> dict[str, str]:
    """The files that a page tells to write, by name: its blocks tagged `file NAME`."""
    fences = ((fence["info"].split(), fence["body"]) for fence in _FENCE.finditer(page.read_text(encoding="utf-8")))
    return {info[2]: body for info, body in fences if info[1:2] == ["file"] and len(info) == 3}


def run_block(block: Block, url: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Runs one block against the gateway at `url` and gives back what it printed. Raises BlockFailed."""
    text = block.text.replace(DOCUMENTED_URL, url)
    ended = subprocess.run(
        _command(block, text),
        cwd=folder,
        env=dict(environ) | {"JACKFIELD_URL": url, "PATH": _path(folder, environ)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_S,
    )
    shown = f"{block}\n{text}\n--- printed\n{ended.stdout}\n--- and on stderr\n{ended.stderr}"
    if block.may_fail:
        return ended.stdout
    if ended.returncode != 0:
        raise BlockFailed(f"ended with {ended.returncode}: {shown}")
    if re.search(r'"error":\s*\{\s*"message"', ended.stdout):
        raise BlockFailed(f"got an error for an answer: {shown}")
    if block.output is not None and not prints(block.output, ended.stdout):
        raise BlockFailed(f"should have printed\n{block.output}\n--- but ran as {shown}")
    return ended.stdout


def prints(expected: str, printed: str) -> bool:
    """Whether a page's output block describes what was printed: same lines, `...` for any lines or part of one."""
    pattern = r"\n".join(re.escape(line.rstrip()).replace(r"\.\.\.", r"[\s\S]*") for line in expected.strip().splitlines())
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.strip().splitlines())) is not None


def _command(block: Block, text: str) -> list[str]:
    match block.language:
        case "sh" | "bash":
            return ["bash", "-euo", "pipefail", "-c", text]
        case "python":
            return [sys.executable, "-c", text]
        case other:
            raise BlockFailed(f"{block}: nothing here runs {other!r} blocks; sh and python can be run")


def _path(folder: Path, environ: Mapping[str, str]) -> str:
    """The environment's commands first, and a curl where there is none."""
    folders = [str(Path(sys.executable).parent), environ["PATH"]]
    if shutil.which("curl", path=environ["PATH"]) is None:
        commands = folder / "commands"
        commands.mkdir(exist_ok=True)
        (commands / "curl").write_text(f"#!{sys.executable}{CURL}", encoding="utf-8")
        (commands / "curl").chmod(0o755)
        folders.append(str(commands))
    return ":".join(folders)
