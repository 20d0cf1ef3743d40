"""What a model's tokens cost: a dated table of data, and integer arithmetic over it.

Knows prices per million tokens and one exchange rate; does not know who is plugged where or who may spend. A model that is
not in the table is unpriced (None), which is never the same as free (0).
"""

import math
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from importlib.resources import files
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean
from jackfield.core.usage import IMAGE_TOKENS, IMAGES, MSAT_PER_SAT, Money, Usage
from jackfield.money.rates import Rates

TOKENS_PER_PRICE = 1_000_000
# Model names come from clients, so what is remembered of them is bounded.
REMEMBERED_MODELS = 4096
_WILD = frozenset("*?[")


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """US dollars per million tokens. `cached_input` None: the provider gives no discount that we know, the full rate holds.

    `image_input` is for the tokens of images that go in, None: as for others. `image` is dollars for one drawn image, of any
    size and quality, beside its tokens; None: it costs nothing beside them, and where none are told its price is not known.
    Raises ValueError for a negative price or one that is not a number.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    image_input: Decimal | None = None
    image: Decimal | None = None

    def __post_init__(self) -> None:
        for amount in (self.input, self.output, self.cached_input, self.image_input, self.image):
            if amount is not None and not (amount.is_finite() and amount >= 0):
                raise ValueError(f"a price must be 0 or more, got {amount}")

    @property
    def is_free(self) -> bool:
        return self.input == 0 and self.output == 0 and not (self.cached_input or self.image_input or self.image)


FREE = Price(Decimal(0), Decimal(0), Decimal(0), image=Decimal(0))


class ProviderPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`models` maps a model's name, or a glob over names, to its price. `source` is where the provider publishes them."""

    models: dict[str, Price]
    source: str | None = None


