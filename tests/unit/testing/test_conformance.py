"""The laws catch those who break them: for each, a provider that does."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jackfield.core.contracts import ProbeResult, ProviderInfo
from jackfield.core.errors import JackfieldError
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.openai_config import OpenAISettings
from jackfield.testing.conformance import LAWS, ConformanceFailed, Subject, check_law, check_provider
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import provider_tools
from jackfield.transport.http1 import HttpClient

WHOLE: tuple[Event, ...] = (
    Started("m"),
    PartStarted(0, "text"),
    TextDelta(0, "po"),
    TextDelta(0, "ng"),
    PartEnded(0),
    Finished("stop"),
)


class Player:
    """Plays given events, one list for a stream and one for a plain answer."""

    def __init__(self, streamed: tuple[Event, ...] = WHOLE, plain: tuple[Event, ...] = WHOLE, **told: Any) -> None:
        self.info = ProviderInfo("player", "local", "Player")
        self.capabilities = Capabilities(**told)
        self._streamed, self._plain = streamed, plain

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        yield self._events(self._streamed if request.stream else self._plain)

    async def _events(self, events: tuple[Event, ...]) -> AsyncGenerator[Event, None]:
        for event in events:
            yield event

    async def aclose(self) -> None:
        pass


class Empty(Player):
    async def list_models(self) -> tuple[ModelProfile, ...]:
        return ()


class Down(Player):
    async def probe(self) -> ProbeResult:
        return ProbeResult(False, detail="down")


@pytest.mark.parametrize(
    ("law", "player"),
    [
        ("streams_keep_the_laws", Player(WHOLE[1:])),
        ("streams_keep_the_laws", Player(WHOLE[:-1])),
        ("streams_keep_the_laws", Player((*WHOLE, Finished("stop")))),
        ("streams_keep_the_laws", Player((WHOLE[0], WHOLE[1], TextDelta(0, "pong"), *WHOLE[4:]))),
        ("streams_keep_the_laws", Player((*WHOLE[:4], WHOLE[5]))),
        ("plain_is_the_folded_stream", Player(plain=(*WHOLE[:3], *WHOLE[4:]))),
        ("limits_are_kept", Player()),
        ("tools_are_called", Player(tools=True)),
        ("embeddings_are_as_told", Player(embeddings=True)),
        ("images_are_as_told", Player(images=False)),
        ("models_are_listed", Empty()),
        ("looking_spends_nothing", Down()),
        ("facts_need_no_contact", Player(max_context=-1)),
    ],
)
async def test_a_broken_law_is_found_and_named(law: str, player: Player) -> None:
    with pytest.raises(ConformanceFailed, match=f"^{law}: "):
        await check_law(law, LAWS[law], Subject(lambda: player, keeps_limits=True))


class Leaky(OpenAICompatible):
    """Shows its key in its repr."""

    def __init__(self, settings: OpenAISettings, http: HttpClient) -> None:
        super().__init__(settings, http)
        self._key = settings.key

    def __repr__(self) -> str:
        return f"<Leaky {self._key}>"


class Spender(OpenAICompatible):
    """Asks for a completion to see whether it works."""

    async def probe(self) -> ProbeResult:
        async with self.open(ChatRequest((), model="fake-model")) as events:
            async for _ in events:
                pass
        return ProbeResult(True)


class Nameless(OpenAICompatible):
    """Raises errors that say neither who nor what to do."""

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        try:
            async with super().open(request) as events:
                yield events
        except JackfieldError as error:
            raise type(error)("failed", retry_after_s=error.retry_after_s) from None


@pytest.mark.parametrize(
    ("law", "kind"),
    [("no_key_is_told", Leaky), ("looking_spends_nothing", Spender), ("statuses_mean_what_they_say", Nameless)],
)
async def test_a_careless_http_provider_is_found(law: str, kind: type[OpenAICompatible]) -> None:
    async with FakeOpenAI() as fake, provider_tools({"env:CANARY": "canary-1234567890"}) as tools:
        config = {"base_url": fake.base_url, "api_key": "env:CANARY"}
        with pytest.raises(ConformanceFailed, match=f"^{law}: "):
            await check_provider(lambda: kind.create(config, tools), upstream=fake, canary="canary-1234567890")


def test_the_laws_import_no_test_framework() -> None:
    import subprocess
    import sys

    code = "import sys, jackfield.testing.conformance, jackfield.testing.tools; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0
