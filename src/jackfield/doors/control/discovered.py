"""The last discovery, remembered: looking around takes a moment and knocks on doors, so it is done when asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jackfield.slots.discovery import Discovery


class Discovered:
    """`at` is Unix seconds of the last look, 0 before the first."""

    def __init__(self, discover: "Callable[[], Awaitable[Discovery]]", clock: Callable[[], float]) -> None:
        self._discover = discover
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: Discovery | None = None
        self._looks = 0
        self.at = 0.0

    async def look(self, *, refresh: bool) -> "Discovery":
        """What was found; looked for anew where nobody has looked yet or `refresh` says so.

        Callers that ask while somebody looks share what that look finds.
        """
        looks = self._looks
        async with self._lock:
            if self._found is None or (refresh and self._looks == looks):
                self._found = await self._discover()
                self._looks += 1
                self.at = self._clock()
            return self._found
