from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from jackfield.core.contracts import PROVIDER_KINDS, ListsModels, Probes, Provider, ProviderCard, ProviderInfo
from jackfield.core.events import Event, Finished, Started
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import ChatRequest


class Smallest:
    info = ProviderInfo("smallest", "local", "Smallest")

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        async def events() -> AsyncIterator[Event]:
            yield Started(request.model or "m")
            yield Finished("stop")

        yield events()

    async def aclose(self) -> None:
        return None


class Listing(Smallest):
    async def list_models(self) -> tuple[ModelProfile, ...]:
        return ()


def test_three_members_make_a_provider_and_no_more_is_asked() -> None:
    assert isinstance(Smallest(), Provider)
    assert not isinstance(object(), Provider)


def test_a_capability_is_had_by_having_its_method() -> None:
    assert isinstance(Listing(), ListsModels)
    assert not isinstance(Smallest(), ListsModels)
    assert not isinstance(Listing(), Probes)


@pytest.mark.behaviour("ADPT-02")
def test_the_kinds_of_provider_are_four() -> None:
    assert PROVIDER_KINDS == ("api", "decentralized", "local", "p2p")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": "x", "type": "x", "display_name": "X"}, ProviderCard)


def test_a_card_tells_its_capabilities_without_an_instance() -> None:
    card = ProviderCard("x", "api", "X")
    assert card.capabilities.streaming
    assert msgspec.json.decode(msgspec.json.encode(card), type=ProviderCard) == card
