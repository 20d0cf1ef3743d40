"""What OpenRouter tells beside chat, from a fake of its documented calls."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import ReportsCredit, ReportsGenerations, SearchesModels, SearchWish
from jackfield.core.errors import AuthFailed, Malformed, NotFound
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Money, Usage
from jackfield.money.prices import Price, PriceData, PriceTable, ProviderPrices
from jackfield.money.rates import Rates
from jackfield.providers.openrouter import OpenRouter, usd_per_million
from jackfield.testing.fake_openrouter import CATALOGUE, FakeOpenRouter
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenRouter]:
    async with FakeOpenRouter(CATALOGUE) as running:
        yield running


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:OPENROUTER_API_KEY": "sk-or-v1-0123456789"}) as made:
        yield made


@pytest.fixture
def provider(fake: FakeOpenRouter, tools: FakeTools) -> OpenRouter:
    return OpenRouter.create({"base_url": fake.base_url, "api_key": "env:OPENROUTER_API_KEY"}, tools)


@pytest.mark.behaviour("PROV-13")
async def test_the_catalogue_has_prices_per_million_and_in_sats(provider: OpenRouter) -> None:
    models = await provider.list_models()
    assert len(models) == 120
    pricing = models[0].pricing
    assert pricing == {"input": "1.25", "output": "10", "cached_input": "0.125"}
    price = msgspec.convert(pricing, Price)
    table = PriceTable(
        PriceData(date(2026, 1, 1), {"openrouter": ProviderPrices({"m": price})}), Rates(1000.0, date(2026, 1, 1))
    )
    assert table.cost("openrouter", "m", Usage(1_000_000, 100_000)) == Money(1000 * (1250 + 1000))


@pytest.mark.parametrize(
    ("pricing", "expected"),
    [
        ({"prompt": "0", "completion": "0"}, {"input": "0", "output": "0"}),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "0.000003"}, None),
        ({"prompt": "free", "completion": "1"}, None),
        ({"prompt": 3e-07, "completion": "0.0002"}, {"input": "0.3", "output": "200"}),
        ({}, None),
    ],
)
def test_a_price_that_is_not_told_or_varies_is_no_price(pricing: dict[str, Any], expected: Any) -> None:
    assert usd_per_million(pricing) == expected


@pytest.mark.behaviour("PROV-14")
async def test_the_credit_is_that_of_the_key_and_of_the_account(provider: OpenRouter, fake: FakeOpenRouter) -> None:
    assert isinstance(provider, ReportsCredit)
    credit = await provider.credit()
    assert (credit["limit"], credit["usage"], credit["remaining"], credit["currency"]) == (10, 2.5, 7.5, "USD")
    assert (credit["total_credits"], credit["total_usage"]) == (100.5, 25.75)
    fake.may_manage = False
    assert "total_credits" not in await provider.credit()


@pytest.mark.behaviour("PROV-15")
@pytest.mark.parametrize(
    ("wish", "ids"),
    [
        (SearchWish("llama 11", limit=9), ["meta-llama/llama-111", "meta-llama/llama-114", "meta-llama/llama-117"]),
        (SearchWish("model 1", provider="anthropic", limit=2), ["anthropic/model-1", "anthropic/model-10"]),
        (SearchWish("llama", modality="image"), []),
        (SearchWish("model-11", modality="image", limit=3), ["openai/model-11", "openai/model-110", "anthropic/model-112"]),
    ],
)
async def test_the_catalogue_is_searched(wish: SearchWish, ids: list[str], provider: OpenRouter) -> None:
    assert isinstance(provider, SearchesModels)
    assert [model.id for model in await provider.search_models(wish)] == ids


async def test_a_modality_that_is_not_told_fits_no_wish(provider: OpenRouter, fake: FakeOpenRouter) -> None:
    fake.models = [{"id": "acme/untold"}, CATALOGUE[1]]
    found = await provider.search_models(SearchWish(modality="image"))
    assert [model.id for model in found] == ["anthropic/model-1"]


@pytest.mark.behaviour("PROV-16")
async def test_a_past_answer_can_be_asked_about(provider: OpenRouter) -> None:
    assert isinstance(provider, ReportsGenerations)
    stats = await provider.generation("gen-1")
    assert (stats["tokens_prompt"], stats["tokens_completion"], stats["total_cost"]) == (10, 25, 0.0015)
    with pytest.raises(NotFound, match="generation 'gen-1&x=2' is not there"):
        await provider.generation("gen-1&x=2")


async def test_faults_are_mapped(provider: OpenRouter, fake: FakeOpenRouter) -> None:
    fake.behaviour = Behaviour(body=b'{"data": []}', everywhere=True)
    with pytest.raises(Malformed):
        await provider.credit()
    fake.behaviour = Behaviour(status=401, message="No auth credentials found", everywhere=True)
    with pytest.raises(AuthFailed):
        await provider.generation("gen-1")


@pytest.mark.behaviour("PROV-12")
async def test_preferences_and_the_callers_name_go_through(fake: FakeOpenRouter, tools: FakeTools) -> None:
    names = {"HTTP-Referer": "https://example.org", "X-Title": "Example"}
    prefers = {"order": ["acme"], "sort": "price"}
    config = {
        "base_url": fake.base_url,
        "api_key": "env:OPENROUTER_API_KEY",
        "headers": names,
        "extra_body": {"provider": prefers},
    }
    provider = OpenRouter.create({**config, "model": "openai/model-2"}, tools)
    async with provider.open(ChatRequest((text_message("user", "ping"),))) as events:
        reply = await fold(events)
    assert reply.text == "pong"
    assert fake.last.json["provider"] == prefers
    assert (fake.last.headers["http-referer"], fake.last.headers["x-title"]) == ("https://example.org", "Example")
    assert "warnings" not in reply.extra
