from datetime import date

import pytest

from jackfield.money.rates import Rates


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_must_be_a_positive_number(bad: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Rates(bad, date(2026, 1, 1))


def test_a_rate_grows_stale_with_its_date() -> None:
    rates = Rates(1000.0, date(2026, 1, 1))
    assert not rates.is_stale(date(2026, 1, 31))
    assert rates.is_stale(date(2026, 2, 1))
