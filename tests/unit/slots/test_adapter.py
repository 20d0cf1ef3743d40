"""The base that third parties subclass: what is asked of a class, and what it gets for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, NotSupported, TimedOut
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.messages import format_messages, text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.core.usage import Usage
from jackfield.slots.adapter import InferenceProviderAdapter


class Forwarding(InferenceProviderAdapter):
    """Repeats what it hears."""

    provider_id, provider_type, display_name = "echo", "api", "Echo"

    async def forward(self, prompt: str, **kwargs: Any) -> str:
        self.seen: Mapping[str, Any] = kwargs
        return f"you said {prompt}"


class Streaming(InferenceProviderAdapter):
    provider_id, provider_type, display_name = "drip", "local", "Drip"
    has_ended = False

    async def stream(self, prompt: str, **kwargs: Any) -> Any:
        try:
            for word in ("drip", " ", "drop"):
                yield word
            if prompt == "hang":
                await asyncio.Event().wait()
        finally:
            self.has_ended = True


class Opening(InferenceProviderAdapter):
    provider_id, provider_type, display_name = "typed", "p2p", "Typed"

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        yield self._events()

    async def _events(self) -> AsyncIterator[Event]:
        for event in (
            Started("m"),
            PartStarted(0, "text"),
            TextDelta(0, "typed"),
            PartEnded(0),
            UsageReported(Usage(3, 4)),
            Finished("stop"),
        ):
            yield event


@pytest.mark.behaviour("ADPT-01")
@pytest.mark.parametrize("lacking", ["provider_id", "provider_type", "display_name"])
def test_a_class_without_identity_cannot_be_made(lacking: str) -> None:
    identity = {"provider_id": "x", "provider_type": "api", "display_name": "X"}
    del identity[lacking]

    async def forward(self: Any, prompt: str, **kwargs: Any) -> str:
        return ""

    with pytest.raises(BadRequest, match=f"Anonymous lacks {lacking}"):
        type("Anonymous", (InferenceProviderAdapter,), {**identity, "forward": forward})


@pytest.mark.behaviour("ADPT-02")
def test_the_type_is_one_of_four() -> None:
    with pytest.raises(BadRequest, match="api, decentralized, local, p2p, got 'x'"):
        type("Odd", (Forwarding,), {"provider_type": "x"})


def test_a_class_that_can_answer_nothing_cannot_be_made() -> None:
    with pytest.raises(BadRequest, match="override forward, stream or open"):
        type("Mute", (InferenceProviderAdapter,), {"provider_id": "m", "provider_type": "api", "display_name": "M"})


async def test_forward_is_enough() -> None:
    echo = Forwarding()
    assert await echo.connect({"a": 1})
    assert not echo.supports_streaming
    done = await echo.complete(
        ChatRequest(format_messages("hi", "be kind"), generation=Generation(temperature=0.5, stop=("x",)))
    )
    assert done.text == "you said hi"
    assert echo.seen == {"temperature": 0.5, "stop_sequences": ["x"], "system_prompt": "be kind"}
    with pytest.raises(NotSupported, match=r"^echo: "):
        await anext(echo.stream("x"))
    talk = (text_message("user", "a"), text_message("assistant", "b"), text_message("user", "c"))
    await echo.complete(ChatRequest(talk))
    assert [turn["content"] for turn in echo.seen["messages"]] == ["a", "b", "c"]


async def test_stream_is_enough() -> None:
    drip = Streaming()
    assert await drip.forward("x") == "drip drop"
    events = [event async for event in drip.stream_events("x")]
    assert [type(event).__name__ for event in events] == [
        "Started",
        "PartStarted",
        "TextDelta",
        "TextDelta",
        "TextDelta",
        "PartEnded",
        "Finished",
    ]
    drip.has_ended = False
    with pytest.raises(TimedOut):
        await drip.forward("hang", timeout=0.02)
    assert drip.has_ended


async def test_open_is_enough() -> None:
    typed = Opening()
    done = await typed.complete("x")
    assert (done.text, done.usage, done.model) == ("typed", Usage(3, 4), "m")
    assert [piece async for piece in typed.stream("x")] == ["typed"]
    assert typed.get_metrics()["tokens_used"] == 14
    with pytest.raises(NotSupported, match="embeddings"):
        await typed.embed("x")


async def test_what_is_not_overridden_has_an_honest_answer() -> None:
    drip = Streaming()
    assert (drip.is_available(), drip.available_age_s, str((await drip.health()).status)) == (True, None, "unknown")
    assert await drip.connect()
    assert await drip.validate_config() is True
    assert (drip.get_cost_estimate(1, 1), Forwarding().get_cost_estimate(1, 1)) == (0.0, None)
    assert await drip.list_models() == [{"id": "drip", "context_length": None}]
    json.dumps(drip.get_info())
    await drip.disconnect()
    await drip.disconnect()
    assert await drip.validate_config() is False


def test_two_instances_share_no_counts() -> None:
    assert Forwarding().metrics is not Forwarding().metrics


@pytest.mark.behaviour("ADPT-19", "ADPT-20")
async def test_its_calls_without_await_work_inside_a_running_loop() -> None:
    drip = Streaming()
    assert drip.execute(None, "x") == "drip drop"
    assert "".join(drip.stream_execute(None, "x")) == "drip drop"
