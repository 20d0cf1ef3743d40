"""Discovery is remembered, shared and renewed on demand."""

import asyncio
from typing import Any

from jackfield.doors.control.discovered import Discovered


class Looking:
    def __init__(self) -> None:
        self.looks = 0
        self.go = asyncio.Event()

    async def __call__(self) -> Any:
        self.looks += 1
        await asyncio.wait_for(self.go.wait(), 5)
        return self.looks


async def test_looks_once_until_asked_again() -> None:
    looking = Looking()
    looking.go.set()
    discovered = Discovered(looking, lambda: 50.0)
    assert discovered.at == 0
    looks: list[Any] = [await discovered.look(refresh=False), await discovered.look(refresh=False)]
    assert looks == [1, 1]
    assert discovered.at == 50.0
    again: Any = await discovered.look(refresh=True)
    assert again == 2


async def test_callers_at_the_same_time_share_one_look() -> None:
    looking = Looking()
    discovered = Discovered(looking, lambda: 0.0)
    waiting = [asyncio.create_task(discovered.look(refresh=True)) for _ in range(5)]
    await asyncio.sleep(0)
    looking.go.set()
    found: list[Any] = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert found == [1] * 5


async def test_a_caller_who_leaves_does_not_spoil_it_for_the_next() -> None:
    looking = Looking()
    discovered = Discovered(looking, lambda: 0.0)
    leaving, staying = (asyncio.create_task(discovered.look(refresh=False)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    looking.go.set()
    found: Any = await asyncio.wait_for(staying, 5)
    assert found == 2
