"""A whole provider in one file. It answers with the prompt, in capitals, and asks nobody."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

from jackfield.core.contracts import Provider, ProviderCard, ProviderInfo, ProviderTools
from jackfield.core.errors import BadRequest
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta
from jackfield.core.parameters import did_you_mean
from jackfield.core.requests import ChatRequest
from jackfield.providers.fit import check_fit
from jackfield.providers.registry import Registrar

MARK = "mark"
MODEL = "shouter-1"


class Shouter:
    """Config: `mark`, what stands at the end of an answer."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="shouter", type="local", display_name="Shouter", config_keys=(MARK,), hint="needs nothing"
    )

    def __init__(self, mark: str) -> None:
        self.info = ProviderInfo(id="shouter", type="local", display_name="Shouter", simulated=True)
        self._mark = mark

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        for key in config:
            if key != MARK:
                raise BadRequest(f"unknown key {key!r}{did_you_mean(key, [MARK])}: shouter takes {MARK}", param=key)
        return cls(str(config.get(MARK, "!")))

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        check_fit(request, MODEL, self.info.id, self.card.capabilities, None)
        words = re.findall(r"\S+\s*|\s+", request.messages[-1].text.upper() + self._mark)
        yield self._events(words, request.generation.max_tokens)

    async def _events(self, words: list[str], max_tokens: int | None) -> AsyncIterator[Event]:
        said = words[:max_tokens]
        yield Started(MODEL)
        yield PartStarted(0, "text")
        for word in said:
            yield TextDelta(0, word)
        yield PartEnded(0)
        yield Finished("stop" if said == words else "length")

    async def aclose(self) -> None:
        """Holds nothing."""


def register(registrar: Registrar) -> None:
    registrar.register(Shouter)


_satisfies: type[Provider] = Shouter
