from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.usage import Money, Usage

COUNTS = st.integers(0, 10**12)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS)


@given(USAGES, USAGES, USAGES)
def test_usage_adds_up_in_any_order(one: Usage, two: Usage, three: Usage) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + Usage() == one
    assert (one + two).total_tokens == one.total_tokens + two.total_tokens


@given(COUNTS, COUNTS)
def test_money_is_whole_msat_and_rounds_up_for_display_only(one: int, two: int) -> None:
    total = Money(one) + Money(two)
    assert total.msat == one + two
    assert total.sats_rounded_up * 1000 >= total.msat > (total.sats_rounded_up - 1) * 1000
    assert (Money(one) < Money(two)) == (one < two)


def test_sats_are_msat_through_a_thousand() -> None:
    assert Money(1500).sats == 1.5
    assert Money(1).sats_rounded_up == 1
    assert Money().sats_rounded_up == 0
