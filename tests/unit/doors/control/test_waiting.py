"""Work runs only while somebody waits for it."""

import asyncio
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.doors.control.waiting import while_client_stays


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def test_gives_the_result() -> None:
    async def work() -> int:
        return 7

    assert await while_client_stays(never, work()) == 7


async def test_gives_the_error() -> None:
    async def work() -> int:
        raise BadRequest("no")

    with pytest.raises(BadRequest):
        await while_client_stays(never, work())


async def test_stops_the_work_when_the_client_leaves() -> None:
    stopped = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return 0

    with pytest.raises(JackfieldError) as caught:
        await while_client_stays(gone, work())
    assert caught.value.status == 499
    assert stopped.is_set()


async def test_stops_the_work_when_it_is_cancelled_itself() -> None:
    stopped, started = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return 0

    waiting = asyncio.create_task(while_client_stays(never, work()))
    await asyncio.wait_for(started.wait(), 5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stopped.is_set()
