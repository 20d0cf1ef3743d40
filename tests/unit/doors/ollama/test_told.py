"""What is known of a model in Ollama's words: every key is there, and nothing is claimed that nobody said."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import ollama
import pytest

from jackfield.core.contracts import LoadedModel
from jackfield.core.ids import SlotNumber
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.doors.ollama.told import abilities, details, listed, running, shown
from jackfield.gateway.stock import InMemory
from jackfield.slots.catalogue import CatalogueEntry

PROFILE = ModelProfile(
    "m", description="3.2B", size_bytes=7, quantization="Q4_K_M", context_length=4096, vision=True, tools=True
)


def binding(role: str = "chat", **stated: Any) -> Any:
    """Of a binding, what is read here."""
    return SimpleNamespace(spec=SimpleNamespace(role=role), capabilities=Capabilities(**stated))


@pytest.mark.parametrize("profile", [None, ModelProfile("m"), PROFILE])
def test_an_entry_is_whole_for_the_official_client(profile: ModelProfile | None) -> None:
    read = ollama.ListResponse.Model(**listed("m", profile))
    assert read.model == "m"
    assert read.modified_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert read.size == (7 if profile is PROFILE else 0)


@pytest.mark.parametrize(
    ("description", "size"), [("3.2B", "3.2B"), ("137M", "137M"), ("a fine model of 3B", ""), (None, ""), ("", "")]
)
def test_a_size_is_told_only_where_it_is_one(description: str | None, size: str) -> None:
    assert details(ModelProfile("m", description=description))["parameter_size"] == size


def test_a_model_that_stays_does_not_look_as_if_it_were_leaving() -> None:
    stays = ollama.ProcessResponse.Model(**running(InMemory(0, "local", LoadedModel("m", 5)), None))
    assert stays.expires_at is not None
    assert stays.expires_at.year == 9999
    assert (stays.size, stays.size_vram, stays.context_length) == (5, 0, 0)
    leaves = running(InMemory(0, "x", LoadedModel("m", 0, 3, "2026-11-21T08:00:00Z", 2048, "cuda")), PROFILE)
    assert (leaves["expires_at"], leaves["size"], leaves["size_vram"]) == ("2026-11-21T08:00:00Z", 7, 3)
    assert "modified_at" not in leaves


def test_what_is_shown_names_the_window() -> None:
    entry = CatalogueEntry("slot-0", SlotNumber(0), "x", "m", PROFILE)
    read = ollama.ShowResponse(**shown(entry, binding()))
    assert read.modelinfo == {"general.architecture": "unknown", "unknown.context_length": 4096}
    assert shown(None, binding(max_context=512))["model_info"]["unknown.context_length"] == 512
    assert shown(None, binding())["model_info"] == {}


@pytest.mark.parametrize(
    ("profile", "bound", "can"),
    [
        (None, binding(), ["completion"]),
        (None, binding(tools=True, vision=True), ["completion", "tools", "vision"]),
        (ModelProfile("m", tools=False, vision=False), binding(tools=True, vision=True), ["completion"]),
        (ModelProfile("m", reasoning=True), binding(), ["completion", "thinking"]),
        (ModelProfile("m", embeddings=True), binding(tools=True), ["embedding"]),
        (None, binding("embed", tools=True), ["embedding"]),
    ],
)
def test_abilities_are_what_the_model_is_known_to_do(profile: ModelProfile | None, bound: Any, can: list[str]) -> None:
    assert abilities(profile, bound) == can
