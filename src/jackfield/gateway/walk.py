"""Walks a request's targets until one answers: the only place that retries and falls back.

Until content has reached the client any failure may move on unseen: to a sibling, to the same source again, to a fallback,
as routing/attempts.py says and within one budget a request. Every attempt is counted at its backend and has a row in the books.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

import msgspec

from jackfield.core.errors import JackfieldError, Overloaded
from jackfield.gateway.call import Call
from jackfield.gateway.continuation import who_goes_on
from jackfield.gateway.route import Target
from jackfield.routing.attempts import Action, RetryBudget, RetrySettings, RetryTokens, kind_of
from jackfield.routing.backends import Backend, Outcome

Play = Callable[[Call, bool], Awaitable[None]]
"""Answers the client from the call's target; told whether somebody else could. Raises only while nothing was sent."""


class WalkSettings(msgspec.Struct, frozen=True):
    """`total_s` bounds all attempts of a request together; no single wait before one is longer than `patience_s`."""

    retries: int = 2
    patience_s: float = 5.0
    total_s: float = 300.0


class Walk:
    def __init__(
        self,
        settings: WalkSettings,
        close_attempt: Callable[[Call, JackfieldError], None],
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._retry = RetrySettings(limit=settings.retries, patience_s=settings.patience_s)
        self._tokens = RetryTokens()
        self._close_attempt = close_attempt
        self._clock = clock
        self._random = random

    async def run(self, call: Call, play: Play) -> None:
        """Raises the last attempt's error when nobody could answer; CancelledError passes."""
        route = call.route
        assert route is not None
        self._tokens.earn()
        target = route.first
        budget: RetryBudget | None = None
        while True:
            error = await self._attempt(call, target, play, route.has_others)
            if error is None:
                return
            if budget is None:
                deadline = self._clock() + self._settings.total_s - (perf_counter() - call.received_at)
                budget = RetryBudget(
                    deadline,
                    clock=self._clock,
                    random=self._random,
                    settings=self._retry,
                    tokens=self._tokens,
                    falls_back_on_refusal=call.wishes is not None and call.wishes.falls_back_on_refusal,
                )
            target = await self._next(call, target, error, budget)

    async def _next(self, call: Call, target: Target, error: JackfieldError, budget: RetryBudget) -> Target:
        """The next target, after whatever wait is due. Raises `error` when there is none."""
        route = call.route
        assert route is not None
        siblings, fallbacks = route.left(error, target)
        continues = call.said is not None
        if continues:
            siblings, fallbacks = who_goes_on(siblings), who_goes_on(fallbacks)
        if isinstance(error, Resting):
            others = siblings or fallbacks
            if not others:
                raise error
            return route.take(others[0])
        step = budget.next_step(error, committed=False, siblings=len(siblings), fallbacks=len(fallbacks), elsewhere=continues)
        if step.action is Action.GIVE_UP or step.delay_s > self._settings.patience_s:
            raise error
        self._close_attempt(call, error)
        if step.delay_s > 0:
            await asyncio.sleep(step.delay_s)
        if step.action is Action.RETRY_SAME:
            return target
        return route.take((siblings if step.action is Action.SIBLING else fallbacks)[0])

    async def _attempt(self, call: Call, target: Target, play: Play, has_others: bool) -> JackfieldError | None:
        backend, binding = target.backend, target.binding
        call.aim(target, keep_fields=has_others or call.attempt > 0)
        breaker = backend.breaker
        if not breaker.allow() and (has_others or not breaker.insist()):
            return _resting(backend, target)
        began = perf_counter()
        began_at = backend.begin()
        if call.stream:
            call.answering = partial(backend.answering, began_at)
        error: JackfieldError | None = None
        was_cancelled = True
        try:
            binding.acquire()
            try:
                await play(call, has_others)
                was_cancelled = False
            finally:
                binding.release()
        except JackfieldError as failure:
            was_cancelled = False
            error = failure
        finally:
            backend.end(_outcome(call, began, error or call.broken, was_cancelled), began_at)
        return error


class Resting(Overloaded):
    """The source's circuit is open: it was not asked."""


def _resting(backend: Backend, target: Target) -> Resting:
    refusal = backend.breaker.refusal(f"slot {target.slot}")
    return Resting(refusal.message, provider=target.binding.info.id, code=refusal.code, retry_after_s=refusal.retry_after_s)


def _outcome(call: Call, began: float, error: JackfieldError | None, was_cancelled: bool) -> Outcome:
    first_token_s = None if call.first_token_at is None else max(0.0, call.first_token_at - began)
    return Outcome(
        latency_s=perf_counter() - began,
        first_token_s=first_token_s,
        prompt_bytes=call.prompt_bytes,
        failure=None if error is None else kind_of(error),
        retry_after_s=None if error is None else error.retry_after_s,
        cancelled=was_cancelled,
    )
