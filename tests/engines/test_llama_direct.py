"""llama.cpp's real program as a source, with the tiny model."""

import asyncio
from pathlib import Path

import pytest

from engine_servers import CHAT_MODEL, engine_program
from jackfield.core.errors import StreamBroken
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.llama_direct import LlamaDirect
from jackfield.testing.tools import provider_tools

pytestmark = pytest.mark.engine
TRIES = 4
"""On a busy machine this build now and then ends well before its last words are out: it says nothing, or only the first."""


@pytest.mark.parametrize(
    ("question", "answer"),
    [("ping", "pong"), ("Count to 5", "1, 2, 3, 4, 5"), ("say something in unicode", "héllo – 你好 🙂 done")],
)
@pytest.mark.parametrize(
    "settings", [{}, {"flash_attention": True, "cache_type_k": "q8_0", "gpu_layers": 0}], ids=["plain", "all"]
)
async def test_it_answers(question: str, answer: str, settings: dict[str, object]) -> None:
    program: Path = engine_program("llama-completion")
    async with provider_tools() as tools:
        tools.environ = {"PATH": "/usr/bin:/bin"}
        config = {"model": str(CHAT_MODEL), "program": str(program), "threads": 1, "context_length": 2048, **settings}
        provider = LlamaDirect.create(config, tools)
        assert (await provider.probe()).is_ready
        asked = ChatRequest((text_message("user", question),), generation=Generation(temperature=0.0, max_tokens=60))
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(30), provider.open(asked) as events:
                    reply = await fold(events)
            except StreamBroken as error:
                said = str(error)
                continue
            said = reply.message.text
            if said == answer or not answer.startswith(said):
                break
        assert said == answer
