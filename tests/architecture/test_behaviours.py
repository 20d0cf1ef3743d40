"""behaviours.toml and the tests name each other: what is promised is proved, and what is proved was promised."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import REPOSITORY, short, syntax_tree

TESTS = REPOSITORY / "tests"


def promised() -> dict[str, str]:
    return tomllib.loads((TESTS / "behaviours.toml").read_text(encoding="utf-8"))


def marks(path: Path) -> Iterator[ast.Call]:
    """Every `pytest.mark.behaviour(...)` of one file, wherever it stands."""
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "behaviour":
            yield node


def named() -> dict[str, str]:
    """Behaviour id -> the first place that names it."""
    found: dict[str, str] = {}
    for path in sorted(TESTS.rglob("*.py")):
        for mark in marks(path):
            for argument in mark.args:
                place = f"{short(path)}:{argument.lineno}"
                assert isinstance(argument, ast.Constant), f"{place}: write the id as a plain string"
                assert isinstance(argument.value, str), f"{place}: an id is a string"
                found.setdefault(argument.value, place)
    return found


def test_every_behaviour_has_a_test() -> None:
    tested = named()
    missing = {name: sentence for name, sentence in promised().items() if name not in tested}
    if missing:
        listing = "\n".join(f"  {name}: {sentence}" for name, sentence in missing.items())
        pytest.fail(f"{len(missing)} behaviours have no test:\n{listing}", pytrace=False)


def test_every_named_behaviour_is_promised() -> None:
    known = promised()
    assert {name: place for name, place in named().items() if name not in known} == {}


def test_every_behaviour_is_a_sentence() -> None:
    assert [name for name, sentence in promised().items() if len(sentence) < 10] == []
