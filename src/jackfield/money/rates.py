"""What a US dollar is worth in satoshi, on a date. Knows no exchange and asks none: the number is given to it."""

import math
from datetime import date

import msgspec

STALE_AFTER_DAYS = 30


class Rates(msgspec.Struct, frozen=True):
    """`sats_per_usd` as of the day `as_of`. Raises ValueError for a rate that is not a positive number."""

    sats_per_usd: float
    as_of: date

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sats_per_usd) and self.sats_per_usd > 0):
            raise ValueError(f"sats_per_usd must be a positive number, got {self.sats_per_usd}")

    def is_stale(self, today: date) -> bool:
        return (today - self.as_of).days > STALE_AFTER_DAYS
