"""Names to model folders, and what the files in them say."""

import json
from pathlib import Path

import pytest

from fake_torch_model import model_folder
from jackfield.core.errors import BadRequest, Malformed, ModelNotFound, NotSupported
from jackfield.providers.hf_models import HfFacts, list_folders, read_folder, read_pooling, resolve_folder


def cached(cache: Path, name: str, revision: str = "abc", *, main: bool = True) -> Path:
    """A model as the hub's library leaves it."""
    folder = cache / f"models--{name.replace('/', '--')}"
    if main:
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs/main").write_text(revision, encoding="utf-8")
    return model_folder(folder / "snapshots" / revision)


def test_a_name_is_found_in_the_folder_of_models_then_in_the_cache(tmp_path: Path) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    there = cached(cache, "org/one")
    assert resolve_folder("org/one", str(models), cache) == there
    own = model_folder(models / "org/one")
    assert resolve_folder("org/one", str(models), cache) == own
    assert resolve_folder("org/one", None, cache) == there
    assert resolve_folder(str(own), None, cache) == own
    assert list(list_folders(str(models), cache)) == ["org/one"]


def test_the_cache_is_read_by_its_main_revision_or_any_that_is_whole(tmp_path: Path) -> None:
    cached(tmp_path, "gpt2", "old", main=False)
    newest = cached(tmp_path, "gpt2", "new")
    assert resolve_folder("gpt2", None, tmp_path) == newest
    (newest / "config.json").unlink()
    assert resolve_folder("gpt2", None, tmp_path).name == "old"
    assert list_folders(None, tmp_path) == {"gpt2": tmp_path / "models--gpt2/snapshots/old"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "."])
def test_a_name_cannot_leave_the_folder_of_models(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="leads out"):
        resolve_folder(name, str(tmp_path / "models"), tmp_path)


def test_what_is_nowhere_is_told_with_the_places(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=f"no model folder for 'org/x'.* {tmp_path}/m or {tmp_path}"):
        resolve_folder("org/x", f"{tmp_path}/m", tmp_path)
    with pytest.raises(ModelNotFound, match=f"in {tmp_path}$"):
        resolve_folder(str(tmp_path / "x"), None, tmp_path / "cache")
    assert list_folders(str(tmp_path / "absent"), tmp_path / "absent") == {}


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({}, HfFacts("LlamaForCausalLM", 2048, True)),
        ({"architectures": ["G2LMHeadModel"], "max_position_embeddings": None, "n_positions": 64}, ("G2LMHeadModel", 64, True)),
        ({"architectures": ["BertModel"]}, ("BertModel", 2048, False)),
        ({"architectures": None, "max_position_embeddings": 0}, (None, None, None)),
        ({"max_position_embeddings": None, "text_config": {"max_position_embeddings": 99}}, ("LlamaForCausalLM", 99, True)),
    ],
)  # fmt: skip
def test_facts_come_from_the_config(config: dict[str, object], facts: object, tmp_path: Path) -> None:
    wanted = facts if isinstance(facts, HfFacts) else HfFacts(*facts)  # type: ignore[misc]
    assert read_folder(model_folder(tmp_path, **config)) == wanted


def test_a_damaged_config_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[1, 2", encoding="utf-8")
    with pytest.raises(Malformed, match=r"config\.json is not a JSON object"):
        read_folder(tmp_path)
    with pytest.raises(ModelNotFound, match="cannot be read"):
        read_folder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        (None, "mean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_pooling_is_as_the_folder_says(said: dict[str, object] | None, pooling: str, tmp_path: Path) -> None:
    if said is not None:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 8, **said}), encoding="utf-8")
    assert read_pooling(tmp_path) == pooling


def test_pooling_that_cannot_be_done_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text('{"pooling_mode_lasttoken": true}', encoding="utf-8")
    with pytest.raises(NotSupported, match="pools by lasttoken"):
        read_pooling(tmp_path)
