"""The panel itself: what stands where now, and how one change at a time is written to the store and then shown.

Readers see frozen tuples, replaced whole. Knows nothing of what operations mean: each brings its plan (registry.py).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import ServiceFailed
from jackfield.core.ids import SlotNumber
from jackfield.core.redaction import redact
from jackfield.slots import panel
from jackfield.slots.feed import EventFeed, SlotEvent
from jackfield.slots.live import LiveProvider
from jackfield.slots.memory import PanelStore
from jackfield.slots.panel import Changes, Place, Places
from jackfield.slots.plugging import Ready
from jackfield.slots.rows import stored, stored_all
from jackfield.slots.slot import Binding, Slot
from jackfield.store.slots import SlotEventRow

CLOSE_WITHIN_S = 10.0
"""How long a provider may take to close when all stops."""
_log = logging.getLogger("jackfield.slots")

Arrival = tuple[Binding | None, str | None]


class Change(msgspec.Struct, frozen=True):
    """What one operation does. `arrivals` are new bindings (or problems) by slot; `moves`: whose binding a slot takes over."""

    places: Changes
    arrivals: dict[int, Any] = msgspec.field(default_factory=dict)
    moves: dict[int, int] = msgspec.field(default_factory=dict)
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
    undoes: SlotEventRow | None = None


Plan = Callable[[Places], Change]


class Board:
    """`drain_s`: how long running requests of a provider that left may go on before it is closed under them."""

    def __init__(self, size: int, store: PanelStore, clock: Callable[[], float], drain_s: float) -> None:
        self.store = store
        self.feed = EventFeed()
        self.places: tuple[Place, ...] = ()
        self.slots: tuple[Slot, ...] = ()
        self.plugged: tuple[Slot, ...] = ()
        self.by_name: dict[str, Slot] = {}
        self.is_closed = False
        self._clock = clock
        self._drain_s = drain_s
        self._order = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving: dict[LiveProvider, asyncio.Task[None] | None] = {}
        self.show(tuple(panel.EMPTY for _ in range(size)), {}, {})

    async def commit(self, kind: str, plan: Plan, actor: str, ready: Sequence[Ready] = ()) -> SlotEvent:
        """Makes one change, whole: a caller that is cancelled meanwhile finds it either made or never begun."""
        task = asyncio.get_running_loop().create_task(self._commit_now(kind, plan, actor, ready))
        self._adopt(task)
        return await asyncio.shield(task)

    async def _commit_now(self, kind: str, plan: Plan, actor: str, ready: Sequence[Ready]) -> SlotEvent:
        try:
            async with self._order:
                self.check_open()
                change = plan(self.places)
                row = await asyncio.to_thread(self._write, kind, change)
                self.show(_with(self.places, change.places), change.arrivals, change.moves)
                for each in ready:
                    each.keep()
        finally:
            # What was kept has nothing left to take back.
            for each in ready:
                await each.discard()
        event = SlotEvent(row.id, kind, tuple(sorted(map(int, change.places))), row.at, change.detail, actor)
        self.feed.publish(event)
        _log.info("%s %s by %s", kind, ", ".join(f"slot-{number}" for number in event.slots), actor)
        return event

    def _write(self, kind: str, change: Change) -> SlotEventRow:
        row = SlotEventRow(
            at=self._clock(),
            kind=kind,
            before=tuple(stored(number, self.places[number]) for number in change.places),
            after=tuple(stored(number, place) for number, place in change.places.items()),
            undone=change.undoes is not None,
        )
        undone = [] if change.undoes is None else [change.undoes.id]
        return self.store.save_all(stored_all(_with(self.places, change.places)), [row], undone=undone)[0]

    def show(self, places: tuple[Place, ...], arrivals: Mapping[int, Arrival], moves: Mapping[int, int]) -> None:
        """The one place where what others see is replaced, at once; what nobody holds any more is retired."""
        before = self.slots
        slots = []
        for number, place in enumerate(places):
            binding: Binding | None = None
            problem: str | None = None
            if place.spec is not None:
                held = before[moves.get(number, number)] if before else None
                binding, problem = arrivals.get(number) or (held and (held.binding, held.problem)) or (None, None)
            name = panel.shown_name(places, number)
            shown = None if problem is None else redact(problem)
            slots.append(Slot(SlotNumber(number), name, place.spec, binding, shown))
        self.places = places
        self.slots = tuple(slots)
        self.plugged = tuple(slot for slot in slots if slot.binding is not None)
        self.by_name = {key: slot for slot in slots for key in (slot.name.casefold(), slot.name)}
        kept = {slot.binding.live for slot in self.plugged if slot.binding is not None}
        gone = {slot.binding.live for slot in before if slot.binding is not None} - kept
        self.retire(gone)

    async def settle(self, seen: Slot, arrival: Arrival, ready: Ready | None) -> None:
        """Shows what a look found, unless the slot changed meanwhile. Not an operation: nothing wanted has changed."""
        async with self._order:
            if self.slots[seen.number] is seen and not self.is_closed:
                if ready is not None:
                    ready.keep()
                self.show(self.places, {int(seen.number): arrival}, {})
                return
        if ready is not None:
            await ready.discard()

    def retire(self, lives: Iterable[LiveProvider]) -> None:
        """Takes providers out of service: no new request, running ones finish, then each is closed, in the background."""
        for live in lives:
            live.is_retired = True
            self._leaving[live] = None
            self._adopt(asyncio.get_running_loop().create_task(self._drain_and_close(live), name=f"drain {live.info.id}"))

    async def _drain_and_close(self, live: LiveProvider) -> None:
        try:
            if not await live.drain(self._drain_s):
                _log.warning("%s: %d requests did not finish in %g s and are cut", live.info.id, live.in_flight, self._drain_s)
        finally:
            await asyncio.shield(self._closing(live))

    def _closing(self, live: LiveProvider) -> asyncio.Task[None]:
        """Its closing, begun once: whoever cuts the draining short must not leave a program of its running."""
        closing = self._leaving.get(live)
        if closing is None:
            closing = asyncio.get_running_loop().create_task(close(live), name=f"close {live.info.id}")
            self._leaving[live] = closing
            closing.add_done_callback(lambda _: self._leaving.pop(live, None))
        return closing

    def _adopt(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> set[LiveProvider]:
        """No change from now on; background work ends. Gives the providers that are still plugged, to be closed."""
        self.is_closed = True
        self.feed.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        closings = [self._closing(live) for live in tuple(self._leaving)]
        if closings:
            _, late = await asyncio.wait(closings, timeout=CLOSE_WITHIN_S)
            for closing in late:
                closing.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        return {slot.binding.live for slot in self.plugged if slot.binding is not None}

    def check_open(self) -> None:
        """Raises ServiceFailed once closed."""
        if self.is_closed:
            raise ServiceFailed("the panel is closed: jackfield is stopping", code="not_ready")


async def close(live: LiveProvider) -> None:
    try:
        await live.aclose()
    except Exception as error:  # noqa: BLE001 - a provider that fails to close must not keep others open
        _log.warning("%s did not close cleanly: %s", live.info.id, redact(str(error)))


def arrival_of(ready: Ready) -> Arrival:
    return ready.binding, ready.problem


def _with(places: Places, changes: Changes) -> tuple[Place, ...]:
    return tuple(changes.get(number, place) for number, place in enumerate(places))
