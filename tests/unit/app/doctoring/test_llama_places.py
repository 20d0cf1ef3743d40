"""Where the settings use llama.cpp's program: every slot and block of a provider that runs it, under whatever name."""

from pathlib import Path

from jackfield.app.doctoring.llama_places import given_place, places
from jackfield.app.settings import Settings, load_settings
from jackfield.app.settings_providers import installed_cards
from jackfield.providers.llama_direct import LlamaDirect
from jackfield.providers.registry import load_registrar

REGISTRAR = load_registrar(plugins=False)


def settings(folder: Path, text: str) -> Settings:
    file = folder / "jackfield.yaml"
    file.write_text(f"models_dir: /models\n{text}", encoding="utf-8")
    return load_settings(file, {}, cards=installed_cards).settings


def test_slots_and_blocks_are_found_by_any_name(tmp_path: Path) -> None:
    text = """
providers:
  llama-cli: {model: /m/one.gguf, program: /opt/llama}
slots:
  0: {provider: llama-cpp-direct, model: two}
  1: {provider: bitnet-cli, config: {model_path: three, models_dir: /other}}
  2: {provider: scripted}
"""
    block, slot, bitnet = places(settings(tmp_path, text), REGISTRAR)
    assert (block.where, block.programs, block.model) == ("providers.llama-cli", ("/opt/llama",), "/m/one.gguf")
    assert (slot.where, slot.programs, slot.model, slot.models_dir) == ("slot 0", ("/opt/llama",), "two", "/models")
    assert (bitnet.where, bitnet.programs, bitnet.model, bitnet.models_dir) == ("slot 1", ("llama-cli",), "three", "/other")


def test_without_any_the_path_is_looked_at(tmp_path: Path) -> None:
    (only,) = places(settings(tmp_path, "slots: {0: {provider: nobody-s}}"), REGISTRAR)
    assert (only.where, only.programs, only.model) == ("the PATH", LlamaDirect.programs, None)


def test_what_is_given_goes_before_what_is_usual(tmp_path: Path) -> None:
    known = settings(tmp_path, "")
    assert given_place("/opt/x", None, known).programs == ("/opt/x",)
    assert given_place(None, "m", known).programs == LlamaDirect.programs
    assert given_place(None, "m", known).models_dir == "/models"
