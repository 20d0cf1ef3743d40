import math
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.core.usage import Money, Usage
from jackfield.money.prices import REMEMBERED_MODELS, PriceTable, parse_prices
from jackfield.money.rates import Rates

RATES = Rates(1250.0, date(2026, 1, 1))
TABLE = """
updated = 2026-01-01

[providers.shop.models]
"exact" = { input = 2.5, cached_input = 0.25, output = 10.0 }
"exact*" = { input = 99.0, output = 99.0 }
"fam-*" = { input = 1.0, output = 2.0 }
"fam-mini-*" = { input = 0.1, output = 0.2 }
"gift" = { input = 0.0, output = 0.0 }

[providers.flat.models]
"*" = { input = 3.0, output = 4.0 }
"known" = { input = 1.0, output = 1.0 }
"""


USD_IN_MSAT = 1_250_000


@pytest.mark.parametrize(
    ("model", "usage", "msat"),
    [
        ("painter", Usage(extra={"images": 2}), 0.08 * USD_IN_MSAT),
        ("painter", Usage(50, 0, extra={"images": 1}), (0.04 + 50 * 1e-6) * USD_IN_MSAT),
        ("drawer", Usage(100, 1000, extra={"images": 1}), (100 * 5e-6 + 1000 * 40e-6) * USD_IN_MSAT),
        ("drawer", Usage(100, 1000, extra={"images": 1, "image_tokens": 60}), (40 * 5e-6 + 60 * 10e-6 + 0.04) * USD_IN_MSAT),
        ("drawer", Usage(extra={"images": 1}), None),
        ("nobody-knows", Usage(extra={"images": 1}), None),
    ],
)
def test_drawn_images_cost_what_is_known_and_else_nothing_is_said(model: str, usage: Usage, msat: float | None) -> None:
    told = """
updated = 2026-01-01
[providers.shop.models]
"painter" = { input = 1.0, output = 0.0, image = 0.04 }
"drawer" = { input = 5.0, output = 40.0, image_input = 10.0 }
"""
    table = PriceTable(parse_prices(told, "test.toml"), RATES)
    cost = table.cost("shop", model, usage)
    assert (cost and cost.msat) == (msat and math.ceil(round(msat, 6)))
    assert table.cost("shop", "any", usage, is_local=True) == Money(0)


@pytest.fixture
def table() -> PriceTable:
    return PriceTable(parse_prices(TABLE, "test.toml"), RATES)


@pytest.mark.parametrize(
    ("provider", "model", "input_usd"),
    [
        ("shop", "exact", "2.5"),
        ("shop", "exactly", "99.0"),
        ("shop", "fam-large", "1.0"),
        ("shop", "fam-mini-1", "0.1"),
        ("flat", "known", "1.0"),
        ("flat", "anything", "3.0"),
    ],
)
def test_the_exact_name_wins_then_the_longest_glob_then_the_star(
    table: PriceTable, provider: str, model: str, input_usd: str
) -> None:
    price = table.price(provider, model)
    assert price is not None
    assert price.input == Decimal(input_usd)


def test_the_order_of_rows_does_not_decide_between_globs_of_one_length() -> None:
    rows = ['"a*" = { input = 1.0, output = 1.0 }', '"*z" = { input = 2.0, output = 2.0 }']
    heads = "updated = 2026-01-01\n[providers.p.models]\n"
    tables = [PriceTable(parse_prices(heads + "\n".join(order), "t"), RATES) for order in (rows, rows[::-1])]
    assert tables[0].price("p", "a-z") == tables[1].price("p", "a-z")


def test_unpriced_is_none_and_free_is_zero(table: PriceTable) -> None:
    usage = Usage(10, 10)
    assert table.cost("shop", "nobody-knows", usage) is None
    assert table.cost("no-such-shop", "exact", usage) is None
    assert table.estimate("shop", "nobody-knows", 10, 10) is None
    assert table.cost("shop", "gift", usage) == Money(0)
    assert table.estimate("shop", "gift", 10, 10) == 0.0
    gift = table.price("shop", "gift")
    assert gift is not None
    assert gift.is_free


def test_what_runs_here_is_free_unless_a_row_prices_it(table: PriceTable) -> None:
    assert table.cost("my-engine", "any.gguf", Usage(1000, 1000), is_local=True) == Money(0)
    assert table.estimate("my-engine", "any.gguf", 1, 1, is_local=True) == 0.0
    assert table.cost("my-engine", "any.gguf", Usage(1000, 1000)) is None
    priced = table.cost("flat", "known", Usage(1000, 0), is_local=True)
    assert priced is not None
    assert priced.msat > 0


@pytest.mark.behaviour("ADPT-18")
def test_an_estimate_equals_the_hand_computed_satoshi(table: PriceTable) -> None:
    by_hand = (1234 * 2.5 + 567 * 10.0) / 1_000_000 * 1250.0
    assert table.estimate("shop", "exact", 1234, 567) == pytest.approx(by_hand, abs=1e-9)


