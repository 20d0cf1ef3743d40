"""Every provider keeps every law: each preset row against a fake upstream, the scripted player, and the engine in process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from fake_assistants import fake_assistant, fake_llama
from fake_torch_model import model_folder, without_torch
from jackfield.core.contracts import Provider
from jackfield.providers.command_line import command_types
from jackfield.providers.local_llama import LocalLlama
from jackfield.providers.local_transformers import LocalTransformers
from jackfield.providers.openai_compatible import preset_type
from jackfield.providers.registry import load_registrar
from jackfield.providers.scripted import Scripted
from jackfield.testing.conformance import LAWS, Subject, check_law, check_provider
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools
from provider_cases import CANARY, COMMANDS, DEMO_MODEL, DIRECT, NATIVE, PRESETS

SCRIPT = [
    {"match": "^ping$", "text": "pong"},
    {"match": "count to 20", "text": ", ".join(map(str, range(1, 21)))},
    {"match": "weather", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}], "times": 2},
    {"match": "weather", "text": "The weather in Paris is sunny."},
]
ELSEWHERE = ("tei", "mcp", "websocket", "hybrid", "human", "replicate", "litellm")
"""Covered in test_other_sources.py, and replicate in tests/unit/providers/test_replicate.py."""


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:CANARY": CANARY}) as made:
        yield made


@pytest.mark.behaviour(
    "ADPT-03", "ADPT-04", "ADPT-05", "ADPT-21", "ADPT-22", "ADPT-27", "ADPT-28", "ADPT-33",
    "PARM-11",
    "PROV-04", "PROV-05", "PROV-06", "PROV-07", "PROV-08", "PROV-31",
    "LOCL-17", "LOCL-18", "LOCL-20", "LOCL-22", "LOCL-24", "LOCL-25",
)  # fmt: skip
@pytest.mark.parametrize("row", sorted(PRESETS))
async def test_every_row_keeps_every_law(row: str, tools: FakeTools) -> None:
    preset = PRESETS[row]
    model = preset.default_model or "fake-model"
    async with FakeOpenAI([model, "fake-model"] if model != "fake-model" else [model]) as fake:
        kind = preset_type(preset)
        config = {"base_url": fake.root_url, "api_key": "env:CANARY"}
        await check_provider(lambda: kind.create(config, tools), upstream=fake, canary=CANARY)


@pytest.mark.behaviour("PROV-28", "PROV-29", "PROV-32", "PROV-33")
@pytest.mark.parametrize("id_", sorted(NATIVE))
async def test_every_native_provider_keeps_every_law(id_: str, tools: FakeTools) -> None:
    fake_of, more = NATIVE[id_]
    kind = load_registrar(plugins=False).get(id_)
    async with fake_of() as fake:
        config = {"base_url": fake.root_url, "api_key": "env:CANARY", **more}
        await check_provider(lambda: cast("Provider", kind.create(config, tools)), upstream=fake, canary=CANARY)


async def test_the_scripted_player_keeps_every_law(tools: FakeTools) -> None:
    await check_provider(lambda: Scripted.create({"replies": SCRIPT}, tools), keeps_limits=True)


@pytest.mark.parametrize("law", sorted(LAWS))
async def test_the_engine_in_this_process_keeps_every_law(law: str, tools: FakeTools) -> None:
    config = {"model": str(DEMO_MODEL), "context_length": 2048, "threads": 1}
    await check_law(law, LAWS[law], Subject(lambda: LocalLlama.create(config, tools), keeps_limits=True))


@pytest.mark.parametrize("law", sorted(LAWS))
async def test_transformers_with_a_fake_for_its_model_keeps_every_law(
    law: str, tools: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake stands for PyTorch alone; tests/engines/test_transformers.py asks the same of a real model."""
    without_torch(monkeypatch)
    config = {"model": str(model_folder(tmp_path / "tiny"))}
    await check_law(law, LAWS[law], Subject(lambda: LocalTransformers.create(config, tools), keeps_limits=True))


@pytest.mark.parametrize("id_", COMMANDS)
async def test_every_program_keeps_every_law(id_: str, tools: FakeTools, tmp_path: Path) -> None:
    name, config = fake_assistant(tmp_path, id_)
    tools.environ = {"PATH": str(tmp_path)}
    kind = {kind.card.id: kind for kind in command_types()}[id_]
    assert (tmp_path / name).exists()
    await check_provider(lambda: kind.create(config, tools))


@pytest.mark.parametrize("id_", DIRECT)
async def test_llama_s_program_keeps_every_law(id_: str, tools: FakeTools, tmp_path: Path) -> None:
    fake_llama(tmp_path, DIRECT[id_].programs[0])
    tools.environ = {"PATH": str(tmp_path)}
    await check_provider(lambda: DIRECT[id_].create({"model": str(DEMO_MODEL)}, tools))


def test_every_type_that_ships_is_covered_here() -> None:
    assert set(load_registrar(plugins=False).ids()) == {
        *PRESETS,
        *NATIVE,
        "local",
        "local_transformers",
        "scripted",
        *COMMANDS,
        *DIRECT,
        *ELSEWHERE,
    }


@pytest.mark.behaviour("PROV-35")
@pytest.mark.parametrize(("cloud", "id_"), [("aws", "bedrock"), ("azure", "azure-openai"), ("google-cloud", "vertex")])
def test_each_cloud_has_its_adapter_and_its_page(cloud: str, id_: str, repository: Path) -> None:
    registrar = load_registrar(plugins=False)
    assert registrar.canonical(cloud) == id_
    page = (repository / f"docs/providers/{id_}.md").read_text(encoding="utf-8")
    assert id_ in page
