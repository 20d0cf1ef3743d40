"""What `up` says once it serves."""

from pathlib import Path

import pytest

from jackfield.app.cli.welcome import welcome
from running_gateway import running_gateway


async def test_the_demo_is_called_a_toy_and_its_model_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.house.furnish(demo=True)
        welcome(gateway.house, as_json=False)
        said = capsys.readouterr()
        assert said.out == ""
        assert "slots 0, 1, 2 play a toy of half a million parameters that knows a dozen phrases" in said.err
        assert said.err.count("tiny-llm") == 3
        welcome(gateway.house, as_json=True)
        assert capsys.readouterr().err == ""


async def test_what_is_no_demo_is_not_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "scripted")
        welcome(gateway.house, as_json=False)
        assert "toy" not in capsys.readouterr().err
