"""How many lines of batches are asked at once: so many while nobody else waits for answers, one while somebody does.

Lines take turns in the order in which they came, whichever batch they are of. Knows counts only.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class LineGate:
    """`in_flight` counts all requests that are with a source now, those of batches among them."""

    def __init__(self, most: int, in_flight: Callable[[], int]) -> None:
        self.most = most
        self.running = 0
        self._in_flight = in_flight
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One line's turn, for as long as the block lasts."""
        await self._enter()
        try:
            yield
        finally:
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
        are_others_there = self._in_flight() > self.running
        return self.running < (1 if are_others_there else self.most)
