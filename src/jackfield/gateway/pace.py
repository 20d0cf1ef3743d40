"""Whether a stream keeps pace: only content counts, so heartbeats are silence, and a trickle is given up too.

One slow beat for all streams of a gateway looks at how many pieces of content each has given since the last one: a chunk costs
nothing here, and no clock is read. Time in which the client reads slower than the source writes is nobody's fault.
"""

import asyncio
import math
from types import TracebackType
from typing import Protocol, Self

import msgspec

from jackfield.core.errors import TimedOut

BEATS_A_LIMIT = 8
BEAT_MAX_S = 1.0


class PaceSettings(msgspec.Struct, frozen=True):
    """`idle_s` without content, or less than `min_tokens_per_s` over `window_s`, ends a stream; 0 sets no such limit.

    A token is an event with content: a source that sends several tokens in one event is counted lower than it is.
    """

    idle_s: float = 120.0
    min_tokens_per_s: float = 0.1
    window_s: float = 60.0


class Gives(Protocol):
    """What is watched. `pieces` counts the events with content; while `can_be_late` is false silence is not its fault."""

    @property
    def pieces(self) -> int: ...
    @property
    def can_be_late(self) -> bool: ...


class Pacer:
    """One for all streams of an event loop; beats only while there are any."""

    def __init__(self, settings: PaceSettings | None = None) -> None:
        self.settings = settings = settings or PaceSettings()
        self._measures = settings.min_tokens_per_s > 0 and settings.window_s > 0
        limits = [limit for limit in (settings.idle_s, settings.window_s if self._measures else 0) if limit > 0]
        self._beat_s = min([BEAT_MAX_S, *(limit / BEATS_A_LIMIT for limit in limits)]) if limits else 0.0
        self.idle_beats = math.ceil(settings.idle_s / self._beat_s) if settings.idle_s > 0 else 0
        self.window_beats = math.ceil(settings.window_s / self._beat_s) if self._measures else 0
        self.min_pieces = settings.min_tokens_per_s * settings.window_s
        self._watched: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_beating(self) -> bool:
        return self._timer is not None

    def watch(self, source: Gives) -> "Watch":
        """A block that raises TimedOut once `source` has fallen behind while the block waited for it."""
        return Watch(self, source)

    def add(self, watch: "Watch") -> None:
        if not self._beat_s:
            return
        self._watched.add(watch)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)

    def discard(self, watch: "Watch") -> None:
        self._watched.discard(watch)

    def _beat(self) -> None:
        self._timer = None
        for watch in self._watched:
            watch.beat()
        if self._watched:
            self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)


class Watch:
    """`waits` is set by whoever holds the block: true while it waits for the source, false while for the client."""

    __slots__ = ("_beats", "_cancelling", "_error", "_idle", "_pacer", "_seen", "_source", "_task", "_window_from", "waits")

    def __init__(self, pacer: Pacer, source: Gives) -> None:
        self.waits = True
        self._pacer = pacer
        self._source = source
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._seen = self._window_from = source.pieces
        self._idle = self._beats = 0
        self._error: TimedOut | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._pacer.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pacer.discard(self)
        if self._error is not None:
            assert self._task is not None
            if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise self._error from None

    def beat(self) -> None:
        """A beat has passed. Breaks the wait by cancelling it; `__exit__` tells that from a cancellation by others."""
        if not self.waits or self._error is not None or not self._source.can_be_late:
            return
        pieces = self._source.pieces
        self._idle = self._idle + 1 if pieces == self._seen else 0
        self._seen = pieces
        if 0 < self._pacer.idle_beats < self._idle:
            self._give_up(self._stalled())
        elif pieces and self._pacer.window_beats:
            self._measure(pieces)

    def _measure(self, pieces: int) -> None:
        self._beats += 1
        if self._beats < self._pacer.window_beats:
            return
        came = pieces - self._window_from
        self._beats, self._window_from = 0, pieces
        if came < self._pacer.min_pieces:
            self._give_up(self._too_slow(came))

    def _give_up(self, error: TimedOut) -> None:
        self._error = error
        assert self._task is not None
        self._task.cancel()

    def _stalled(self) -> TimedOut:
        idle_s = self._pacer.settings.idle_s
        return TimedOut(
            f"the stream gave no content for {idle_s:g} s (routing.idle_s); ask again, or another slot", code="stream_stalled"
        )

    def _too_slow(self, came: int) -> TimedOut:
        settings = self._pacer.settings
        return TimedOut(
            f"the stream gave {came} tokens in {settings.window_s:g} s, fewer than {settings.min_tokens_per_s:g} a second "
            "(routing.min_tokens_per_s); ask again, or another slot",
            code="too_slow",
        )
