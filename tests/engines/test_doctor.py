"""The doctor before llama.cpp's real program and the tiny model."""

import os

import pytest

from engine_servers import CHAT_MODEL, engine_program
from jackfield.app.doctoring.llama_cpp import Place, look_at

pytestmark = pytest.mark.engine


@pytest.mark.behaviour("ERR-09")
def test_the_real_program_and_model_pass() -> None:
    place = Place("here", (str(engine_program("llama-completion")),), str(CHAT_MODEL))
    checks = look_at(place, "unix", {"PATH": os.defpath}).checks
    assert [check for check in checks if check.state != "ok"] == []
    assert len(checks) == 5
