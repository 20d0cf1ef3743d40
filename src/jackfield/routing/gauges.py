"""The arithmetic of limits: what has been let in lately and what is in flight, against what may be.

Pure: times are passed in. Never more is admitted within any `WINDOW_S` than the limit says; what a request turned out to have
used can exceed what it was admitted for, and then holds back the next ones.
"""

from collections import deque
from math import inf
from typing import Annotated, Final

import msgspec
from msgspec import Meta

WINDOW_S: Final = 60.0
_KEPT_S: Final = int(WINDOW_S)


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None is no limit. `concurrency`: requests in flight at once."""

    requests_per_minute: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Requests let in within any minute.")
    ] = None
    tokens_per_minute: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Tokens within any minute, prompt and answer.")
    ] = None
    concurrency: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Requests in flight at once.")] = None


class Bucket:
    """What was admitted within one second. `second` is -1 once it has left its window."""

    __slots__ = ("amount", "second")

    def __init__(self, second: int) -> None:
        self.second = second
        self.amount = 0


class SlidingWindow:
    """An amount a minute, over any minute. Kept by the second, a second longer than the minute: 61 buckets at most."""

    __slots__ = ("_buckets", "_second", "_total", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buckets: deque[Bucket] = deque()
        self._second = -1
        self._total = 0

    def used(self, now: float) -> int:
        second = int(now)
        if second != self._second:
            self._second = second
            buckets = self._buckets
            while buckets and buckets[0].second < second - _KEPT_S:
                bucket = buckets.popleft()
                bucket.second = -1
                self._total -= bucket.amount
        return self._total

    def fits(self, now: float, amount: int) -> bool:
        return self.used(now) + amount <= self.limit

    def wait_s(self, now: float, amount: int) -> float:
        """Seconds until `amount` fits if nothing else is taken: 0 now, infinity never."""
        excess = self.used(now) + amount - self.limit
        if excess <= 0:
            return 0.0
        if amount > self.limit:
            return inf
        for bucket in self._buckets:
            excess -= bucket.amount
            if excess <= 0:
                return max(0.0, bucket.second + _KEPT_S + 1 - now)
        return WINDOW_S

    def take(self, now: float, amount: int) -> Bucket:
        self.used(now)
        buckets = self._buckets
        if not buckets or buckets[-1].second < self._second:
            buckets.append(Bucket(self._second))
        bucket = buckets[-1]
        bucket.amount += amount
        self._total += amount
        return bucket

    def settle(self, now: float, bucket: Bucket, taken: int, used: int) -> None:
        """`taken` was reserved in `bucket`, `used` it was: the rest is given back, or what is missing is taken now."""
        if used > taken:
            self.take(now, used - taken)
        elif bucket.second >= 0:
            bucket.amount -= taken - used
            self._total -= taken - used


class Gauge:
    """The state of one limit. `name` is for a person: "the provider groq"; `setting` tells where the limit is set."""

    __slots__ = ("held_s", "limit", "name", "requests", "running", "setting", "tokens")

    def __init__(self, name: str, setting: str, limit: Limit) -> None:
        self.name = name
        self.setting = setting
        self.running = 0
        self.held_s = 1.0
        self.requests: SlidingWindow | None = None
        self.tokens: SlidingWindow | None = None
        self.limit = limit
        self.change(limit)

    def change(self, limit: Limit) -> None:
        """Another limit for what is already counted; a rate that was not limited starts empty."""
        self.limit = limit
        self.requests = _resized(self.requests, limit.requests_per_minute)
        self.tokens = _resized(self.tokens, limit.tokens_per_minute)

    def fits(self, now: float, tokens: int) -> bool:
        most = self.limit.concurrency
        if most is not None and self.running >= most:
            return False
        if self.requests is not None and not self.requests.fits(now, 1):
            return False
        return self.tokens is None or self.tokens.fits(now, tokens)

    def is_in_use(self, now: float) -> bool:
        """Whether forgetting it would forget anything."""
        rates = (self.requests, self.tokens)
        return self.running > 0 or any(rate is not None and rate.used(now) > 0 for rate in rates)

    @property
    def is_full(self) -> bool:
        """As many are in flight as may be."""
        return self.limit.concurrency is not None and self.running >= self.limit.concurrency

    def rate_wait_s(self, now: float, tokens: int) -> float:
        """Seconds until the rates allow a request of `tokens`: 0 now, infinity never."""
        wait_s = 0.0
        if self.requests is not None:
            wait_s = self.requests.wait_s(now, 1)
        if self.tokens is not None:
            wait_s = max(wait_s, self.tokens.wait_s(now, tokens))
        return wait_s

    def place_wait_s(self, ahead: int) -> float:
        """A guess, from how long requests were in flight lately, of when a place is free for one with `ahead` before it."""
        return self.held_s * (ahead + 1) / (self.limit.concurrency or 1) if self.is_full else 0.0

    def enter(self, now: float, tokens: int) -> Bucket | None:
        self.running += 1
        if self.requests is not None:
            self.requests.take(now, 1)
        return self.tokens.take(now, tokens) if self.tokens is not None else None

    def leave(self, now: float, began: float, bucket: Bucket | None, taken: int, used: int) -> None:
        self.running -= 1
        self.held_s += 0.2 * (now - began - self.held_s)
        if bucket is not None and self.tokens is not None:
            self.tokens.settle(now, bucket, taken, used)


def _resized(window: SlidingWindow | None, limit: int | None) -> SlidingWindow | None:
    if limit is None:
        return None
    if window is None:
        return SlidingWindow(limit)
    window.limit = limit
    return window
