"""Walks a request's targets until one answers: the only place that retries and falls back.

Until content has reached the client any failure may move on unseen: to a sibling, to the same source again, to a fallback,
as routing/attempts.py says and within one budget a request. Every attempt is counted at its backend and has a row in the books.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import msgspec

from jackfield.core.errors import JackfieldError, Overloaded
from jackfield.gateway.attempt import Attempt, Begun
from jackfield.gateway.call import Call
from jackfield.gateway.continuation import who_goes_on
from jackfield.gateway.hedging import HEDGED, Finish, Race
from jackfield.gateway.route import Route, Target
from jackfield.gateway.steps.enter import estimated_tokens, used_tokens
from jackfield.gateway.warming import Warming
from jackfield.routing.attempts import Action, RetryBudget, RetrySettings, RetryTokens
from jackfield.routing.hedge import Hedger, HedgeSettings
from jackfield.routing.limits import FREE, Limits, Ticket

POOLS_MAX = 1024
WAITING_MAX = 256
"""So many requests wait at once for resting sources to be back; who comes then is told at once."""
SHORTEST_REST_S = 0.05


class Play(Protocol):
    """How an attempt is made and its answer carried to the client."""

    async def begin(self, call: Call, has_others: bool) -> Begun:
        """The answer of the call's target, up to content; told whether somebody else could answer. Leaves nothing open."""
        ...

    async def carry(self, call: Call, begun: Begun) -> None:
        """Raises only while nothing was sent, or what can be continued. Closes the answer."""
        ...


class WalkSettings(msgspec.Struct, frozen=True):
    """`total_s` bounds all attempts of a request together; no single wait before one is longer than `patience_s`.

    A source on this machine that is still starting is waited for up to `warm_up_s`. `hedge` None: nobody is asked twice.
    """

    retries: int = 2
    patience_s: float = 5.0
    total_s: float = 300.0
    warm_up_s: float = 60.0
    hedge: HedgeSettings | None = None


class Shared:
    """What the requests for one name share: how many of them may be repeated, and how many doubled."""

    __slots__ = ("hedger", "tokens")

    def __init__(self, hedge: HedgeSettings | None, clock: Callable[[], float]) -> None:
        self.tokens = RetryTokens()
        self.hedger = None if hedge is None else Hedger(hedge, clock)