class PriceData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price file: `updated` is the day its numbers were last checked."""

    updated: date
    providers: dict[str, ProviderPrices]
    note: str = ""
    stale_after_days: int = 120
    rates: Rates | None = None


class _PerToken:
    """Millisatoshi per token as whole numerators over one denominator, so that a sum is exact whatever its length.

    `image` is the same for one drawn image, None where that has no price of its own.
    """

    __slots__ = ("cached", "denominator", "image", "image_input", "input", "output")

    def __init__(self, price: Price, rates: Rates) -> None:
        msat_per_usd = Fraction(Decimal(str(rates.sats_per_usd))) * MSAT_PER_SAT
        cached = price.input if price.cached_input is None else price.cached_input
        pictured = price.input if price.image_input is None else price.image_input
        amounts = (price.input, cached, price.output, pictured)
        terms = [Fraction(amount) * msat_per_usd / TOKENS_PER_PRICE for amount in amounts]
        drawn = Fraction(price.image or 0) * msat_per_usd
        self.denominator = math.lcm(drawn.denominator, *(term.denominator for term in terms))
        self.input, self.cached, self.output, self.image_input = (int(term * self.denominator) for term in terms)
        self.image = None if price.image is None else int(drawn * self.denominator)


class PriceTable:
    """Prices by provider id and model. Looks an exact name up first, then the longest glob that fits, then "*"."""

    def __init__(self, data: PriceData, rates: Rates) -> None:
        self.data = data
        self.rates = rates
        self._remembered: dict[tuple[str, str, bool], _PerToken | None] = {}

    @classmethod
    def load(cls, rates: Rates | None = None, *, own: PriceData | None = None) -> "PriceTable":
        """The table that ships with the package; `own` rows and `rates`, both a person's, come before it."""
        shipped = parse_prices(files("jackfield.money").joinpath("prices.toml").read_text(encoding="utf-8"), "prices.toml")
        data = shipped if own is None else _merged(shipped, own)
        chosen = rates or data.rates
        if chosen is None:
            raise BadRequest("prices.toml has no [rates]: give sats_per_usd and as_of", param="rates")
        return cls(data, chosen)

    def is_stale(self, today: date) -> bool:
        """Whether the numbers are too old to be relied on."""
        return (today - self.data.updated).days > self.data.stale_after_days

    def price(self, provider: str, model: str, *, is_local: bool = False) -> Price | None:
        """The row that applies; None is unpriced. What runs on this machine is free unless a row of its own says otherwise."""
        prices = self.data.providers.get(provider)
        found = _match(prices.models, model) if prices is not None else None
        return FREE if found is None and is_local else found

    def cost(self, provider: str, model: str, usage: Usage, *, is_local: bool = False) -> Money | None:
        """What `usage` costs, rounded up to a whole millisatoshi; None for an unpriced model."""
        rate = self._rate(provider, model, is_local)
        if rate is None:
            return None
        cached = min(max(usage.cached_tokens, 0), max(usage.prompt_tokens, 0))
        fresh = max(usage.prompt_tokens, 0) - cached
        total = fresh * rate.input + cached * rate.cached + max(usage.completion_tokens, 0) * rate.output
        if IMAGES in usage.extra:
            if rate.image is None and not usage.total_tokens:
                return None
            pictured = min(usage.extra.get(IMAGE_TOKENS, 0), fresh)
            total += pictured * (rate.image_input - rate.input) + usage.extra[IMAGES] * (rate.image or 0)
        return Money(-(-total // rate.denominator))

    def estimate(
        self, provider: str, model: str, prompt_tokens: int, completion_tokens: int, *, is_local: bool = False
    ) -> float | None:
        """The same in satoshi, not rounded, for tokens not yet spent; 0.0 is free, None is unpriced."""
        rate = self._rate(provider, model, is_local)
        if rate is None:
            return None
        return (prompt_tokens * rate.input + completion_tokens * rate.output) / (rate.denominator * MSAT_PER_SAT)

    def _rate(self, provider: str, model: str, is_local: bool) -> _PerToken | None:
        key = (provider, model, is_local)
        try:
            return self._remembered[key]
        except KeyError:
            price = self.price(provider, model, is_local=is_local)
            rate = None if price is None else _PerToken(price, self.rates)
            if len(self._remembered) >= REMEMBERED_MODELS:
                self._remembered.clear()
            self._remembered[key] = rate
            return rate


def parse_prices(text: str, origin: str) -> PriceData:
    """A price file. Raises BadRequest naming `origin` and the key that is wrong, with the nearest known one."""
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"{origin}: {error}", param=origin) from None
    _refuse_unknown(raw, origin)
    try:
        return msgspec.convert(raw, PriceData)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{origin}: {error}", param=origin) from None


def _match(models: Mapping[str, Price], model: str) -> Price | None:
    exact = models.get(model)
    if exact is not None:
        return exact
    globs = [pattern for pattern in models if not _WILD.isdisjoint(pattern) and fnmatchcase(model, pattern)]
    # Equally long globs: the first in alphabetical order, so that the answer does not hang on the file's order.
    return models[min(globs, key=lambda pattern: (-len(pattern), pattern))] if globs else None


def _merged(shipped: PriceData, own: PriceData) -> PriceData:
    providers = dict(shipped.providers)
    for provider, prices in own.providers.items():
        before = providers.get(provider)
        rows = {**before.models, **prices.models} if before is not None else prices.models
        providers[provider] = ProviderPrices(rows, prices.source or (before.source if before is not None else None))
    return msgspec.structs.replace(shipped, providers=providers, rates=own.rates or shipped.rates)


def _refuse_unknown(raw: Mapping[str, Any], origin: str) -> None:
    places: list[tuple[Mapping[str, Any], type[msgspec.Struct], str]] = [(raw, PriceData, "")]
    for provider, prices in _tables(raw.get("providers")):
        places.append((prices, ProviderPrices, f"providers.{provider}."))
        for model, price in _tables(prices.get("models")):
            places.append((price, Price, f"providers.{provider}.models.{model}."))
    for table, kind, where in places:
        known = kind.__struct_fields__
        for key in table:
            if key not in known:
                raise BadRequest(f"{origin}: unknown key {where}{key}{did_you_mean(key, known)}", param=f"{where}{key}")


def _tables(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    return [(key, item) for key, item in value.items() if isinstance(item, Mapping)] if isinstance(value, Mapping) else []
