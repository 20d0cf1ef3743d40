"""The panel's events as server-sent events, for as long as somebody listens.

Bounded everywhere: so many listeners, so many events waiting for a slow one (the feed drops and says so), and never silent
for longer than the keep-alive.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from jackfield.core.errors import Overloaded
from jackfield.dialects.sse import encode
from jackfield.slots.feed import SlotEvent

KEEP_ALIVE = b": still here\n\n"
OPENED = b": listening\n\n"
Subscribe = Callable[[], AbstractAsyncContextManager[AsyncIterator[SlotEvent]]]


class EventStreams:
    """Counts the listeners and feeds each from its own subscription, until it leaves or `stopping` is set."""

    def __init__(self, subscribe: Subscribe, stopping: asyncio.Event, *, keep_alive_s: float, max_listeners: int) -> None:
        self._subscribe = subscribe
        self._stopping = stopping
        self._keep_alive_s = keep_alive_s
        self._max_listeners = max_listeners
        self.listeners = 0

    def listen(self) -> AsyncIterator[bytes]:
        """A new stream. Raises Overloaded, before anything is sent, when there are too many."""
        if self.listeners >= self._max_listeners:
            raise Overloaded(f"all {self.listeners} places for listeners to events are taken: close one first", retry_after_s=5)
        return self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        self.listeners += 1
        stopping = asyncio.ensure_future(self._stopping.wait())
        waiting: asyncio.Task[SlotEvent | None] | None = None
        try:
            async with self._subscribe() as events:
                yield OPENED
                while True:
                    waiting = asyncio.ensure_future(_next(events))
                    while not await _first_of(waiting, stopping, self._keep_alive_s):
                        yield KEEP_ALIVE
                    event = waiting.result() if waiting.done() else None
                    if event is None:
                        return
                    yield encode(msgspec.json.encode(event), event=event.kind)
        finally:
            stopping.cancel()
            if waiting is not None:
                waiting.cancel()
            self.listeners -= 1


async def _first_of(waiting: asyncio.Task[SlotEvent | None], stopping: asyncio.Task[Any], within_s: float) -> bool:
    """Has one of them come to its end within so many seconds?"""
    done, _ = await asyncio.wait({waiting, stopping}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _next(events: AsyncIterator[SlotEvent]) -> SlotEvent | None:
    return await anext(events, None)
