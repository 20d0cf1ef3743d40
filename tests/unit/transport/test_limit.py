import pytest

from jackfield.core.errors import BadRequest
from jackfield.transport.limit import Limits, Timeouts


def test_the_defaults_are_the_documented_ones() -> None:
    limits = Timeouts()
    assert (limits.connect_s, limits.first_byte_s, limits.idle_s, limits.total_s) == (5.0, 120.0, 60.0, 300.0)
    assert limits.shortest_s == 60.0
    assert (Limits().header_bytes, Limits().body_bytes) == (65536, 64 * 1024 * 1024)


@pytest.mark.parametrize("name", ["connect_s", "first_byte_s", "idle_s", "total_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_timeout_must_leave_some_time(name: str, value: float) -> None:
    with pytest.raises(BadRequest, match=name):
        Timeouts(**{name: value})


def test_limits_are_not_negative() -> None:
    with pytest.raises(BadRequest, match="buffer_bytes"):
        Limits(buffer_bytes=-1)
