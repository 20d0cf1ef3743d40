"""Tokens and money: integers that only ever add up. What a token costs is money/'s business, not this file's."""

from typing import Any

import msgspec

MSAT_PER_SAT = 1000
IMAGES = "images"
IMAGE_TOKENS = "image_tokens"
"""In `Usage.extra`: how many images were drawn, and how many of the prompt's tokens are those of images."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one answer. `prompt_tokens` includes `cached_tokens`; `completion_tokens` includes `reasoning_tokens`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Money(msgspec.Struct, frozen=True, order=True):
    """An amount in millisatoshi. Rounding up to whole sats is for display only."""

    msat: int = 0

    def __add__(self, other: "Money") -> "Money":
        return Money(self.msat + other.msat)

    @property
    def sats(self) -> float:
        return self.msat / MSAT_PER_SAT

    @property
    def sats_rounded_up(self) -> int:
        return -(-self.msat // MSAT_PER_SAT)
