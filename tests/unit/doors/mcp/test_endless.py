"""A stream that never ends by itself: ends when its client leaves, and in order when the gateway stops."""

import asyncio
from typing import Any

from jackfield.doors.mcp.endless import Endless

START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"x", "more_body": True}
END = {"type": "http.response.body", "body": b"", "more_body": False}


async def listens(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(PIECE)
    assert (await receive())["type"] == "http.disconnect"


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({**PIECE, "more_body": False})


async def served(app: Any, *, stops: bool = False, leaves: bool = False) -> list[Any]:
    sent: list[Any] = []
    stopping = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    if stops:
        stopping.set()
    async with asyncio.timeout(5):
        await Endless(receive, send, stopping).serve(app, {})
    return sent


async def test_it_has_a_proper_end_when_the_gateway_stops() -> None:
    assert await served(listens, stops=True) == [START, PIECE, END]


async def test_a_client_that_left_is_sent_nothing_more() -> None:
    assert await served(listens, leaves=True) == [START, PIECE]


async def test_an_answer_that_was_whole_stays_so() -> None:
    assert await served(answers, stops=True) == [START, {**PIECE, "more_body": False}]
