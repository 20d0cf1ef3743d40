"""Looks at sources again and again: each once a minute or so, those that are down sooner, never many at a time.

Knows when to look and how to ask; what a look means is health.py's. A look spends no money and ends by its deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence

import msgspec

from jackfield.core.contracts import ProbeResult, Probes
from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.redaction import redact
from jackfield.routing.attempts import Clock, Random
from jackfield.routing.backends import Backend
from jackfield.routing.health import Look
from jackfield.slots.live import LiveProvider
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import Endpoint
from jackfield.transport.reach import is_listening

REACH_WITHIN_S = 1.0
JITTER = 0.2
_log = logging.getLogger("jackfield.routing")


class LookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every `interval_s` at most; `recheck_s`, then twice that and so on, after a look that found it down.

    A look ends after `deadline_s`; `at_once` looks run at the same time.
    """

    interval_s: float = 60.0
    recheck_s: float = 5.0
    deadline_s: float = 5.0
    at_once: int = 8


class Prober:
    """Asks a source how it is. `gate` None: nothing can be told of a source that cannot be asked itself.

    `wall` gives Unix seconds, for the standing that a slot's handle shows.
    """

    def __init__(self, gate: EgressGate | None, wall: Clock, deadline_s: float) -> None:
        self._gate = gate
        self._wall = wall
        self._deadline_s = deadline_s

    def can_look(self, backend: Backend) -> bool:
        return _asked(backend) is not None or (self._gate is not None and bool(_addresses(backend)))

    async def look(self, backend: Backend) -> Look:
        """What it says of itself; where it says nothing good, whether anything listens there at all."""
        asked = _asked(backend)
        if asked is None:
            reachable = await self._reach(backend)
            return Look(reachable=reachable, detail="" if reachable else f"nothing listens at {backend.endpoint}")
        found = await self._ask(asked, backend.live)
        if found.is_ready or found.latency_s is not None or found.authorized is False:
            return msgspec.structs.replace(found, reachable=True)
        return msgspec.structs.replace(found, reachable=await self._reach(backend))

    async def _ask(self, asked: Probes, live: LiveProvider | None) -> Look:
        try:
            async with asyncio.timeout(self._deadline_s):
                told = await asked.probe()
        except TimeoutError:
            return Look(False, detail=f"did not say within {self._deadline_s:g} s how it is", is_late=True)
        except JackfieldError as error:
            told = ProbeResult(False, None, redact(error.message))
        except Exception as error:  # noqa: BLE001 - a probe may be somebody else's code: the others must be looked at
            told = ProbeResult(False, None, redact(f"its probe failed: {type(error).__name__}: {error}"))
        if live is not None:
            live.standing.note_probe(told, self._wall())
        models = told.models if told.is_ready else None
        return Look(told.is_ready, None, told.authorized, told.latency_s, models, told.detail)

    async def _reach(self, backend: Backend) -> bool | None:
        """None where there is no address to try, or none that may be tried."""
        addresses = _addresses(backend)
        if self._gate is None or not addresses:
            return None
        found = [await is_listening(self._gate, host, port, REACH_WITHIN_S) for host, port in addresses]
        if True in found:
            return True
        return None if None in found else False


def _asked(backend: Backend) -> Probes | None:
    if backend.live is not None:
        return backend.live.probes
    return backend.instance if isinstance(backend.instance, Probes) else None


def _addresses(backend: Backend) -> list[tuple[str, int]]:
    urls = [f"http://{host}" for host in backend.live.info.hosts] if backend.live is not None else []
    if not urls and backend.endpoint is not None:
        urls = [backend.endpoint]
    found = []
    for url in urls:
        try:
            endpoint = Endpoint.parse(url)
        except BadRequest:
            continue
        if endpoint.unix_path is None:
            found.append((endpoint.host, endpoint.port))
    return found


Targets = Callable[[], Mapping[Hashable, Sequence[Backend]]]
Noted = Callable[[Sequence[Backend], Look], Awaitable[None]]


