"""What to do after a failed attempt: the table from kinds of failure to actions, and the one retry budget of a request.

Pure: knows errors by their class and behaviour attributes, never providers; sends nothing and waits for nothing. Whoever
walks the attempts asks `RetryBudget.next_step` and does as told; no layer below retries.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from jackfield.core.errors import (
    AuthFailed,
    BudgetSpent,
    ContentRefused,
    ContextOverflow,
    JackfieldError,
    MissingExtra,
    Overloaded,
    RateLimited,
    ServiceFailed,
    StreamBroken,
    TimedOut,
    Unavailable,
    Upstream,
)

Clock = Callable[[], float]
Random = Callable[[], float]


class FailureKind(StrEnum):
    """What an attempt failed of, as far as it matters for what to do next."""

    CREDENTIAL = "credential"
    """The key is missing, wrong, or may not do this."""
    ACCOUNT = "account"
    """The money or quota there is spent."""
    RATE_LIMIT = "rate_limit"
    OVERLOAD = "overload"
    UPSTREAM = "upstream"
    """It answered, and the answer is a fault of its own: 5xx, broken protocol, a crashed service."""
    TRANSPORT = "transport"
    """No whole answer: refused, unreachable, TLS, too slow, cut."""
    REQUEST = "request"
    """It cannot be served as written, there or anywhere; says nothing about the source's health."""
    CONTENT = "content"
    """A content filter said no."""


class Action(StrEnum):
    RETRY_SAME = "retry_same"
    SIBLING = "sibling"
    """Another backend with the same model: another key, endpoint or machine."""
    FALLBACK = "fallback"
    """Another model."""
    GIVE_UP = "give_up"


_KINDS: Mapping[type[BaseException], FailureKind] = {
    AuthFailed: FailureKind.CREDENTIAL,
    BudgetSpent: FailureKind.ACCOUNT,
    RateLimited: FailureKind.RATE_LIMIT,
    Overloaded: FailureKind.OVERLOAD,
    TimedOut: FailureKind.TRANSPORT,
    StreamBroken: FailureKind.TRANSPORT,
    Upstream: FailureKind.UPSTREAM,
    MissingExtra: FailureKind.REQUEST,
    ServiceFailed: FailureKind.UPSTREAM,
    ContentRefused: FailureKind.CONTENT,
}


def kind_of(error: JackfieldError) -> FailureKind:
    """By the error's class; an Unavailable that a socket error caused never became an answer, so it is transport's."""
    if isinstance(error, Unavailable) and isinstance(error.__cause__, OSError):
        return FailureKind.TRANSPORT
    for class_ in type(error).__mro__:
        kind = _KINDS.get(class_)
        if kind is not None:
            return kind
    return FailureKind.REQUEST


def needs_larger_context(error: JackfieldError) -> bool:
    """Whether only candidates with a larger context may come next: count no others as siblings and fallbacks."""
    return isinstance(error, ContextOverflow)


class Rule(msgspec.Struct, frozen=True):
    """`actions` in order of preference. `retries` at the same backend, `retries_first` of them before a fallback is taken."""

    actions: tuple[Action, ...]
    retries: int = 0
    retries_first: int = 0


_ELSEWHERE = (Action.SIBLING, Action.FALLBACK)
_ANYWHERE = (Action.SIBLING, Action.RETRY_SAME, Action.FALLBACK)

