"""Walks a request's targets until one answers: the only place that retries and falls back.

Until content has reached the client any failure may move on unseen: to a sibling, to the same source again, to a fallback,
as routing/attempts.py says and within one budget a request. Every attempt is counted at its backend and has a row in the books.
"""

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from math import ceil, inf
from time import perf_counter

import msgspec

from jackfield.core.errors import JackfieldError, Overloaded
from jackfield.gateway.attempt import Attempt, Play
from jackfield.gateway.call import Call
from jackfield.gateway.continuation import who_goes_on
from jackfield.gateway.hedging import Race, Terms
from jackfield.gateway.route import Route, Target
from jackfield.gateway.steps.enter import estimated_tokens
from jackfield.gateway.warming import Warming
from jackfield.routing.attempts import Action, RetryBudget, RetrySettings, RetryTokens
from jackfield.routing.hedge import Hedger, HedgeSettings
from jackfield.routing.limits import FREE, Limits, Ticket

POOLS_MAX = 1024
WAITING_MAX = 256
"""So many requests wait at once for sources that rest or start; who comes then is told at once."""
SHORTEST_REST_S = 0.05
SPREAD = 0.1


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
        book_hedge: Callable[[Call], None],
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        sources: Limits | None = None,
        on_hedge: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._settings = settings
        self._retry = RetrySettings(limit=settings.retries, patience_s=settings.patience_s)
        self._shared: OrderedDict[str, Shared] = OrderedDict()
        self._close_attempt = close_attempt
        self._book_hedge = book_hedge
        self._clock = clock
        self._random = random
        self._sleep = sleep
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
                trouble = Trouble(self._budget(call, shared), Warming(self._settings.warm_up_s, self._clock), self._settings)
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
        others = siblings or fallbacks
        if isinstance(error, NotAsked):
            if others:
                return route.take(others[0])
            return await self._rest(call, target, error, trouble, [target, *route.resting()])
        trouble.failed = trouble.failed or error
        if not siblings and not continues and trouble.warming.waits_for(target, error):
            await self._wait(trouble.warming.delay_s(error), error)
            return target
        elsewhere = continues or (error.retry_after_s or 0.0) > self._settings.patience_s
        step = trouble.budget.next_step(
            error, committed=False, siblings=len(siblings), fallbacks=len(fallbacks), elsewhere=elsewhere
        )
        if step.action is Action.GIVE_UP or step.delay_s > self._settings.patience_s:
            if others:
                raise error
            return await self._rest(call, target, error, trouble, self._back_soon(route, target, error, trouble))
        if step.action is Action.RETRY_SAME and target.backend.breaker.retry_after_s > step.delay_s:
            return await self._rest(call, target, error, trouble, [target, *route.back_soon(error, target)[0]])
        self._close_attempt(call, error)
        if step.delay_s > 0:
            await self._sleep(step.delay_s)
        if step.action is Action.RETRY_SAME:
            return target
        return route.take((siblings if step.action is Action.SIBLING else fallbacks)[0])

    def _back_soon(self, route: Route, target: Target, error: JackfieldError, trouble: "Trouble") -> list[Target]:
        """Those who may answer after a short rest, where the budget still allows one of them."""
        siblings, fallbacks = route.back_soon(error, target)
        step = trouble.budget.next_step(
            error, committed=False, siblings=len(siblings), fallbacks=len(fallbacks), elsewhere=True
        )
        if step.action is Action.GIVE_UP:
            return []
        return siblings if step.action is Action.SIBLING else fallbacks

    async def _rest(
        self, call: Call, target: Target, error: JackfieldError, trouble: "Trouble", resting: Sequence[Target]
    ) -> Target:
        """Waits for the first of `resting` who will be back, as long as patience lasts. Raises `error` otherwise."""
        route = call.route
        assert route is not None
        soonest = min(resting, key=_rest_s, default=None)
        wait_s = inf if soonest is None else max(SHORTEST_REST_S, _rest_s(soonest))
        if (
            soonest is None
            or wait_s > min(trouble.patience_left_s, trouble.budget.remaining_s())
            or self._waiting >= WAITING_MAX
        ):
            raise trouble.told(error, min(map(_rest_s, (target, *route.resting()))))
        trouble.patience_left_s -= wait_s
        was_asked = not isinstance(error, NotAsked)
        if was_asked:
            self._close_attempt(call, error)
        await self._wait(wait_s * (1.0 + SPREAD * self._random()), error)  # not all of them at the same moment
        if soonest is target:
            return target
        return route.take(soonest) if was_asked else route.swap(soonest, target)

    async def _wait(self, wait_s: float, error: JackfieldError) -> None:
        """Raises `error` where too many wait already."""
        if self._waiting >= WAITING_MAX:
            raise error
        self._waiting += 1
        try:
            await self._sleep(wait_s)
        finally:
            self._waiting -= 1

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
        hedger = shared.hedger
        error: JackfieldError | None = None
        attempt: Attempt | None = None
        was_cancelled = True
        try:
            attempt = Attempt(call, target, ticket)
            after_s = None if hedger is None else self._hedge_after_s(call, target, route, hedger)
            if after_s is None or hedger is None:
                await play.carry(call, await play.begin(call, has_others))
            else:
                attempt, error = await Race(attempt, play, hedger, self._terms(call, route, hedger)).run(after_s)
            was_cancelled = False
        except JackfieldError as failure:
            was_cancelled = False
            error = failure.without_trace()
        finally:
            if attempt is not None and not attempt.has_ended:
                warming = error is not None and self._is_warming(attempt.target, error)
                attempt.end(error or call.broken, cancelled=was_cancelled or warming)
            if hedger is not None and not was_cancelled:
                hedger.attempt_ended(error is not None and error.hurts_health)
        return target if attempt is None else attempt.target, error

    async def _enter(self, call: Call, target: Target, has_others: bool) -> "Ticket | Busy":
        """A place at the provider and the model. While others could answer nobody waits for one."""
        assert self._sources is not None
        provider, model = _source_of(target)
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

    # A second attempt beside the first

    def _hedge_after_s(self, call: Call, target: Target, route: Route, hedger: Hedger) -> float | None:
        """After how long without content a second target is asked too; None: it is not. Only first attempts are doubled."""
        if call.attempt or not route.has_others or call.said is not None or call.errand is not None:
            return None
        metrics = target.backend.metrics
        return hedger.delay_s(metrics.first_token(call.prompt_bytes) if call.stream else metrics.latency)

    def _terms(self, call: Call, route: Route, hedger: Hedger) -> Terms:
        def book(loser: Call, error: JackfieldError | None) -> None:
            loser.attempt = call.attempt
            if error is None:
                self._book_hedge(loser)
            else:
                self._close_attempt(loser, error)
            call.attempt = loser.attempt

        return Terms(lambda: self._second(call, route, hedger), book, self._on_hedge)

    def _second(self, call: Call, route: Route, hedger: Hedger) -> Attempt | None:
        """None where no sibling is well and has room, or where enough requests were doubled."""
        target = route.sibling()
        if target is None:
            return None
        ticket: Ticket = FREE
        if self._sources is not None:
            found = self._sources.try_enter(call.key_name, *_source_of(target), estimated_tokens(call))
            if not isinstance(found, Ticket):
                return None
            ticket = found
        if not hedger.spend():
            ticket.release(0)
            return None
        twin = copy.copy(call)
        twin.aim(route.take(target), keep_fields=True)
        try:
            return Attempt(twin, target, ticket)
        except JackfieldError:
            return None  # it was unplugged this moment

    def _is_warming(self, target: Target, error: JackfieldError) -> bool:
        return Warming.fits(target, error, self._settings.warm_up_s)


