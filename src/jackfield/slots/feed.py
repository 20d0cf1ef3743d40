"""What happened on the panel, and how it is told to whoever listens, without ever waiting for a slow listener."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import msgspec

MISSED = "missed"
QUEUE_MAX = 256


class SlotEvent(msgspec.Struct, frozen=True):
    """One operation on the panel. `at` is Unix seconds; `detail` is plain JSON without secrets; `actor` is who asked.

    Kind "missed" (seq 0) stands in a subscriber's stream where it was too slow; its detail counts the lost events.
    """

    seq: int
    kind: str
    slots: tuple[int, ...]
    at: float
    detail: dict[str, Any]
    actor: str


class Subscription:
    """An async iterator of events, to be used as an async context manager. Slow readers lose the oldest, marked as missed."""

    def __init__(self, feed: "EventFeed", queue_max: int) -> None:
        self._feed = feed
        self._queue: deque[SlotEvent] = deque()
        self._queue_max = queue_max
        self._missed = 0
        self._arrived = asyncio.Event()
        self._is_closed = False

    def put(self, event: SlotEvent) -> None:
        if len(self._queue) >= self._queue_max:
            self._queue.popleft()
            self._missed += 1
        self._queue.append(event)
        self._arrived.set()

    def close(self) -> None:
        self._is_closed = True
        self._arrived.set()

    async def __aenter__(self) -> Self:
        self._feed.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.remove(self)

    def __aiter__(self) -> AsyncIterator[SlotEvent]:
        return self

    async def __anext__(self) -> SlotEvent:
        while not self._queue:
            if self._is_closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return SlotEvent(0, MISSED, (), self._queue[0].at, {"count": missed}, "panel")
        return self._queue.popleft()


class EventFeed:
    """Hands each event to every subscription. Never blocks."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def subscribe(self, queue_max: int = QUEUE_MAX) -> Subscription:
        """Events from entering the returned context manager on; none of the time before."""
        return Subscription(self, queue_max)

    def add(self, subscription: Subscription) -> None:
        self._subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        subscription.close()

    def publish(self, event: SlotEvent) -> None:
        for subscription in self._subscriptions:
            subscription.put(event)

    def close(self) -> None:
        """Ends every subscription after what it still holds."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