RULES: Mapping[FailureKind, Rule] = {
    FailureKind.CREDENTIAL: Rule(_ELSEWHERE),
    FailureKind.ACCOUNT: Rule(_ELSEWHERE),
    FailureKind.RATE_LIMIT: Rule(_ANYWHERE, retries=3, retries_first=1),
    FailureKind.OVERLOAD: Rule(_ANYWHERE, retries=3, retries_first=1),
    FailureKind.UPSTREAM: Rule(_ANYWHERE, retries=3, retries_first=1),
    FailureKind.TRANSPORT: Rule(_ANYWHERE, retries=3, retries_first=0),
    FailureKind.REQUEST: Rule(_ELSEWHERE),
    FailureKind.CONTENT: Rule(_ELSEWHERE),
}
"""What may be done, before the error's own say: `may_retry` and `may_fall_back` of its class can only forbid."""


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`limit` further attempts a request, of any action. Delays in seconds.

    `patience_s` is the longest wait for a retry while a fallback is at hand.
    """

    limit: int = 3
    first_delay_s: float = 0.2
    max_delay_s: float = 10.0
    patience_s: float = 5.0


class RetryTokens:
    """A token bucket of one pool of backends: a `share` of its requests may be repeated, plus a small `burst`.

    Bounds retry storms: when everything fails, the pool gets at most `1 + share` times the requests of its callers.
    """

    __slots__ = ("_burst", "_level", "_share")

    def __init__(self, share: float = 0.1, burst: float = 10.0) -> None:
        self._share = share
        self._burst = burst
        self._level = burst

    @property
    def level(self) -> float:
        return self._level

    def earn(self) -> None:
        """Call once a request."""
        level = self._level + self._share
        self._level = level if level < self._burst else self._burst

    def take(self) -> bool:
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Step(NamedTuple):
    """What to do next, after `delay_s`. `reason` says why nothing else was done, for logs and explanations."""

    action: Action
    delay_s: float
    kind: FailureKind
    reason: str = ""


DEFAULT_SETTINGS = RetrySettings()
_RETRIES_AFTER_SILENCE = 1
"""Each costs the client a whole time limit."""
_RETRIES_AFTER_A_BREAK = 1
"""An answer that broke off before its first content may have been an accident; twice it is none."""


class RetryBudget:
    """Carried by one request through all its attempts. `deadline` on the clock's scale; `random` in [0, 1).

    Cheap enough to be made at the first failure. `falls_back_on_refusal`: the client allows another model after a
    content filter's refusal.
    """

    __slots__ = ("_clock", "_deadline", "_left", "_random", "_retries", "_settings", "_tokens", "falls_back_on_refusal")

    def __init__(
        self,
        deadline: float,
        *,
        clock: Clock,
        random: Random,
        settings: RetrySettings = DEFAULT_SETTINGS,
        tokens: RetryTokens | None = None,
        falls_back_on_refusal: bool = False,
    ) -> None:
        self._deadline = deadline
        self._clock = clock
        self._random = random
        self._settings = settings
        self._tokens = tokens
        self._left = settings.limit
        self._retries = 0
        self.falls_back_on_refusal = falls_back_on_refusal

    @property
    def left(self) -> int:
        """Attempts that may still be made."""
        return self._left

    def remaining_s(self) -> float:
        return max(0.0, self._deadline - self._clock())

    def next_step(
        self, error: JackfieldError, *, committed: bool, siblings: int, fallbacks: int, elsewhere: bool = False
    ) -> Step:
        """What follows `error`; takes what it costs from the budget.

        `committed`: content has reached the client. `elsewhere`: the same backend is not to be asked again. `siblings` and
        `fallbacks` count the candidates not yet tried that may be asked now (breakers allow, and only larger contexts where
        `needs_larger_context`).
        """
        kind = kind_of(error)
        reason = self._forbidden(committed)
        if reason:
            return Step(Action.GIVE_UP, 0.0, kind, reason)
        if not self._may_fall_back(error, kind):
            siblings = fallbacks = 0
        reason = f"nothing else may be tried after a failure of kind {kind}"
        for action in RULES[kind].actions:
            if action is Action.RETRY_SAME:
                delay_s = self._delay_s(error)
                refusal = reason if elsewhere else self._no_retry(error, kind, delay_s, fallbacks)
            else:
                delay_s = 0.0
                refusal = "" if (siblings if action is Action.SIBLING else fallbacks) > 0 else reason
            # A fallback loads other backends than those that fail, so no storm is fed and no token is due.
            if not refusal and action is not Action.FALLBACK and self._tokens is not None and not self._tokens.take():
                refusal = "too many requests of this pool are being repeated already"
            if not refusal:
                return self._spend(action, delay_s, kind)
            reason = refusal
        return Step(Action.GIVE_UP, 0.0, kind, reason)

    def _forbidden(self, committed: bool) -> str:
        if committed:
            return "content has reached the client"
        if self._left <= 0:
            return f"{self._settings.limit} further attempts were made"
        return "" if self.remaining_s() > 0 else "the request's time is up"

    def _may_fall_back(self, error: JackfieldError, kind: FailureKind) -> bool:
        return self.falls_back_on_refusal if kind is FailureKind.CONTENT else error.may_fall_back

    def _no_retry(self, error: JackfieldError, kind: FailureKind, delay_s: float, fallbacks: int) -> str:
        """Why the same backend is not asked again; empty when it may be."""
        rule = RULES[kind]
        most = rule.retries_first if fallbacks else rule.retries
        if isinstance(error, TimedOut):
            most = min(most, _RETRIES_AFTER_SILENCE)
        if isinstance(error, StreamBroken):
            most = min(most, _RETRIES_AFTER_A_BREAK)
        elif not error.may_retry:
            return "such an answer is not asked for twice at the same place"
        if self._retries >= most:
            return f"the same backend was asked again {self._retries} times"
        if delay_s >= self.remaining_s():
            return f"waiting {delay_s:.1f} s is longer than this request may take"
        if fallbacks and delay_s > self._settings.patience_s:
            return f"a fallback is faster than waiting {delay_s:.1f} s"
        return ""

    def _delay_s(self, error: JackfieldError) -> float:
        """Full jitter over an exponential back-off, on top of what the source asked for: never earlier than Retry-After."""
        settings = self._settings
        ceiling_s = min(settings.max_delay_s, settings.first_delay_s * 2.0**self._retries)
        return max(0.0, error.retry_after_s or 0.0) + self._random() * ceiling_s

    def _spend(self, action: Action, delay_s: float, kind: FailureKind) -> Step:
        self._left -= 1
        # Another backend starts its own row of waits.
        self._retries = self._retries + 1 if action is Action.RETRY_SAME else 0
        return Step(action, delay_s, kind)