class Watch:
    """Backends of one source are looked at together. `noted` is told each look after the backends were."""

    def __init__(
        self, targets: Targets, prober: Prober, settings: LookSettings, *, clock: Clock, random: Random, noted: Noted
    ) -> None:
        self._targets = targets
        self._prober = prober
        self._settings = settings
        self._clock = clock
        self._random = random
        self._noted = noted
        self._due: dict[Hashable, float] = {}
        self._looked: dict[Hashable, float] = {}
        self._misses: dict[Hashable, int] = {}
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(settings.at_once)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something new to look at."""
        self._woken.set()

    def put_off(self, key: Hashable) -> None:
        """It was just looked at elsewhere."""
        self._looked[key] = self._clock()
        self._due[key] = self._clock() + self._spread(self._settings.interval_s)

    def hasten(self, key: Hashable) -> None:
        """Something failed there: looks now, unless that was done a moment ago."""
        soonest = self._looked.get(key, float("-inf")) + self._settings.recheck_s
        if soonest < self._due.get(key, float("inf")):
            self._due[key] = soonest
            self._woken.set()

    async def check(self) -> None:
        """Looks at everything now, and waits for the answers."""
        targets = self._targets()
        tasks = [self._start(key, backends) for key, backends in targets.items()]
        if tasks:
            await asyncio.wait(tasks)

    async def run(self, each_round: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled. `each_round` is awaited before each round, at least once an interval."""
        try:
            while True:
                self._woken.clear()
                await each_round()
                wait_s = self._start_due()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stops looking. Idempotent."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self) -> float:
        """Starts what is due; seconds until something else will be."""
        targets = self._targets()
        for key in [key for key in self._due if key not in targets]:
            self._forget(key)
        now = self._clock()
        for key, backends in targets.items():
            if self._due.setdefault(key, now) <= now and key not in self._running:
                self._start(key, backends)
        waiting = [due for key, due in self._due.items() if key not in self._running]
        return max(0.0, min([self._settings.interval_s, *(due - now for due in waiting)]))

    def _start(self, key: Hashable, backends: Sequence[Backend]) -> asyncio.Task[None]:
        running = self._running.get(key)
        if running is not None:
            return running
        task = asyncio.get_running_loop().create_task(self._look(key, backends), name=f"look at {backends[0].id}")
        self._running[key] = task
        task.add_done_callback(lambda _: self._finished(key))
        return task

    def _finished(self, key: Hashable) -> None:
        self._running.pop(key, None)
        self._woken.set()

    async def _look(self, key: Hashable, backends: Sequence[Backend]) -> None:
        try:
            async with self._places:
                for backend in backends:
                    backend.note_looking()
                look = await self._prober.look(backends[0])
            for backend in backends:
                backend.note_look(look)
            await self._noted(backends, look)
        except Exception as error:  # noqa: BLE001 - the outermost handler of a background task: the next look is due anyway
            _log.error("looking at %s failed: %s", backends[0].id, redact(repr(error)))
            look = Look()
        finally:
            for backend in backends:
                backend.seen.is_looking = False
        self._plan(key, look)

    def _plan(self, key: Hashable, look: Look) -> None:
        settings = self._settings
        is_down = look.is_ready is False or look.reachable is False
        misses = self._misses[key] = self._misses.get(key, 0) + 1 if is_down else 0
        delay_s = min(settings.interval_s, settings.recheck_s * 2.0 ** min(misses - 1, 16)) if is_down else settings.interval_s
        self._looked[key] = self._clock()
        self._due[key] = self._clock() + self._spread(delay_s)

    def _spread(self, delay_s: float) -> float:
        """Never longer, so that a change shows within the interval."""
        return delay_s * (1.0 - JITTER * self._random())

    def _forget(self, key: Hashable) -> None:
        for kept in (self._due, self._looked, self._misses):
            kept.pop(key, None)
