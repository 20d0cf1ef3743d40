"""One client's requests: an id is free again however its request ended."""

import asyncio
from typing import Any, cast

import msgspec

from jackfield.core.errors import Unavailable
from jackfield.doors.websocket.outbox import Outbox, OutboxLimits
from jackfield.doors.websocket.session import Services, Session, Who

ASK = b'{"type":"inference","request_id":"one","model":"slot-0","inputs":"ping"}'
CANCEL = b'{"type":"cancel","request_id":"one"}'


class Refusing:
    """Stands for inferences: none of them can be made."""

    async def run(self, asked: Any, answer: Any) -> None:
        raise Unavailable("nobody is there")


async def test_a_request_that_is_cancelled_while_its_error_waits_to_be_told_has_ended() -> None:
    sent: list[dict[str, Any]] = []

    async def transmit(message: bytes) -> None:
        sent.append(msgspec.json.decode(message))

    outbox = Outbox(transmit, OutboxLimits(room_bytes=10, max_bytes=10_000, patience_s=30))
    services = Services(cast("Any", Refusing()), cast("Any", None), dict, lambda: 0.0)
    session = Session(Who("me", "connection-1", {}, ""), services, outbox, running_max=1, limits={})
    session.take(ASK)  # the answer that it was begun leaves no room for more
    await asyncio.sleep(0)
    session.take(CANCEL)
    await asyncio.sleep(0)
    sending = asyncio.create_task(outbox.run())
    async with asyncio.timeout(5):
        while len(sent) < 2:
            await asyncio.sleep(0)
        session.take(ASK)
        while len(sent) < 4:
            await asyncio.sleep(0)
    outbox.close()
    await sending
    told = [each["type"] for each in sent]
    assert told == ["inference_started", "inference_cancelled", "inference_started", "inference_error"]
