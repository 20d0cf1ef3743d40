"""A second package, built and installed as its author would, brings a provider that keeps every law."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.registry import Registrar, load_plugins
from jackfield.testing.conformance import check_provider
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import provider_tools

PACKAGE = Path(__file__).parents[1] / "plugin_package"
BUILD = "import sys, os, hatchling.build as build; os.chdir(sys.argv[1]); print(build.build_wheel(sys.argv[2]))"
LIST = """
from jackfield.providers.registry import load_registrar
registrar = load_registrar()
card = registrar.get("ACME_AI").card
print(card.id, card.type, card.default_url, registrar.problems, len(registrar.ids()))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, made by its own build backend and unpacked as an installer does: no index, no network."""
    folder = tmp_path_factory.mktemp("plugin")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(PACKAGE), str(folder)], check=True, capture_output=True, text=True, timeout=50
    )
    site = folder / "site"
    with zipfile.ZipFile(folder / built.stdout.strip().splitlines()[-1]) as wheel:
        wheel.extractall(site)
    return site


@pytest.fixture
def on_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(installed))
    yield
    sys.modules.pop("jackfield_acme", None)


@pytest.mark.behaviour("ADPT-30")
def test_a_fresh_process_finds_the_installed_provider(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    listed = subprocess.run(
        [sys.executable, "-c", LIST], check=True, capture_output=True, text=True, timeout=50, env=environment
    )
    provider_id, kind, url, problems, count = listed.stdout.split()
    assert (provider_id, kind, url, problems) == ("acme", "api", "http://127.0.0.1:4545/v1", "[]")
    assert int(count) > 40


@pytest.mark.behaviour("ADPT-29", "ADPT-30")
async def test_the_plugin_keeps_every_law_in_fifteen_lines(on_path: None) -> None:
    registrar = Registrar()
    load_plugins(registrar)
    assert registrar.problems == []
    kind = registrar.get("acme")
    assert issubclass(kind, OpenAICompatible)
    code = [line for line in (PACKAGE / "jackfield_acme.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 15
    async with provider_tools({"env:CANARY": "canary-7a1b2c3d4e5f"}) as tools, FakeOpenAI() as fake:
        config = {"base_url": fake.root_url, "api_key": "env:CANARY"}
        await check_provider(lambda: kind.create(config, tools), upstream=fake, canary="canary-7a1b2c3d4e5f")
