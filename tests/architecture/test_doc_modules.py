"""Every module, file and name that the docs speak of is there, and can be imported where it is a module."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import REPOSITORY, short

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "examples").rglob("*.md")])
ROOMS = "app|concerto|core|dialects|doors|gateway|lifecycle|market|money|peers|providers|routing|slots|store|testing|transport"
MODULE = re.compile(r"\bjackfield(?:\.[a-z_][a-z0-9_]*)+(?:\.[A-Z]\w*)?")
FILE = re.compile(rf"(?<![\w/-])(?:src/jackfield/)?(?:{ROOMS})/[\w/]+\.(?:py|toml)\b")
OTHER_ENDINGS = (".yaml", ".providers", ".example", ".toml", ".service")
"""Of a settings file, an entry point and the like: not names of modules."""


def modules(page: Path) -> set[str]:
    return {name for name in MODULE.findall(page.read_text(encoding="utf-8")) if not name.endswith(OTHER_ENDINGS)}


def files(page: Path) -> Iterator[Path]:
    for name in set(FILE.findall(page.read_text(encoding="utf-8"))):
        yield REPOSITORY / "src/jackfield" / name.removeprefix("src/jackfield/")


@pytest.mark.behaviour("DOCS-03")
@pytest.mark.parametrize("page", [page for page in PAGES if modules(page) or any(files(page))], ids=short)
def test_what_a_page_names_is_there(page: Path) -> None:
    for name in modules(page):
        found = imported(name)
        assert found, f"{name} is nothing that can be imported"
    for path in files(page):
        assert path.exists(), f"{path.relative_to(REPOSITORY)} is not there"


def imported(name: str) -> bool:
    """As a module, or as something that a module holds."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        parent, _, held = name.rpartition(".")
        return bool(parent) and hasattr(importlib.import_module(parent), held)
    return True
