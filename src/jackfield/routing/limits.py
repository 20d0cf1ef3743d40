"""Admission: requests and tokens a minute and requests at once, by gateway, key, provider and model; a bounded, fair queue.

Knows names and counts, no request and no provider. What does not fit waits in line, keys taking turns, or is turned away
with the time after which it makes sense to come back. Errors from here are ours: no breaker is to hear of them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from math import ceil, inf
from typing import Annotated

import msgspec
from msgspec import Meta

from jackfield.core.errors import JackfieldError, Overloaded, RateLimited
from jackfield.routing.fair_queue import FairQueue, Waiter
from jackfield.routing.gauges import Bucket, Gauge, Limit

QUEUE_FULL = "queue_full"
QUEUE_TIMEOUT = "queue_timeout"
_KEYS_MAX = 10_000
_SHORTEST_TIMER_S = 0.001
_HINT_MAX_S = 60.0


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`every_key` holds for each key that `keys` does not name. `queue_size` requests wait at most, `queue_timeout_s` each.

    A `queue_size` of 0 turns away at once whatever does not fit.
    """

    gateway: Annotated[Limit | None, Meta(description="For all requests together.")] = None
    every_key: Annotated[Limit | None, Meta(description="For each key that `keys` does not name.")] = None
    keys: Annotated[
        dict[str, Limit], Meta(description="For one key, by its name in server.api_keys (server.api_key: main).")
    ] = {}
    providers: Annotated[dict[str, Limit], Meta(description="For one provider, by its id.")] = {}
    models: Annotated[dict[str, Limit], Meta(description="For one model, by the name that its provider knows.")] = {}
    queue_size: Annotated[int, Meta(ge=0, description="Requests that wait at most; 0 turns away at once.")] = 100
    queue_timeout_s: Annotated[float, Meta(gt=0, description="Longest wait in the queue, in seconds.")] = 30.0

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited."""
        return not (self.gateway or self.every_key or self.keys or self.providers or self.models)


def limits_of(settings: LimitSettings) -> tuple[LimitSettings, LimitSettings]:
    """The limits of this gateway and its keys, and those of providers and models: asked at different moments, so apart."""
    ours = msgspec.structs.replace(settings, providers={}, models={})
    theirs = msgspec.structs.replace(settings, gateway=None, every_key=None, keys={})
    return ours, theirs


class Ticket:
    """A place taken. Release it when the request is over, however it ended; further releases do nothing."""

    __slots__ = ("_began", "_buckets", "_gauges", "_limits", "_tokens")

    def __init__(self, limits: "Limits | None", gauges: tuple[Gauge, ...] = (), tokens: int = 0, now: float = 0.0) -> None:
        self._limits = limits
        self._gauges = gauges
        self._tokens = tokens
        self._began = now
        self._buckets: list[Bucket | None] = [gauge.enter(now, tokens) for gauge in gauges]

    def release(self, tokens: int | None = None) -> None:
        """`tokens`: what was really used, where that is known; else the estimate stands."""
        limits, self._limits = self._limits, None
        if limits is None:
            return
        now = limits.clock()
        used = self._tokens if tokens is None else tokens
        for gauge, bucket in zip(self._gauges, self._buckets, strict=True):
            gauge.leave(now, self._began, bucket, self._tokens, used)
        limits.pump()


FREE = Ticket(None)
"""For whatever no limit holds."""


class _InLine(Waiter):
    """`future` None for one that is only looking whether its turn would be now."""

    __slots__ = ("future", "ticket")

    def __init__(self, key: str, provider: str, model: str, tokens: int) -> None:
        super().__init__(key, (provider, model), tokens)
        self.future: asyncio.Future[Ticket] | None = None
        self.ticket: Ticket | None = None


class Limits:
    """Use on one event loop. `clock` in seconds, monotonic, at the same pace as the loop's own."""

    def __init__(self, settings: LimitSettings | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._settings = LimitSettings()
        self._is_free = True
        self._gateway: dict[str, Gauge] = {}
        self._keys: dict[str, Gauge] = {}
        self._providers: dict[str, Gauge] = {}
        self._models: dict[str, Gauge] = {}
        self._line: FairQueue[_InLine] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None
        if settings is not None:
            self.configure(settings)

    @property
    def waiting(self) -> int:
        return len(self._line)

    def configure(self, settings: LimitSettings) -> None:
        """Other limits from now on. What is counted stays counted under the same names; who waits is looked at again."""
        self._settings = settings
        gateway = {"": settings.gateway} if settings.gateway else {}
        self._gateway = _gauges(self._gateway, gateway, "this gateway", "limits.gateway")
        self._providers = _gauges(self._providers, settings.providers, "the provider {}", "limits.providers.{}")
        self._models = _gauges(self._models, settings.models, "the model {}", "limits.models.{}")
        every = dict.fromkeys(self._keys, settings.every_key) if settings.every_key else {}
        self._keys = _gauges(self._keys, {**every, **settings.keys}, "your key", "limits.every_key and limits.keys")
        self._is_free = settings.is_free
        for waiter in self._line:
            self._gauge(waiter)
        self.pump()

    def try_enter(self, key: str, provider: str, model: str, tokens: int = 0) -> Ticket | float:
        """A place now, or the seconds after which to try again; infinity for a request larger than a limit ever allows.

        `tokens` is an estimate: prompt and the longest answer. Those who wait already go first.
        """
        if self._is_free:
            return FREE
        gauges = self._gauges_of(key, provider, model)
        if not gauges:
            return FREE
        now = self.clock()
        if self._line:
            ticket = self._try_behind_others(key, provider, model, tokens)
            return self._wait_s(gauges, now, tokens) if ticket is None else ticket
        for gauge in gauges:
            if not gauge.fits(now, tokens):
                return self._wait_s(gauges, now, tokens)
        return Ticket(self, gauges, tokens, now)

    async def enter(self, key: str, provider: str, model: str, tokens: int = 0, *, deadline_s: float | None = None) -> Ticket:
        """A place, waited for in line for `deadline_s` at most (and never longer than `queue_timeout_s`).

        Raises RateLimited (429) where a rate forbids it for longer than that; Overloaded where the queue is full (429,
        `queue_full`) or the wait was too long (503, `queue_timeout`). Each with `retry_after_s`.
        """
        found = self.try_enter(key, provider, model, tokens)
        if isinstance(found, Ticket):
            return found
        waiter = _InLine(key, provider, model, tokens)
        self._gauge(waiter)
        longest_s = min(self._settings.queue_timeout_s, inf if deadline_s is None else deadline_s)
        slowest, wait_s = _slowest(waiter.gauges, self.clock(), tokens)
        if wait_s > longest_s:
            raise _over_rate(slowest, wait_s, tokens)
        self._make_room(waiter)
        return await self._stand_in_line(waiter, longest_s)

    def refusal(self, key: str, provider: str, model: str, tokens: int = 0) -> JackfieldError:
        """Why such a request is not let in now, for those who do not wait."""
        return self._refused(self._gauges_of(key, provider, model), tokens, "all are taken", RateLimited.default_code, 429)

    def pump(self) -> None:
        """Lets in who fits now. Runs by itself whenever something may have changed."""
        if self._line:
            now = self.clock()
            self._line.let_in(now, self._admit)
            self._set_timer(now)

    def close(self) -> None:
        """Nobody who waits is let in any more: to be called when no request is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _admit(self, waiter: _InLine) -> None:
        if waiter.future is None:
            waiter.ticket = Ticket(self, waiter.gauges, waiter.tokens, self.clock())
        elif not waiter.future.done():  # else it was cancelled a moment ago and does not know it yet
            waiter.ticket = Ticket(self, waiter.gauges, waiter.tokens, self.clock())
            waiter.future.set_result(waiter.ticket)

    def _set_timer(self, now: float) -> None:
        """Rates ease by themselves: look again when the first of those in front may fit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = (max(gauge.rate_wait_s(now, head.tokens) for gauge in head.gauges) for head in self._line.heads())
        soonest = min((wait_s for wait_s in waits if 0.0 < wait_s < inf), default=None)
        if soonest is not None:
            self._timer = asyncio.get_running_loop().call_later(max(_SHORTEST_TIMER_S, soonest), self.pump)

    def _gauges_of(self, key: str, provider: str, model: str) -> tuple[Gauge, ...]:
        found = (self._gateway.get(""), self._key_gauge(key), self._providers.get(provider), self._models.get(model))
        return tuple([gauge for gauge in found if gauge is not None])

    def _gauge(self, waiter: _InLine) -> None:
        waiter.gauges = self._gauges_of(waiter.key, *waiter.lane)
        waiter.own = self._key_gauge(waiter.key)

    def _key_gauge(self, key: str) -> Gauge | None:
        gauge = self._keys.get(key)
        if gauge is None and self._settings.every_key is not None:
            if len(self._keys) >= _KEYS_MAX:
                self._drop_idle_keys()
            gauge = self._keys[key] = Gauge("your key", "limits.every_key", self._settings.every_key)
        return gauge

    def _drop_idle_keys(self) -> None:
        now, named = self.clock(), self._settings.keys
        kept = {key for key, gauge in self._keys.items() if gauge.is_in_use(now) or key in self._line or key in named}
        self._keys = {key: gauge for key, gauge in self._keys.items() if key in kept}

    def _try_behind_others(self, key: str, provider: str, model: str, tokens: int) -> Ticket | None:
        waiter = _InLine(key, provider, model, tokens)
        self._gauge(waiter)
        self._line.add(waiter)
        self.pump()
        self._line.remove(waiter)
        return waiter.ticket

    async def _stand_in_line(self, waiter: _InLine, longest_s: float) -> Ticket:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Ticket] = loop.create_future()
        waiter.future = future
        self._line.add(waiter)
        self.pump()
        timeout = loop.call_later(longest_s, self._time_out, waiter)
        try:
            return await future
        except asyncio.CancelledError:
            if waiter.ticket is not None:  # it was let in, and cancelled before it could know
                waiter.ticket.release(0)
            raise
        finally:
            timeout.cancel()
            self._leave(waiter)

    def _leave(self, waiter: _InLine) -> None:
        if waiter.is_waiting:
            self._line.remove(waiter)
            self.pump()
        if not self._line:
            self.close()

    def _time_out(self, waiter: _InLine) -> None:
        assert waiter.future is not None
        if not waiter.future.done():
            waiter.future.set_exception(
                self._refused(waiter.gauges, waiter.tokens, "no place came free in time", QUEUE_TIMEOUT, 503)
            )
            self._leave(waiter)

    def _make_room(self, waiter: _InLine) -> None:
        """A full queue gives up the last request of the key that has most in it, if this key has fewer."""
        if len(self._line) < self._settings.queue_size:
            return
        last = self._line.last_of_longest()
        if last is None or self._line.count_of(last.key) <= self._line.count_of(waiter.key) + 1:
            raise self._queue_full(waiter)
        self._line.remove(last)
        if last.future is not None and not last.future.done():
            last.future.set_exception(self._queue_full(last))

    def _queue_full(self, waiter: _InLine) -> JackfieldError:
        size = self._settings.queue_size
        return self._refused(waiter.gauges, waiter.tokens, f"the queue of {size} is full", QUEUE_FULL, 429)

    def _wait_s(self, gauges: tuple[Gauge, ...], now: float, tokens: int) -> float:
        """When to come back: a rate's answer is exact, a place's a guess."""
        _, wait_s = _slowest(gauges, now, tokens)
        place_s = max(gauge.place_wait_s(len(self._line)) for gauge in gauges)
        return max(wait_s, min(_HINT_MAX_S, max(0.001, place_s)))

    def _refused(self, gauges: tuple[Gauge, ...], tokens: int, how: str, code: str, status: int) -> JackfieldError:
        now = self.clock()
        slowest, wait_s = _slowest(gauges, now, tokens)
        if wait_s > 0.0:
            return _over_rate(slowest, wait_s, tokens, code)
        full = max(gauges, key=lambda gauge: gauge.place_wait_s(0))
        after_s = float(ceil(self._wait_s(gauges, now, tokens)))
        return Overloaded(
            f"{full.name} takes {full.limit.concurrency} requests at once, and {how}: "
            f"try again in {after_s:.0f} s, or raise {full.setting}",
            code=code,
            status=status,
            retry_after_s=after_s,
        )


