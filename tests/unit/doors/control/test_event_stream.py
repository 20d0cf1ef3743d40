"""The event stream: events in order, comments in silence, an end, and a limit on listeners."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from jackfield.core.errors import Overloaded
from jackfield.doors.control.event_stream import KEEP_ALIVE, OPENED, EventStreams
from jackfield.slots.feed import EventFeed, SlotEvent


def event(seq: int) -> SlotEvent:
    return SlotEvent(seq, "plugged", (1,), 10.0, {"provider": "scripted"}, "test")


async def chunk(stream: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(stream), 5)


def streams(
    feed: EventFeed, *, stopping: asyncio.Event | None = None, keep_alive_s: float = 30.0, max_listeners: int = 4
) -> EventStreams:
    return EventStreams(feed.subscribe, stopping or asyncio.Event(), keep_alive_s=keep_alive_s, max_listeners=max_listeners)


async def test_tells_every_event_in_order_and_ends_with_the_feed() -> None:
    feed = EventFeed()
    stream = streams(feed).listen()
    assert await chunk(stream) == OPENED
    feed.publish(event(1))
    feed.publish(event(2))
    first, second = await chunk(stream), await chunk(stream)
    assert first.startswith(b"event: plugged\n")
    told = [msgspec.json.decode(each.split(b"data: ")[1]) for each in (first, second)]
    assert [each["seq"] for each in told] == [1, 2]
    feed.close()
    with pytest.raises(StopAsyncIteration):
        await chunk(stream)


async def test_is_never_silent_for_long_and_loses_nothing_by_it() -> None:
    feed = EventFeed()
    stream = streams(feed, keep_alive_s=0.01).listen()
    assert [await chunk(stream) for _ in range(3)] == [OPENED, KEEP_ALIVE, KEEP_ALIVE]
    feed.publish(event(9))
    heard = b""
    while b'"seq":9' not in heard:
        heard = await chunk(stream)


async def test_ends_when_the_gateway_stops() -> None:
    stopping = asyncio.Event()
    door = streams(EventFeed(), stopping=stopping)
    stream = door.listen()
    assert await chunk(stream) == OPENED
    stopping.set()
    with pytest.raises(StopAsyncIteration):
        await chunk(stream)
    assert door.listeners == 0


async def test_frees_its_place_when_the_listener_is_cancelled() -> None:
    feed = EventFeed()
    door = streams(feed, max_listeners=1)

    async def listen() -> None:
        async for _ in door.listen():
            pass

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.01)
    assert door.listeners == 1
    with pytest.raises(Overloaded, match="all 1 places"):
        door.listen()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert door.listeners == 0
    stream = door.listen()
    assert await chunk(stream) == OPENED
