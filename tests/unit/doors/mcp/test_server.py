"""The server by itself, without a transport: progress while a source is slow, logging left alone, refusals in our own words."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from jackfield.app.compose import mcp_panel
from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.doors.mcp.server import _refusal, create_server
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from mcp_talk import BOTH
from running_gateway import running_gateway


@asynccontextmanager
async def waiting_client(folder: Path, fake: FakeOpenAI, mode: Any) -> AsyncIterator[Client]:
    """One that is told of its waiting every 20 ms."""
    async with running_gateway(folder) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        panel = dataclasses.replace(mcp_panel(gateway.house), progress_every_s=0.02)
        async with Client(create_server(panel), mode=mode) as client:
            yield client


@BOTH
async def test_a_slow_answer_is_waited_for_with_progress(tmp_path: Path, mode: str) -> None:
    heard: list[tuple[float, str | None]] = []
    enough = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))
        if len(heard) == 3:
            enough.set()

    async with (
        FakeOpenAI(behaviour=Behaviour(hang="before")) as fake,
        waiting_client(tmp_path, fake, mode) as client,
        asyncio.timeout(20),
    ):
        asking = asyncio.create_task(client.call_tool("generate", {"prompt": "ping"}, progress_callback=hear))
        await enough.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        fake.behaviour = Behaviour()
        assert not (await client.call_tool("generate", {"prompt": "ping"}, progress_callback=hear)).is_error
    assert [progress for progress, _ in heard] == sorted({progress for progress, _ in heard})
    assert heard[0][1] == "waiting for the answer, 0.02 s"


async def test_the_process_s_logging_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    async with running_gateway(tmp_path) as gateway:
        monkeypatch.setattr(root, "handlers", [])
        level = root.level
        create_server(mcp_panel(gateway.house))
        assert (root.handlers, root.level) == ([], level)


@pytest.mark.parametrize(
    ("said", "message", "code"),
    [
        (
            "Error executing tool t: 2 validation errors for tArguments\nslot\n  Field required [type=missing, input_value="
            "{'k': 'canary'}, input_type=dict]\n    For further information visit https://x\nname.first\n  "
            "Input should be a valid string [type=string_type, input_value='canary', input_type=str]\n    For further "
            "information visit https://x",
            "arguments are wrong: slot: field required; name.first: input should be a valid string",
            "invalid_request",
        ),
        ("Error executing tool t: oh", "arguments are wrong: see the schema of the tool", "invalid_request"),
        ("Unknown tool: nix", "Unknown tool: nix: tools/list names all", "unknown_tool"),
        ("Error executing tool t", "Error executing tool t: the gateway's log says more", "internal_error"),
    ],
)
def test_what_the_sdk_says_is_told_in_our_words(said: str, message: str, code: str) -> None:
    error = _refusal(said)
    assert (error.message, error.code) == (message, code)
    assert isinstance(error, BadRequest) is (code != "internal_error")
    assert isinstance(error, JackfieldError)
