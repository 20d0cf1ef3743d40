"""One service in several regions, asked in turn: when one is busy, limited or away, the next gets the same request.

Knows the order and how long a region that failed is passed over. How a region lets us in is told by its `sign`; nothing here is
of one vendor. Only a request that was not answered goes on: once an answer has begun it stays where it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

import msgspec

from jackfield.core.contracts import RawReply
from jackfield.core.errors import JackfieldError, ModelNotFound, Overloaded, RateLimited, TimedOut, Unavailable
from jackfield.providers.http_source import HttpSource

COOL_S = 30.0
"""How long a region that failed is asked last."""

Sign = Callable[[str, str, bytes], Awaitable[Mapping[str, str]]]
"""From method, path below the region's root and body to the headers that let us in, this once."""

_ELSEWHERE = (RateLimited, Overloaded, Unavailable, TimedOut, ModelNotFound)


class Region(msgspec.Struct, frozen=True):
    name: str
    source: HttpSource
    sign: Sign


class Regions:
    """Posts and looks like one HttpSource. Raises the last region's error when all have failed."""

    def __init__(self, regions: Sequence[Region], clock: Callable[[], float] = monotonic) -> None:
        self._regions = tuple(regions)
        self._clock = clock
        self._passed_over: dict[str, float] = {}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that a prompt may go to, each once."""
        return tuple(dict.fromkeys(host for region in self._regions for host in region.source.hosts))

    @property
    def first(self) -> Region:
        return self._regions[0]

    async def post(self, path: str, body: bytes, *, model: str | None, headers: Mapping[str, str] | None = None) -> RawReply:
        async def ask(region: Region) -> RawReply:
            signed = await self._signed(region, "POST", path, body, model)
            return await region.source.post(path, body, model=model, headers={**(headers or {}), **signed})

        return await self._in_turn(ask)

    async def get(self, path: str, *, operation: str | None = None) -> RawReply:
        async def ask(region: Region) -> RawReply:
            signed = await self._signed(region, "GET", path, b"", None)
            return await region.source.get(path, operation=operation, headers=signed)

        return await self._in_turn(ask)

    def failed(self, error: JackfieldError, operation: str, model: str | None) -> JackfieldError:
        """As HttpSource's."""
        return self.first.source.failed(error, operation, model)

    async def aclose(self) -> None:
        for region in self._regions:
            await region.source.aclose()

    async def _signed(self, region: Region, method: str, path: str, body: bytes, model: str | None) -> Mapping[str, str]:
        try:
            return await region.sign(method, path, body)
        except JackfieldError as error:
            raise region.source.failed(error, "authorise", model) from error.__cause__

    async def _in_turn(self, ask: Callable[[Region], Awaitable[RawReply]]) -> RawReply:
        *early, last = self._order()
        for region in early:
            try:
                return await ask(region)
            except _ELSEWHERE as error:
                self._note(region, error)
        try:
            return await ask(last)
        except _ELSEWHERE as error:
            self._note(last, error)
            raise

    def _order(self) -> list[Region]:
        now = self._clock()
        return sorted(self._regions, key=lambda region: self._passed_over.get(region.name, 0.0) > now)

    def _note(self, region: Region, error: JackfieldError) -> None:
        if not isinstance(error, ModelNotFound):
            self._passed_over[region.name] = self._clock() + COOL_S
