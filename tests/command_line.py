"""What tests of the command line share: a live gateway to talk to, and how a command ended."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway

Result = TypeVar("Result")
SCRIPT = Path(sys.executable).with_name("jackfield")
REPLIES = [
    {"match": "^ping$", "text": "pong"},
    {"match": "break", "text": "one two three four", "cut_after": 2},
    {"match": "no money", "error": {"code": "insufficient_quota", "message": "the sats are gone"}},
    {"match": "escape", "text": "\x1b[31mred\x1b[0m"},
]


class Live:
    """A running gateway and a fake upstream, both on one loop in another thread."""

    def __init__(self, gateway: Gateway, fake: FakeOpenAI, loop: asyncio.AbstractEventLoop) -> None:
        self.gateway = gateway
        self.fake = fake
        self.url = gateway.url
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def refill(self) -> None:
        """The panel as every test finds it: a script in slot 0, a server of this machine in slot 1."""
        registry = self.gateway.house.registry
        for slot in registry.slots():
            if not slot.is_empty:
                await registry.unplug(slot.number)
        await registry.plug(0, "scripted", {"replies": REPLIES, "text": "you said: {prompt}"}, name="parrot")
        await registry.plug(1, "openai-compat", {"base_url": self.fake.base_url}, model="fake-model")


class Said:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The result; it must be one JSON document on one line."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Said]