@given(
    prompt=st.integers(0, 10**9),
    completion=st.integers(0, 10**9),
    cents=st.tuples(st.integers(0, 100_000), st.integers(0, 100_000)),
    sats_per_usd=st.floats(0.01, 1e6),
)
@settings(max_examples=100)
def test_an_estimate_is_exact_for_any_price(prompt: int, completion: int, cents: tuple[int, int], sats_per_usd: float) -> None:
    row = f"updated = 2026-01-01\n[providers.p.models]\nm = {{ input = {cents[0] / 100}, output = {cents[1] / 100} }}"
    table = PriceTable(parse_prices(row, "t"), Rates(sats_per_usd, date(2026, 1, 1)))
    usd = (prompt * Fraction(cents[0], 100) + completion * Fraction(cents[1], 100)) / 1_000_000
    sats = usd * Fraction(str(sats_per_usd))
    estimate = table.estimate("p", "m", prompt, completion)
    assert estimate == pytest.approx(float(sats), abs=1e-9, rel=1e-12)
    cost = table.cost("p", "m", Usage(prompt, completion))
    assert cost == Money(math.ceil(sats * 1000))


def test_a_cost_is_rounded_up_to_a_whole_msat(table: PriceTable) -> None:
    assert table.cost("shop", "fam-mini-x", Usage(1, 0)) == Money(1)
    assert table.cost("shop", "fam-mini-x", Usage(0, 0)) == Money(0)


def test_cached_tokens_cost_their_own_rate_and_the_full_one_where_none_is_known(table: PriceTable) -> None:
    with_discount = table.cost("shop", "exact", Usage(1_000_000, 0, cached_tokens=400_000))
    assert with_discount == Money(int((600_000 * 2.5 + 400_000 * 0.25) / 1e6 * 1250 * 1000))
    full = table.cost("shop", "fam-large", Usage(1_000_000, 0))
    assert table.cost("shop", "fam-large", Usage(1_000_000, 0, cached_tokens=400_000)) == full


@pytest.mark.parametrize("usage", [Usage(10, 0, cached_tokens=99), Usage(10, 0, cached_tokens=10)])
def test_more_cached_tokens_than_prompt_tokens_never_make_a_cost_negative(table: PriceTable, usage: Usage) -> None:
    assert table.cost("shop", "exact", usage) == table.cost("shop", "exact", Usage(10, 0, cached_tokens=10))


def test_what_is_remembered_of_model_names_is_bounded(table: PriceTable) -> None:
    for number in range(REMEMBERED_MODELS + 10):
        table.cost("shop", f"invented-{number}", Usage(1, 1))
    assert len(table._remembered) <= REMEMBERED_MODELS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("updated = ", "t.toml"),
        ("updated = 2026-01-01\nstale_afer_days = 3\n[providers]", "did you mean 'stale_after_days'"),
        ("updated = 2026-01-01\n[providers.p]\nmodel = {}", "did you mean 'models'"),
        ("updated = 2026-01-01\n[providers.p.models]\nm = { imput = 1.0, output = 1.0 }", "did you mean 'input'"),
        ("updated = 2026-01-01\n[providers.p.models]\nm = { input = 1.0 }", "output"),
        ("updated = 2026-01-01\n[providers.p.models]\nm = { input = -1.0, output = 1.0 }", "0 or more"),
        ("updated = 2026-01-01\n[providers.p.models]\nm = { input = nan, output = 1.0 }", "0 or more"),
        ('updated = 2026-01-01\n[providers.p.models]\nm = { input = "dear", output = 1.0 }', "input"),
        ("[providers]", "updated"),
        ("updated = 2026-01-01\n[providers]\n[rates]\nsats_per_usd = 0.0\nas_of = 2026-01-01", "positive"),
    ],
)
def test_a_wrong_price_file_names_itself_and_the_key(text: str, told: str) -> None:
    with pytest.raises(BadRequest, match=r"t\.toml") as refused:
        parse_prices(text, "t.toml")
    assert told in str(refused.value)


def test_the_table_that_ships_is_dated_sourced_and_says_when_it_is_stale() -> None:
    table = PriceTable.load()
    assert table.data.stale_after_days == 120
    assert "check before relying" in table.data.note
    assert not table.is_stale(table.data.updated)
    assert not table.is_stale(date.fromordinal(table.data.updated.toordinal() + 120))
    assert table.is_stale(date.fromordinal(table.data.updated.toordinal() + 121))
    assert all(prices.source for prices in table.data.providers.values())
    assert sum(len(prices.models) for prices in table.data.providers.values()) >= 36
    assert {"openai", "groq", "mistral", "deepseek"} <= set(table.data.providers)


def test_prices_that_ship_do_not_swallow_other_models_of_the_family() -> None:
    table = PriceTable.load()
    mini, full = table.price("openai", "gpt-4o-mini-2024-07-18"), table.price("openai", "gpt-4o-2024-08-06")
    assert mini is not None
    assert full is not None
    assert mini.input < full.input
    assert table.price("openai", "gpt-4o-realtime-preview") is None
    assert table.price("openai", "gpt-5-pro") is None
    free = table.price("openrouter", "some/model:free")
    assert free is not None
    assert free.is_free


def test_own_rows_and_rates_come_before_those_that_ship() -> None:
    own = parse_prices(
        'updated = 2026-01-01\n[providers.openai.models]\n"gpt-4o" = { input = 1.0, output = 1.0 }\n'
        '[providers.akash.models]\n"*" = { input = 0.1, output = 0.1 }',
        "own.toml",
    )
    table = PriceTable.load(RATES, own=own)
    assert table.estimate("openai", "gpt-4o", 1_000_000, 0) == pytest.approx(1250.0)
    assert table.estimate("akash", "llama", 1_000_000, 0) == pytest.approx(125.0)
    assert table.price("openai", "gpt-4o-mini") is not None
