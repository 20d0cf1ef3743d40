"""A line in which keys take turns, for places that several gauges must grant at once.

Pure: knows keys, gauges and who came first; no clock, no tasks. A key's requests for one thing stand in one lane, first come,
first served. Whoever is in front and does not fit keeps the gauges that it lacks from those behind, so that many small
requests never starve a large one. Bounded by whoever adds to it.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from jackfield.routing.gauges import Gauge

Lane = tuple[str, str]


class Waiter:
    """`lane`: provider and model. `gauges` must all grant a place; `own`, one of them, is its key's, if it has one."""

    __slots__ = ("gauges", "is_waiting", "key", "lane", "own", "tokens")

    def __init__(self, key: str, lane: Lane, tokens: int) -> None:
        self.key = key
        self.lane = lane
        self.tokens = tokens
        self.gauges: tuple[Gauge, ...] = ()
        self.own: Gauge | None = None
        self.is_waiting = False


WaiterT = TypeVar("WaiterT", bound=Waiter)
_Lanes = OrderedDict[Lane, deque[WaiterT]]


class FairQueue(Generic[WaiterT]):
    def __init__(self) -> None:
        self._keys: OrderedDict[str, _Lanes[WaiterT]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: str) -> bool:
        """Whether anything of `key` waits."""
        return key in self._keys

    def __iter__(self) -> Iterator[WaiterT]:
        for lanes in self._keys.values():
            for line in lanes.values():
                yield from line

    def count_of(self, key: str) -> int:
        return sum(map(len, self._keys.get(key, {}).values()))

    def heads(self) -> Iterator[WaiterT]:
        """The first of each lane."""
        return (line[0] for lanes in self._keys.values() for line in lanes.values())

    def add(self, waiter: WaiterT) -> None:
        self._keys.setdefault(waiter.key, OrderedDict()).setdefault(waiter.lane, deque()).append(waiter)
        waiter.is_waiting = True
        self._size += 1

    def remove(self, waiter: WaiterT) -> None:
        """Nothing happens if it does not wait."""
        if not waiter.is_waiting:
            return
        waiter.is_waiting = False
        self._size -= 1
        lanes = self._keys[waiter.key]
        line = lanes[waiter.lane]
        line.remove(waiter)
        if not line:
            del lanes[waiter.lane]
        if not lanes:
            del self._keys[waiter.key]

    def last_of_longest(self) -> WaiterT | None:
        """Who came last of the key that has most waiting."""
        if not self._size:
            return None
        lanes = self._keys[max(self._keys, key=self.count_of)]
        return next(reversed(lanes.values()))[-1]

    def let_in(self, now: float, admit: Callable[[WaiterT], None]) -> None:
        """Calls `admit`, which must take the place, for each who fits now, in turn, already removed from the line."""
        while self._one_round(now, admit):
            pass

    def _one_round(self, now: float, admit: Callable[[WaiterT], None]) -> bool:
        """Each key gets one place at most, and then goes to the end."""
        spoken_for: set[Gauge] = set()
        someone_went = False
        for key in list(self._keys):
            waiter = self._next_of(self._keys[key], now, spoken_for)
            if waiter is None:
                continue
            self.remove(waiter)
            if key in self._keys:
                self._keys.move_to_end(key)
            admit(waiter)
            someone_went = True
        return someone_went

    def _next_of(self, lanes: _Lanes[WaiterT], now: float, spoken_for: set[Gauge]) -> WaiterT | None:
        for lane, line in lanes.items():
            waiter = line[0]
            missing = [gauge for gauge in waiter.gauges if gauge in spoken_for or not gauge.fits(now, waiter.tokens)]
            if not missing:
                lanes.move_to_end(lane)
                return waiter
            # Who is held up by its own key's limit keeps nobody else from what all share.
            spoken_for.update([waiter.own] if waiter.own in missing and waiter.own is not None else missing)
        return None
