"""When a request of a batch is asked once more, and after how long. Pure."""

from random import random

BACKOFF_S = 0.5
BACKOFF_MAX_S = 30.0
RETRY_AFTER_MAX_S = 600.0


def may_help(status: int, retry_after_s: float) -> bool:
    """Another try may end better: the source was busy, late, broken or away. A refusal of the request stays one."""
    return (status in (408, 429) or status >= 500) and retry_after_s <= RETRY_AFTER_MAX_S


def pause_s(tried: int, retry_after_s: float) -> float:
    """Before the next try, after `tried` earlier ones and this; never less than the source asked for."""
    backoff_s = random() * min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(tried, 10))  # noqa: S311 - spreads load, guards nothing
    return max(float(backoff_s), retry_after_s)
