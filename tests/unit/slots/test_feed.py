"""Events reach every listener; a slow one loses the oldest and is told so."""

import asyncio

from jackfield.slots.feed import EventFeed, SlotEvent


def event(seq: int) -> SlotEvent:
    return SlotEvent(seq, "plug", (0,), float(seq), {}, "test")


async def test_a_slow_listener_loses_the_oldest_with_a_mark() -> None:
    feed = EventFeed()
    async with feed.subscribe(queue_max=3) as slow, feed.subscribe() as quick:
        for seq in range(1, 8):
            feed.publish(event(seq))
        feed.close()
        heard = [(each.kind, each.seq, each.detail) async for each in slow]
        assert heard == [("missed", 0, {"count": 4}), ("plug", 5, {}), ("plug", 6, {}), ("plug", 7, {})]
        assert [each.seq async for each in quick] == list(range(1, 8))


async def test_a_listener_waits_for_what_comes_and_hears_nothing_from_before() -> None:
    feed = EventFeed()
    feed.publish(event(1))
    async with feed.subscribe() as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.publish(event(2))
        assert (await asyncio.wait_for(waiting, 1)).seq == 2


async def test_leaving_ends_the_iteration_for_who_still_waits() -> None:
    feed = EventFeed()
    subscription = feed.subscribe()
    async with subscription:
        waiting = asyncio.ensure_future(anext(subscription, None))
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting, 1) is None
    feed.publish(event(1))
    assert await anext(subscription, None) is None
