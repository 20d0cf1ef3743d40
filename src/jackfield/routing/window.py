"""The last measurements of something, with their mean and percentiles at hand. Pure; five kilobytes at most."""

from bisect import bisect_left, insort
from math import ceil, isfinite

SIZE = 128


class Window:
    """Keeps the last `size` values, in the order of their coming and sorted, so that reading a percentile is a look-up."""

    __slots__ = ("_at", "_ring", "_size", "_sorted", "_sum")

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._ring: list[float] = []
        self._sorted: list[float] = []
        self._at = 0
        self._sum = 0.0

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, value: float) -> None:
        """Values that are no finite number are left out."""
        if not isfinite(value):
            return
        ring, ordered = self._ring, self._sorted
        if len(ring) < self._size:
            ring.append(value)
            self._sum += value
        else:
            old = ring[self._at]
            del ordered[bisect_left(ordered, old)]
            ring[self._at] = value
            self._at += 1
            if self._at == self._size:
                self._at = 0
                self._sum = sum(ring)  # once a round, so that rounding does not add up
            else:
                self._sum += value - old
        insort(ordered, value)

    @property
    def mean(self) -> float | None:
        return self._sum / len(self._ring) if self._ring else None

    def percentile(self, percent: float) -> float | None:
        """The smallest value that at least `percent` of all are not above (nearest rank); None without values."""
        count = len(self._sorted)
        return self._sorted[min(count, max(1, ceil(count * percent / 100))) - 1] if count else None
