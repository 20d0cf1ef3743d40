"""The examples do what they say: the programs against a demo gateway, the provider against the conformance check."""

import asyncio
import importlib.util
import os
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from jackfield.providers.registry import Registrar
from jackfield.testing.conformance import check_provider
from running_gateway import running_gateway
from source_tree import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
SHOUTER = EXAMPLES / "shouter"
SAYS = {
    "ask.py": "pong\n1, 2, 3, 4, 5\n",
    "tools.py": 'get_weather({"city": "Paris"})\nThe weather in Paris is sunny.\n',
    "panel.py": "slot-0 slot_0 local \nchanged: {'temperature': [None, 0.2]}\ntaken back: mutate\n",
}


def test_every_example_is_tried() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(SAYS)


@pytest.mark.behaviour("DOCS-03")
@pytest.mark.parametrize("name", SAYS)
async def test_an_example_says_what_it_should(name: str, tmp_path: Path) -> None:
    model = resources.files("jackfield.app") / "demo" / "tiny-llm.gguf"
    async with running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "local", path=str(model), context_length=4096, threads=1)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / name),
            env=os.environ | {"JACKFIELD_URL": gateway.url},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await asyncio.wait_for(process.communicate(), 50)
    assert (process.returncode, said.decode()) == (0, SAYS[name]), complained.decode()


@pytest.fixture
def shouter() -> Any:
    spec = importlib.util.spec_from_file_location("jackfield_shouter", SHOUTER / "jackfield_shouter.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.behaviour("DOCS-03")
async def test_the_example_provider_keeps_the_contract(shouter: Any) -> None:
    await check_provider(lambda: shouter.Shouter("!"), answer="PING!", long_question="one two three four five")


def test_the_entry_point_of_the_example_registers_it(shouter: Any) -> None:
    project = tomllib.loads((SHOUTER / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["jackfield.providers"] == {"shouter": "jackfield_shouter:register"}
    registrar = Registrar()
    shouter.register(registrar)
    assert registrar.ids() == ["shouter"]
