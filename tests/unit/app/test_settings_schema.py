"""The committed schema and example are what the tree and the cards say, and agree with the loader."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from jackfield.app.settings import Settings, flatten, load_settings
from jackfield.app.settings_layers import leaf_types
from jackfield.app.settings_providers import installed_cards
from jackfield.app.settings_schema import schema_text, settings_schema
from jackfield.app.settings_template import settings_template
from jackfield.core.contracts import ProviderCard

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(schema_text(installed_cards((), False)))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def test_the_committed_schema_is_current() -> None:
    committed = (ROOT / "docs" / "settings.schema.json").read_text()
    assert committed == schema_text(installed_cards((), False)), (
        "write it anew: jackfield config schema > docs/settings.schema.json"
    )


def test_the_committed_example_is_current_and_valid() -> None:
    example = ROOT / "jackfield.example.yaml"
    assert example.read_text() == settings_template(), "write it anew from settings_template()"
    assert load_settings(example, {}).settings == Settings()


def uncommented(text: str) -> str:
    """The example with every commented setting switched on; sentences stay comments."""
    keep = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_setting = bare.partition(":")[0].strip().isidentifier() or bare.lstrip().startswith(("0:", "1:", "2:"))
        keep.append(bare if line.startswith("# ") and is_setting else line if line.startswith("#") else bare)
    return "\n".join(keep)


def test_the_example_shows_every_key_with_its_default(tmp_path: Path, schema: dict[str, Any]) -> None:
    text = uncommented(settings_template())
    shown = yaml.safe_load(text)
    jsonschema.validate(json.loads(json.dumps(shown)), schema)
    for path in leaf_types():
        assert path[-1] in (shown if len(path) == 1 else shown[path[0]])
    file = tmp_path / "jackfield.yaml"
    file.write_text(text)
    loaded = load_settings(file, {})
    defaults = flatten(Settings())
    given = {
        key: value for key, value in loaded.values().items() if key in defaults and key not in ("store", "providers.active")
    }
    assert given == {key: value for key, value in defaults.items() if key in given}


def test_the_template_writes_found_keys_as_references(tmp_path: Path) -> None:
    file = tmp_path / "jackfield.yaml"
    file.write_text(settings_template({"openai": "OPENAI_API_KEY"}))
    assert load_settings(file, {}).settings.providers.block("openai").api_key == "env:OPENAI_API_KEY"


@pytest.mark.parametrize(
    "document",
    [
        {"server": {"prt": 1}},
        {"mode": "bust"},
        {"slots": {"x": {"provider": "local"}}},
        {"slots": {"0": {"model": "m"}}},
        {"providers": {"openai": {"base_ulr": "http://x"}}},
        {"providers": {"nobody": {}}},
        {"openai": {"api_key": "sk-1"}},
        {"nothing": 1},
    ],
)
def test_schema_and_loader_refuse_alike(document: dict[str, Any], schema: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    file = tmp_path / "jackfield.yaml"
    file.write_text(json.dumps(document))
    with pytest.raises(Exception, match=r"jackfield\.yaml:1"):
        load_settings(file, {})


@pytest.mark.parametrize(
    "document",
    [
        {"slots": {"0": {"provider": "local", "config": {"path": "/x.gguf"}, "consent": "allow"}}},
        {"providers": {"active": "vllm", "vllm": {"port": 8000, "verify_ssl": False, "temperature": 0.1}}},
        {"lm_studio": {"enabled": False, "base_url": "http://localhost:1234", "model": None, "api_key": None}},
        {"local": {"n_threads": 4}},
    ],
)
def test_schema_and_loader_accept_alike(document: dict[str, Any], schema: dict[str, Any], tmp_path: Path) -> None:
    jsonschema.validate(document, schema)
    file = tmp_path / "jackfield.yaml"
    file.write_text(json.dumps(document))
    assert load_settings(file, {}).file == file


@pytest.mark.behaviour("ADPT-31")
def test_a_registered_providers_block_is_in_the_schema_without_more_code() -> None:
    card = ProviderCard("dummy", "api", "Dummy", config_keys=("colour", "model"), config_aliases={"color": "colour"})
    schema = settings_schema([*installed_cards((), False), card])
    jsonschema.validate(
        {"dummy": {"colour": "red", "model": "m", "temperature": 1}, "providers": {"dummy": {"color": "x"}}}, schema
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"dummy": {"base_url": "http://127.0.0.1"}}, schema)
