"""Rules about the text of the package that neither the linter nor the type checker knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import PACKAGE, modules, short, syntax_tree

MOST_LINES = 600
LONG_FILES: dict[str, str] = {}
"""Longer files that were looked at again and left whole: path -> why."""

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "base"}
EMPTY_CLASS_NAME = re.compile(r"(Base|Abstract)[A-Z]\w*|\w+(Base|Impl)")
IDENTITIES = {"id", "provider_id", "provider"}
MAY_KNOW_PROVIDERS = ("providers", "testing")


@pytest.mark.parametrize("path", modules(), ids=short)
def test_every_module_says_what_it_knows(path: Path) -> None:
    assert (ast.get_docstring(syntax_tree(path)) or "").strip(), f"{short(path)} needs a docstring: what it knows, and must not"


@pytest.mark.parametrize("path", modules(), ids=short)
def test_no_file_grows_long_unseen(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES or short(path) in LONG_FILES, f"{lines} lines: split it, or list it with a reason"


def test_the_list_of_long_files_holds_only_long_files() -> None:
    lengths = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert [name for name in LONG_FILES if lengths.get(name, 0) <= MOST_LINES] == []


def test_names_say_what_a_thing_is() -> None:
    vague = [short(path) for path in modules() if {*path.relative_to(PACKAGE).parts[:-1], path.stem} & VAGUE_NAMES]
    empty = [
        f"{short(path)}: {node.name}"
        for path in modules()
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.ClassDef) and EMPTY_CLASS_NAME.fullmatch(node.name)
    ]
    assert vague + empty == []


def test_nothing_is_left_for_later() -> None:
    left = [
        f"{short(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Name) and node.id == "NotImplementedError"
    ]
    assert left == []


@pytest.mark.behaviour("HOUSE-03")
def test_identity_is_never_control_flow() -> None:
    found = [
        f"{short(path)}:{line}"
        for path in modules()
        if path.relative_to(PACKAGE).parts[0] not in MAY_KNOW_PROVIDERS
        for line in provider_name_ifs(syntax_tree(path))
    ]
    assert found == [], "ask for a capability, a profile or a quirk; do not ask who it is"


def provider_name_ifs(tree: ast.AST) -> Iterator[int]:
    """Lines that compare a provider's identity with a literal name, by ==, in or match."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(_is_identity, sides)) and any(map(_is_name_literal, sides)):
                yield node.lineno
        elif isinstance(node, ast.Match) and _is_identity(node.subject) and any(map(_is_name_case, node.cases)):
            yield node.lineno


def _is_identity(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # provider_id.lower()
        return _is_identity(node.func.value)
    if isinstance(node, ast.Attribute):
        return node.attr in IDENTITIES
    return isinstance(node, ast.Name) and node.id in ("provider_id", "provider")


def _is_name_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_is_name_literal, node.elts))
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""


def _is_name_case(case: ast.match_case) -> bool:
    return _is_name_pattern(case.pattern)


def _is_name_pattern(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return any(map(_is_name_pattern, pattern.patterns))
    return isinstance(pattern, ast.MatchValue) and _is_name_literal(pattern.value)


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("if info.id == 'openai': pass", True),
        ("if spec.provider in ('groq', 'xai'): pass", True),
        ("if provider_id.lower() != 'local': pass", True),
        ("match card.id:\n case 'a' | 'b': pass", True),
        ("if info.id == other.id: pass", False),
        ("if card.type == 'local': pass", False),
        ("if provider_id == '': pass", False),
    ],
)
def test_the_search_for_provider_names_finds_them(code: str, is_found: bool) -> None:
    assert bool(list(provider_name_ifs(ast.parse(code)))) is is_found
