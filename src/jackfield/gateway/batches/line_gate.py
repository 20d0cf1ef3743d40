"""How many lines of batches are asked at once: so many while nobody else waits for answers, one while somebody does.

Lines take turns in the order in which they came, whichever batch they are of. Knows counts only.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class LineGate:
    """`under_way` counts all requests that are being answered now, lines of batches among them.

    `running` lines have a place; `begun` of them have also been woken, and are so in that count.
    """

    def __init__(self, most: int, under_way: Callable[[], int]) -> None:
        self.most = most
        self.running = self.begun = 0
        self._under_way = under_way
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One line's turn, for as long as the block lasts."""
        await self._enter()
        self.begun += 1
        try:
            yield
        finally:
            self.begun -= 1
            self._leave()

    async def _enter(self) -> None:
        if not self._waiting and self._has_room():
            self.running += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # the turn came at the same moment
                self._leave()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _leave(self) -> None:
        self.running -= 1
        while self._waiting and self._has_room():
            waiter = self._waiting.popleft()
            if not waiter.done():
                self.running += 1
                waiter.set_result(None)

    def _has_room(self) -> bool:
        # There is always one under way where some wait, and its end is when all this is looked at anew: nothing need poll.
        are_others_there = self._under_way() > self.begun
        return self.running < (1 if are_others_there else self.most)
