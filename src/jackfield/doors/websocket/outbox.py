"""What waits to be sent to one client, bounded: a client that reads too slowly is let go, with a reason.

Answers wait for room, so that a slow reader slows its source down; news and replies do not wait and count against the bound.
Knows messages as bytes and one `send`, not what they say.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

SLOW_READER = 1008
"""The close code: the client broke the rule that what it asks for must be read."""


class OutboxLimits(msgspec.Struct, frozen=True):
    """Answers wait while `room_bytes` are unsent, for `patience_s` at most; more than `max_bytes` in all end the connection."""

    room_bytes: int = 256 * 1024
    max_bytes: int = 4 * 1024 * 1024
    patience_s: float = 30.0


class Outbox:
    """`transmit` sends one message; it may wait as long as the client does not read. `verdict` is set by `let_go`."""

    def __init__(self, transmit: Callable[[bytes], Awaitable[None]], limits: OutboxLimits) -> None:
        self._transmit = transmit
        self._limits = limits
        self._queue: deque[bytes] = deque()
        self._has_some = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.unsent_bytes = 0
        self.closed = asyncio.Event()
        self.verdict: tuple[int, str] | None = None

    @property
    def is_closed(self) -> bool:
        return self.closed.is_set()

    def put(self, message: bytes, *, first: bool = False) -> None:
        """Sends when it can; `first` before what waits. Too much that is not read lets the client go."""
        if self.is_closed:
            return
        if first:
            self._queue.appendleft(message)
        else:
            self._queue.append(message)
        self.unsent_bytes += len(message)
        self._has_some.set()
        if self.unsent_bytes > self._limits.max_bytes:
            self.let_go(f"{self._limits.max_bytes} bytes wait and are not read: read faster, or ask for less at once")
        elif self.unsent_bytes > self._limits.room_bytes:
            self._has_room.clear()

    async def put_when_read(self, message: bytes) -> None:
        """As `put`, once there is room. Raises CancelledError when the connection has ended: nobody wants the answer."""
        if not self._has_room.is_set():
            await self._wait_for_room()
        if self.is_closed:
            raise asyncio.CancelledError
        self.put(message)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._limits.patience_s):
                await self._has_room.wait()
        except TimeoutError:
            self.let_go(f"an answer waited {self._limits.patience_s:g} s for earlier messages to be read")

    def let_go(self, reason: str, code: int = SLOW_READER) -> None:
        """Ends the connection; what waits is dropped."""
        if self.verdict is None:
            self.verdict = (code, reason)
        self.close()

    def close(self) -> None:
        """Nothing more is taken; whoever waits goes on."""
        self.closed.set()
        self._queue.clear()
        self.unsent_bytes = 0
        self._has_some.set()
        self._has_room.set()

    async def run(self) -> None:
        """Sends until closed. Raises what `transmit` raises."""
        while not self.is_closed:
            if not self._queue:
                self._has_some.clear()
                await self._has_some.wait()
                continue
            message = self._queue.popleft()
            await self._transmit(message)
            self.unsent_bytes = max(0, self.unsent_bytes - len(message))
            if self.unsent_bytes <= self._limits.room_bytes:
                self._has_room.set()
