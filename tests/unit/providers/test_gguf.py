"""Names to GGUF files, and what their heads say."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, Malformed, ModelNotFound
from jackfield.providers.gguf import list_models, read_facts, resolve_model

DEMO = Path(__file__).parents[3] / "src/jackfield/app/demo/tiny-llm.gguf"


@pytest.mark.behaviour("LOCL-09")
@pytest.mark.parametrize("file", ["llama.gguf", "llama-Q4_K_M.gguf", "llama-Q8_0.gguf", "llama"])
def test_a_name_finds_its_file(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch()
    assert resolve_model("llama", str(tmp_path)) == tmp_path / file


@pytest.mark.behaviour("LOCL-09")
def test_paths_subfolders_and_the_better_match(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for file in ("sub/a.gguf", "sub/a-Q4_K_M.gguf"):
        (tmp_path / file).touch()
    assert resolve_model("sub/a", str(tmp_path)) == tmp_path / "sub/a.gguf"
    assert resolve_model("sub/../sub/a.gguf", str(tmp_path)) == tmp_path / "sub/a.gguf"
    assert resolve_model(str(tmp_path / "sub/a.gguf"), None) == tmp_path / "sub/a.gguf"
    assert resolve_model(str(tmp_path / "sub/a"), str(tmp_path / "elsewhere")) == tmp_path / "sub/a.gguf"


@pytest.mark.behaviour("LOCL-09")
@pytest.mark.parametrize("name", ["../secret", "sub/../../secret", "..", ".", "../models-evil/x"])
def test_a_relative_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.gguf").touch()
    (tmp_path / "models").mkdir()
    with pytest.raises(BadRequest, match="leads out of the models folder"):
        resolve_model(name, str(tmp_path / "models"))


@given(st.text("ab./", min_size=1, max_size=12))
def test_no_relative_name_resolves_outside(name: str) -> None:
    try:
        found = resolve_model(name, "/nowhere/models")
    except (BadRequest, ModelNotFound):
        return
    raise AssertionError(f"{name!r} was found at {found}")


def test_what_is_missing_is_told_with_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"looked for x, x\.gguf"):
        resolve_model("x", str(tmp_path))
    with pytest.raises(BadRequest, match="no models_dir is set"):
        resolve_model("x", None)


@pytest.mark.behaviour("LOCL-09")
def test_models_are_found_and_their_parts_are_not(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for file in ("b.gguf", "deep/a.gguf", "mmproj-x.gguf", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "c.txt"):
        (tmp_path / file).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_models(str(tmp_path))]
    assert found == ["b.gguf", "big-00001-of-00002.gguf", "deep/a.gguf"]
    assert list_models(None) == list_models(str(tmp_path / "absent")) == []


def test_a_real_head_is_read() -> None:
    facts = read_facts(DEMO)
    assert facts.architecture == "llama"
    assert facts.context_length
    assert facts.context_length >= 2048


def test_files_that_are_no_gguf_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    for content in (b"", b"GGUF", b"nope" * 20, DEMO.read_bytes()[:60]):
        path.write_bytes(content)
        with pytest.raises(Malformed):
            read_facts(path)
    with pytest.raises(ModelNotFound, match="cannot be read"):
        read_facts(tmp_path / "absent.gguf")


@given(st.binary(max_size=200))
def test_no_head_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, rest: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 5) + rest)
    try:
        read_facts(path)
    except Malformed:
        return
