import pytest

from jackfield.core.errors import Malformed
from jackfield.dialects.vectors import checked_vectors


def test_vectors_of_one_length_pass() -> None:
    assert checked_vectors([[1.0, 2.0], [3.0, 4.0]], 2) == ((1.0, 2.0), (3.0, 4.0))
    assert checked_vectors([], 0) == ()


@pytest.mark.parametrize(("vectors", "count"), [([[1.0]], 2), ([[1.0], [1.0, 2.0]], 2), ([[], []], 2)])
def test_others_are_told(vectors: list[list[float]], count: int) -> None:
    with pytest.raises(Malformed):
        checked_vectors(vectors, count)