class Trouble:
    """What one request carries from its first failure on."""

    __slots__ = ("budget", "failed", "patience_left_s", "warming")

    def __init__(self, budget: RetryBudget, warming: Warming, settings: WalkSettings) -> None:
        self.budget = budget
        self.warming = warming
        self.patience_left_s = settings.patience_s
        self.failed: JackfieldError | None = None
        """What the first source that was asked failed of."""

    def told(self, error: JackfieldError, rest_s: float) -> JackfieldError:
        """`error` as the client is told it when nobody is asked for `rest_s`: with what failed first, and when to ask again."""
        if isinstance(error, NotAsked):
            if self.failed is not None:
                error.message = f"{error.message} (before that: {self.failed})"
        elif error.may_retry and error.retry_after_s is None and rest_s > 0.0:
            error.retry_after_s = float(ceil(rest_s))
        return error


class NotAsked(Overloaded):
    """The source was not asked: nothing is known of it that was not known before."""


class Resting(NotAsked):
    """Its circuit is open."""


class Busy(NotAsked):
    """Our own limits for it are used up."""


def _rest_s(target: Target) -> float:
    return target.backend.breaker.retry_after_s


def _source_of(target: Target) -> tuple[str, str]:
    """Provider and model, as the limits of sources name them."""
    return target.binding.info.id, target.model or target.binding.model or ""


def _resting(target: Target) -> Resting:
    refusal = target.backend.breaker.refusal(f"slot {target.slot}")
    return Resting(refusal.message, provider=target.binding.info.id, code=refusal.code, retry_after_s=refusal.retry_after_s)
