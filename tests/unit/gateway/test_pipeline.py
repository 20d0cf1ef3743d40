"""The books: closed exactly once a call, however it ends, and the binding let go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import ProviderCard, ProviderInfo
from jackfield.core.errors import JackfieldError, Overloaded
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.route import Route, Target
from jackfield.gateway.walk import WalkSettings
from jackfield.routing.manager import BackendManager
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, SlotSpec
from writing_client import WritingClient

BEGUN: tuple[Event, ...] = (Started("m"), PartStarted(0, "text"), TextDelta(0, "hello"))
ENDED: tuple[Event, ...] = (PartEnded(0), UsageReported(Usage(prompt_tokens=1, completion_tokens=1)), Finished("stop"))


class Playing:
    """A provider that plays events, then does what the test says."""

    info = ProviderInfo("playing", "local", "Playing")
    card = ProviderCard(id="playing", type="local", display_name="Playing")

    def __init__(self, *events: Event, then: BaseException | None = None, hangs_at_open: bool = False) -> None:
        self._events = events
        self._then = then
        self._hangs_at_open = hangs_at_open
        self.opened = 0
        self.closed = 0

    @contextlib.asynccontextmanager
    async def open(self, _: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        self.opened += 1
        try:
            if self._hangs_at_open:
                await asyncio.Event().wait()
            yield self._play()
        finally:
            self.closed += 1

    async def _play(self) -> AsyncIterator[Event]:
        for event in self._events:
            yield event
        if isinstance(self._then, asyncio.CancelledError):
            await asyncio.Event().wait()
        elif self._then is not None:
            raise self._then

    async def aclose(self) -> None: ...


class Playback:
    """One call through a pipeline whose books keep what they are told."""

    def __init__(self, provider: Playing, *, stream: bool) -> None:
        self.provider = provider
        self.client = WritingClient()
        self.rows: list[tuple[str, int]] = []
        live = LiveProvider(provider, provider.card)
        self.binding = Binding(live, SlotSpec("playing"))
        fields = {"messages": msgspec.Raw(b'[{"role": "user", "content": "hi"}]'), "model": msgspec.Raw(b'"slot-0"')}
        self.call = Call(
            "req-1", OpenAIChat(), fields, model_text="slot-0", stream=stream, show_usage=False, at=0.0, received_at=0.0
        )
        self._pipeline = Pipeline(self._resolve, (self._book,), walk=WalkSettings(retries=0, warm_up_s=0))  # type: ignore[arg-type]
        self.backend = BackendManager().backend_of(self.binding)

    def _resolve(self, call: Call) -> None:
        call.route = Route([Target(0, self.binding, None, self.backend)])

    def _book(self, call: Call) -> None:
        self.rows.append((call.outcome, call.status))

    async def run(self) -> None:
        await self._pipeline.run(self.call, self.client)

    def is_settled(self) -> bool:
        return self.binding.live.in_flight == 0 and self.provider.opened == self.provider.closed


@pytest.mark.parametrize("stream", [False, True])
async def test_a_good_answer(stream: bool) -> None:
    play = Playback(Playing(*BEGUN, *ENDED), stream=stream)
    await play.run()
    assert play.rows == [("ok", 200)]
    assert play.is_settled()
    assert b"hello" in play.client.sent
    assert play.client.sent.endswith(b"data: [DONE]\n\n") is stream


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_anything_was_sent_is_raised(stream: bool) -> None:
    play = Playback(Playing(then=Overloaded("too much to do")), stream=stream)
    with pytest.raises(Overloaded) as caught:
        await play.run()
    assert (caught.value.slot, caught.value.request_id) == (0, "req-1")
    assert play.rows == [("overloaded", 503)]
    assert play.is_settled()
    assert not play.client.has_started


async def test_an_error_in_the_middle_of_a_stream_is_told_in_it() -> None:
    play = Playback(Playing(*BEGUN, then=Overloaded("too much to do")), stream=True)
    await play.run()
    assert play.rows == [("overloaded", 200)]
    assert play.is_settled()
    assert b"too much to do" in play.client.sent
    assert b"[DONE]" not in play.client.sent


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_stops_in_the_middle_never_looks_whole(stream: bool) -> None:
    play = Playback(Playing(*BEGUN), stream=stream)
    with contextlib.suppress(JackfieldError):
        await play.run()
    assert [outcome for outcome, _ in play.rows] == ["stream_broken"]
    assert play.is_settled()
    assert b"[DONE]" not in play.client.sent
    assert b'"finish_reason":"stop"' not in play.client.sent


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "provider", [lambda: Playing(hangs_at_open=True), lambda: Playing(*BEGUN, then=asyncio.CancelledError())]
)
async def test_cancelled_wherever_it_waits_everything_is_freed(provider: Callable[[], Any], stream: bool) -> None:
    play = Playback(provider(), stream=stream)
    task = asyncio.create_task(play.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert play.binding.live.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert play.rows == [("cancelled", 499)]
    assert play.is_settled()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_ours_is_in_the_books_too(stream: bool) -> None:
    play = Playback(Playing(then=RuntimeError("a bug")), stream=stream)
    with pytest.raises(RuntimeError):
        await play.run()
    assert play.rows == [("internal_error", 500)]
    assert play.is_settled()


async def test_a_failed_attempt_that_another_follows_is_booked_without_a_secret() -> None:
    play = Playback(Playing(*BEGUN, *ENDED), stream=False)
    pipeline = Pipeline(play._resolve, (play._book,), lambda: {"swordfish9"})  # type: ignore[arg-type]
    pipeline.close_attempt(play.call, Overloaded("the key swordfish9 is slow", code="swordfish9"))
    assert play.rows == [("overloaded", 503)]
    assert (play.call.attempt, play.call.status, play.call.books_are_closed) == (1, 200, False)
