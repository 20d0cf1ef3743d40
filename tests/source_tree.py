"""This repository as text and syntax trees, for the tests that hold its rules. Knows where things are, not what is allowed."""

import ast
import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src/jackfield"


@cache
def modules() -> tuple[Path, ...]:
    """Every module of the package."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def short(path: Path) -> str:
    """A path as a person would say it: from the root of the repository."""
    return path.relative_to(REPOSITORY).as_posix()


@cache
def tracked_files() -> tuple[Path, ...]:
    """What is committed or about to be: git's list with new files that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=30).stdout
    return tuple(path for name in listed.decode().split("\0") if name and (path := REPOSITORY / name).is_file())


def text_of(path: Path) -> str | None:
    """A file's text, None where it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