def _gauges(old: dict[str, Gauge], limits: Mapping[str, Limit], name: str, setting: str) -> dict[str, Gauge]:
    """Of the old ones those that are still limited, with their counts, and new ones for the rest."""
    made: dict[str, Gauge] = {}
    for key, limit in limits.items():
        gauge = old.get(key)
        if gauge is None:
            gauge = Gauge(name.format(key), setting.format(key), limit)
        else:
            gauge.change(limit)
        made[key] = gauge
    return made


def _slowest(gauges: tuple[Gauge, ...], now: float, tokens: int) -> tuple[Gauge, float]:
    """The gauge whose rates hold this request up longest, and for how many seconds."""
    return max(((gauge, gauge.rate_wait_s(now, tokens)) for gauge in gauges), key=lambda pair: pair[1])


def _over_rate(gauge: Gauge, wait_s: float, tokens: int, code: str = "") -> RateLimited:
    limit = gauge.limit
    if wait_s == inf:
        return RateLimited(
            f"this request counts for {tokens} tokens, and {gauge.name} may use {limit.tokens_per_minute} a minute: "
            f"shorten the prompt or max_tokens, or raise {gauge.setting}"
        )
    rates = (("requests", limit.requests_per_minute), ("tokens", limit.tokens_per_minute))
    told = " and ".join(f"{most} {what}" for what, most in rates if most is not None)
    after_s = float(max(1, ceil(wait_s)))
    return RateLimited(
        f"{gauge.name} may use {told} a minute, and they are used up: try again in {after_s:.0f} s, or raise {gauge.setting}",
        code=QUEUE_FULL if code == QUEUE_FULL else None,
        retry_after_s=after_s,
    )
