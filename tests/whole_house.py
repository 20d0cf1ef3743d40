"""A gateway with a source behind every call: its own dialect's for each door, one that only plays a script, and rankings."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jackfield.testing.fake_anthropic import FakeAnthropic
from jackfield.testing.fake_completion import FakeTei
from jackfield.testing.fake_gemini import FakeGemini
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fake_openai import FakePlatform
from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from running_gateway import Gateway, running_gateway

WRONG = (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError)


class _Sturdy:
    """Refuses with 400 what the fake itself would stumble over, as a source does that checks its requests."""

    async def serve(self: Any, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        try:
            return bool(await super().serve(request, behaviour, wire))  # type: ignore[misc]
        except WRONG as error:
            return bool(await wire.json(400, self.error(400, f"the source refuses this: {error!r}"[:200], None)))


class _Platform(_Sturdy, FakePlatform): ...


class _Claude(_Sturdy, FakeAnthropic): ...


class _Google(_Sturdy, FakeGemini): ...


class _Llama(_Sturdy, FakeOllama): ...


class _Tei(_Sturdy, FakeTei): ...


PLAYED = {"openai": ("slot-0", "slot-5"), "anthropic": ("slot-3", "slot-0", "slot-5"), "gemini": ("slot-4", "slot-0", "slot-5"),
          "ollama": ("slot-2", "slot-0", "slot-5")}  # fmt: skip
"""For each door the slots whose source speaks its dialect, another one, and none."""


@contextlib.asynccontextmanager
async def whole_house(folder: Path, environ: dict[str, str] | None = None, **settings: Any) -> AsyncIterator[Gateway]:
    """Slots 0 to 5: OpenAI's platform, rankings, Ollama, Anthropic, Gemini, a script."""
    async with (
        _Platform(["gpt-4o"]) as platform,
        _Tei() as tei,
        _Llama() as llama,
        _Claude() as claude,
        _Google() as google,
        running_gateway(folder, {"SOURCE_KEY": "the-key-of-a-source", **(environ or {})}, **settings) as gateway,
    ):
        await gateway.plug(0, "openai", base_url=platform.base_url, api_key="env:SOURCE_KEY", model="gpt-4o")
        await gateway.plug(1, "tei", base_url=tei.root_url)
        await gateway.plug(2, "ollama", base_url=llama.base_url, model="fake-model:latest")
        await gateway.plug(3, "anthropic", base_url=claude.base_url, model="claude-fake-1", api_key="env:SOURCE_KEY")
        await gateway.plug(4, "gemini", base_url=google.base_url, model="gemini-2.5-flash", api_key="env:SOURCE_KEY")
        await gateway.plug(5, "scripted", text="hello")
        yield gateway
