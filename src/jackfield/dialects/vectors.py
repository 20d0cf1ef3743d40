"""Vectors that a source gave back, checked before anybody trusts them. Pure; whose bytes they were in is not known here."""

from collections.abc import Sequence

from jackfield.core.errors import Malformed


def checked_vectors(vectors: Sequence[Sequence[float]], count: int) -> tuple[tuple[float, ...], ...]:
    """Raises Malformed for another number than `count`, for vectors of unequal length, and for empty ones."""
    if len(vectors) != count:
        raise Malformed(f"{count} inputs were sent but {len(vectors)} vectors came back")
    if len({len(vector) for vector in vectors}) > 1 or not all(vectors):
        raise Malformed("the vectors are empty or of unequal length")
    return tuple(tuple(vector) for vector in vectors)
