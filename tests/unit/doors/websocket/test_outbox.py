"""What waits for a client: in order, bounded, and a client that does not read is let go."""

import asyncio

import pytest

from jackfield.doors.websocket.outbox import SLOW_READER, Outbox, OutboxLimits

SMALL = OutboxLimits(room_bytes=10, max_bytes=100, patience_s=0.05)


class Reader:
    """Takes messages while its gate is open."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.gate = asyncio.Event()

    async def transmit(self, message: bytes) -> None:
        await self.gate.wait()
        self.got.append(message)


async def test_messages_go_out_in_order_and_some_before_others() -> None:
    reader = Reader()
    outbox = Outbox(reader.transmit, SMALL)
    for message in (b"1", b"2"):
        outbox.put(message)
    outbox.put(b"0", first=True)
    reader.gate.set()
    running = asyncio.create_task(outbox.run())
    await outbox.put_when_read(b"3")
    async with asyncio.timeout(5):
        while len(reader.got) < 4:
            await asyncio.sleep(0)
    outbox.close()
    await running
    assert reader.got == [b"0", b"1", b"2", b"3"]
    assert outbox.unsent_bytes == 0
    assert outbox.verdict is None


async def test_an_answer_waits_until_there_is_room() -> None:
    reader = Reader()
    outbox = Outbox(reader.transmit, OutboxLimits(room_bytes=10, max_bytes=100, patience_s=30))
    outbox.put(b"x" * 11)
    running = asyncio.create_task(outbox.run())
    waiting = asyncio.create_task(outbox.put_when_read(b"y"))
    await asyncio.sleep(0)
    assert not waiting.done()
    reader.gate.set()
    async with asyncio.timeout(5):
        await waiting
    outbox.close()
    await running


async def test_who_reads_nothing_while_an_answer_waits_is_let_go() -> None:
    outbox = Outbox(Reader().transmit, SMALL)
    outbox.put(b"x" * 11)
    with pytest.raises(asyncio.CancelledError):
        await outbox.put_when_read(b"y")
    assert outbox.is_closed
    assert outbox.verdict is not None
    assert outbox.verdict[0] == SLOW_READER


async def test_news_that_nobody_reads_is_bounded() -> None:
    outbox = Outbox(Reader().transmit, SMALL)
    for _ in range(50):
        outbox.put(b"x" * 9)
        assert outbox.unsent_bytes <= SMALL.max_bytes + 9
    assert outbox.verdict is not None
    assert outbox.verdict[1].startswith("100 bytes wait")
    assert outbox.unsent_bytes == 0
