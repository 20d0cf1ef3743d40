"""OpenRouter: the family's adapter over its row, and what only it tells: credit, prices, a catalogue to search, past answers.

Knows those four calls. Chat is the row's; a request's `provider` object (order, sort, max_price ...) goes through as it is.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Unpack

import msgspec

from jackfield.core.contracts import (
    ListsModels,
    Provider,
    ProviderType,
    ReportsCredit,
    ReportsGenerations,
    SearchesModels,
    SearchWish,
)
from jackfield.core.errors import NotAllowed
from jackfield.core.profiles import ModelProfile
from jackfield.providers.http_json import decoded, path_part, read_reply
from jackfield.providers.model_list import Wanted, decode_models
from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.presets import Preset, load_presets

KEY_PATH = "key"
CREDITS_PATH = "credits"
GENERATION_PATH = "generation"
_PRICES = {"input": "prompt", "output": "completion", "cached_input": "input_cache_read"}
_PER_MILLION = 1_000_000


class OpenRouter(OpenAICompatible):
    """A provider type of its own for what no row can say; its chat is every row's."""

    preset: ClassVar[Preset] = load_presets()["openrouter"]

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """As every row, with prices as `usd_per_million` gives them. Raises Upstream errors and AuthFailed."""
        return tuple(map(_priced, await super().list_models(**wanted)))

    async def search_models(self, wish: SearchWish) -> tuple[ModelProfile, ...]:
        """In the catalogue's order, which is the newest first. A model whose modalities are not told fits no such wish."""
        reply = await self._source.get("models", operation="search models")
        found = await read_reply(self._source, reply, lambda body: matching(body, self.card.id, wish), "search models", None)
        return found[: wish.limit]

    async def credit(self) -> Mapping[str, Any]:
        """In US dollars: `limit` of this key (None: none), `usage`, `remaining`; `total_credits` and `total_usage` of the
        account where the key may see them."""
        reply = await self._source.get(KEY_PATH, operation="credit")
        key = await read_reply(self._source, reply, decode_data, "credit", None)
        told: dict[str, Any] = {name: key.get(name) for name in ("label", "limit", "usage", "is_free_tier")}
        told |= {"currency": "USD", "remaining": key.get("limit_remaining")}
        return told | await self._account()

    async def _account(self) -> dict[str, Any]:
        """Of the account: only keys that manage others may see it."""
        try:
            reply = await self._source.get(CREDITS_PATH, operation="credit of the account")
        except NotAllowed:
            return {}
        account = await read_reply(self._source, reply, decode_data, "credit of the account", None)
        return {name: account.get(name) for name in ("total_credits", "total_usage")}

    async def generation(self, generation_id: str) -> Mapping[str, Any]:
        """What it says of one answer by the answer's id: tokens, `total_cost` in US dollars, who served it. Raises NotFound."""
        path = f"{GENERATION_PATH}?id={path_part(generation_id)}"
        reply = await self._source.get(path, operation="generation", missing=f"generation {generation_id!r}")
        return await read_reply(self._source, reply, decode_data, "generation", None)


class _Data(msgspec.Struct):
    data: dict[str, Any]


class _Architecture(msgspec.Struct):
    input_modalities: list[str] = []
    output_modalities: list[str] = []


class _Entry(msgspec.Struct):
    id: str
    architecture: _Architecture | None = None


class _Catalogue(msgspec.Struct):
    data: list[_Entry]


def decode_data(body: bytes) -> dict[str, Any]:
    return decoded(body, _Data, "the answer").data


def matching(body: bytes, source: str, wish: SearchWish) -> tuple[ModelProfile, ...]:
    """The models of a catalogue that are known to fit the wish."""
    profiles = decode_models(body, source)
    entries = decoded(body, _Catalogue, "the catalogue").data
    return tuple(_priced(profile) for profile, entry in zip(profiles, entries, strict=True) if _fits(profile, entry, wish))


def _fits(profile: ModelProfile, entry: _Entry, wish: SearchWish) -> bool:
    words = f"{profile.id} {profile.name or ''}".lower()
    served_by = profile.id.partition("/")[0].lower()
    kinds = entry.architecture or _Architecture()
    return (
        all(word in words for word in wish.query.lower().split())
        and wish.provider in (None, served_by)
        and (wish.modality is None or wish.modality in (*kinds.input_modalities, *kinds.output_modalities))
    )


def _priced(profile: ModelProfile) -> ModelProfile:
    return msgspec.structs.replace(profile, pricing=usd_per_million(profile.pricing or {}))


def usd_per_million(pricing: Mapping[str, Any]) -> dict[str, str] | None:
    """US dollars per million tokens, as money/prices.py wants them, from OpenRouter's US dollars per token (exact decimals).

    None where the price is not told or varies (it writes -1).
    """
    amounts = dict(_amounts(pricing))
    return amounts if {"input", "output"} <= amounts.keys() else None


def _amounts(pricing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for ours, theirs in _PRICES.items():
        try:
            amount = Decimal(str(pricing[theirs])) * _PER_MILLION
        except (KeyError, InvalidOperation):
            continue
        if amount.is_finite() and amount >= 0:
            yield ours, f"{amount.normalize():f}"


def _satisfies() -> tuple[
    type[ProviderType], type[Provider], type[ListsModels], type[ReportsCredit], type[SearchesModels], type[ReportsGenerations]
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = OpenRouter
    return made, made, made, made, made, made