class Walk:
    """`sources` are the limits of providers and models; what they refuse is no failure of a source."""

    def __init__(
        self,
        settings: WalkSettings,
        close_attempt: Callable[[Call, JackfieldError], None],
        book_hedge: Callable[[Call, str], None],
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        sources: Limits | None = None,
        on_hedge: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._retry = RetrySettings(limit=settings.retries, patience_s=settings.patience_s)
        self._shared: OrderedDict[str, Shared] = OrderedDict()
        self._close_attempt = close_attempt
        self._book_hedge = book_hedge
        self._clock = clock
        self._random = random
        self._sources = sources
        self._on_hedge = on_hedge
        self._waiting = 0

    async def run(self, call: Call, play: Play) -> None:
        """Raises the last attempt's error when nobody could answer; CancelledError passes."""
        route = call.route
        assert route is not None
        shared = self._shared.get(call.model_text) or self._new_shared(call.model_text)
        shared.tokens.earn()
        target = route.first
        trouble: Trouble | None = None
        while True:
            target, error = await self._attempt(call, target, play, route, shared)
            if error is None:
                return
            if trouble is None:
                trouble = Trouble(call, self._budget(call, shared), self._settings)
            target = await self._next(call, target, error, trouble)

    def _new_shared(self, name: str) -> Shared:
        if len(self._shared) >= POOLS_MAX:
            self._shared.popitem(last=False)
        made = self._shared[name] = Shared(self._settings.hedge, self._clock)
        return made

    def _budget(self, call: Call, shared: Shared) -> RetryBudget:
        deadline = self._clock() + self._settings.total_s - (perf_counter() - call.received_at)
        return RetryBudget(
            deadline,
            clock=self._clock,
            random=self._random,
            settings=self._retry,
            tokens=shared.tokens,
            falls_back_on_refusal=call.wishes is not None and call.wishes.falls_back_on_refusal,
        )

    # What follows a failure

    async def _next(self, call: Call, target: Target, error: JackfieldError, trouble: "Trouble") -> Target:
        """The next target, after whatever wait is due. Raises `error` when there is none."""
        route = call.route
        assert route is not None
        siblings, fallbacks = route.left(error, target)
        continues = call.said is not None
        if continues:
            siblings, fallbacks = who_goes_on(siblings), who_goes_on(fallbacks)
        if isinstance(error, NotAsked):
            others = siblings or fallbacks
            return route.take(others[0]) if others else await self._rest(route, target, error, trouble)
        if not siblings and not continues and trouble.warming.waits_for(target, error):
            await asyncio.sleep(trouble.warming.delay_s())
            return target
        step = trouble.budget.next_step(
            error, committed=False, siblings=len(siblings), fallbacks=len(fallbacks), elsewhere=continues
        )
        if step.action is Action.GIVE_UP or step.delay_s > self._settings.patience_s:
            raise error
        self._close_attempt(call, error)
        if step.delay_s > 0:
            await asyncio.sleep(step.delay_s)
        if step.action is Action.RETRY_SAME:
            return target
        return route.take((siblings if step.action is Action.SIBLING else fallbacks)[0])

    async def _rest(self, route: Route, target: Target, error: "NotAsked", trouble: "Trouble") -> Target:
        """Everybody rests: waits for the first who will be back, as long as patience lasts. Raises `error` otherwise."""
        soonest = min((target, *route.resting()), key=lambda each: each.backend.breaker.retry_after_s)
        wait_s = max(SHORTEST_REST_S, soonest.backend.breaker.retry_after_s)
        if wait_s > trouble.patience_left_s or self._waiting >= WAITING_MAX:
            raise error
        trouble.patience_left_s -= wait_s
        self._waiting += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._waiting -= 1
        return target if soonest is target else route.swap(soonest, target)

    # One attempt

    async def _attempt(
        self, call: Call, target: Target, play: Play, route: Route, shared: Shared
    ) -> tuple[Target, JackfieldError | None]:
        """Who was asked in the end, and what went wrong. Raises what the limits of sources refuse for good."""
        has_others = route.has_others
        call.aim(target, keep_fields=has_others or call.attempt > 0)
        ticket: Ticket = FREE
        if self._sources is not None:
            found = await self._enter(call, target, has_others)
            if isinstance(found, JackfieldError):
                return target, found
            ticket = found
        breaker = target.backend.breaker
        if not breaker.allow() and (has_others or not breaker.insist()):
            ticket.release(0)
            return target, _resting(target)
        try:
            return await self._ask(call, target, play, route, shared)
        finally:
            ticket.release(used_tokens(call))

    async def _enter(self, call: Call, target: Target, has_others: bool) -> "Ticket | Busy":
        """A place at the provider and the model. While others could answer nobody waits for one."""
        assert self._sources is not None
        provider, model = target.binding.info.id, target.model or target.binding.model or ""
        tokens = estimated_tokens(call)
        if has_others:
            found = self._sources.try_enter(call.key_name, provider, model, tokens)
            if isinstance(found, Ticket):
                return found
            refusal = self._sources.refusal(call.key_name, provider, model, tokens)
            return Busy(refusal.message, provider=provider, code=refusal.code, status=refusal.status, retry_after_s=found)
        metrics = target.backend.metrics
        metrics.waiting += 1
        try:
            return await self._sources.enter(call.key_name, provider, model, tokens)
        finally:
            metrics.waiting -= 1

    async def _ask(
        self, call: Call, target: Target, play: Play, route: Route, shared: Shared
    ) -> tuple[Target, JackfieldError | None]:
        has_others = route.has_others
        error: JackfieldError | None = None
        hedger = shared.hedger
        attempt: Attempt | None = None
        was_cancelled = True
        try:
            attempt = Attempt(call, target)
            after_s = None
            if hedger is not None and has_others and call.stream and call.said is None:
                after_s = hedger.delay_s(target.backend, call.prompt_bytes)
            if after_s is None or hedger is None:
                begun = await play.begin(call, has_others)
            else:
                finish = await self._race(call, attempt, after_s, play, route, hedger)
                attempt, target = finish.attempt, finish.attempt.target
                begun = finish.answer()
            await play.carry(call, begun)
            was_cancelled = False
        except JackfieldError as failure:
            was_cancelled = False
            error = failure
        finally:
            if attempt is not None and not attempt.has_ended:
                warming = error is not None and self._is_warming(target, error)
                attempt.end(error or call.broken, cancelled=was_cancelled or warming)
            if hedger is not None:
                hedger.attempt_ended(error is not None and error.hurts_health)
        return target, error

    async def _race(self, call: Call, attempt: Attempt, after_s: float, play: Play, route: Route, hedger: Hedger) -> Finish:
        """Who came first; its attempt is still to be ended."""

        def rival() -> Target | None:
            found = route.sibling()
            return None if found is None or not found.backend.breaker.allow() else route.take(found)

        def book_loser(loser: Call, error: JackfieldError | None) -> None:
            loser.attempt = call.attempt
            if error is None:
                self._book_hedge(loser, HEDGED)
                call.attempt += 1
            else:
                self._close_attempt(loser, error)
                call.attempt = loser.attempt

        race = Race(call, lambda each: play.begin(each, True), hedger, rival, book_loser)
        finish = await race.run(attempt, after_s)
        if race.has_doubled and self._on_hedge is not None:
            self._on_hedge("won" if finish.attempt is not attempt else "lost")
        return finish

    def _is_warming(self, target: Target, error: JackfieldError) -> bool:
        return Warming.fits(target, error, self._settings.warm_up_s)


class Trouble:
    """What one request carries from its first failure on."""

    __slots__ = ("budget", "patience_left_s", "warming")

    def __init__(self, call: Call, budget: RetryBudget, settings: WalkSettings) -> None:
        self.budget = budget
        self.patience_left_s = settings.patience_s
        self.warming = Warming(settings.warm_up_s, call.received_at)


class NotAsked(Overloaded):
    """The source was not asked: nothing is known of it that was not known before."""


class Resting(NotAsked):
    """Its circuit is open."""


class Busy(NotAsked):
    """Our own limits for it are used up."""


def _resting(target: Target) -> Resting:
    refusal = target.backend.breaker.refusal(f"slot {target.slot}")
    return Resting(refusal.message, provider=target.binding.info.id, code=refusal.code, retry_after_s=refusal.retry_after_s)
