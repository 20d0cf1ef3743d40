"""`jackfield answer`: the questions that wait, and an answer on its way to whoever asked."""

import asyncio
import re
from typing import Any

import pytest

from command_line import Live, Run


def test_the_command_lists_and_answers(jf: Run, live: Live) -> None:
    gateway = live.gateway
    live.run(gateway.plug(9, "human"))
    assert "No question is waiting" in jf("answer", url=live.url).err
    body = {"model": "slot-9", "messages": [{"role": "user", "content": "ping " * 40}]}

    async def start() -> "asyncio.Task[Any]":
        return asyncio.create_task(gateway.http.post("/v1/chat/completions", json=body))

    asking = live.run(start())
    for _ in range(100):
        listed = jf("answer", url=live.url).out
        if found := re.search(r"q-[0-9a-f]+-[0-9a-f]+", listed):
            break
    else:
        pytest.fail("no question came")
    assert jf("answer", found[0], "pong", url=live.url).code == 0

    async def result() -> Any:
        return await asking

    assert live.run(result()).json()["choices"][0]["message"]["content"] == "pong"
    assert jf("answer", "q-0-0", "pong", url=live.url).code != 0
