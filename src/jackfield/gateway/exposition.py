"""Figures as Prometheus reads them: text exposition format 0.0.4. Knows the format, and nothing of what is counted.

Source: prometheus.io/docs/instrumenting/exposition_formats (2026-11).
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import msgspec

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["counter", "gauge", "histogram"]
Sample = tuple[str, str, float]
"""What stands behind the family's name ("", "_bucket", ...), the labels as `written` gives them, the value."""

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_ESCAPED_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Family(msgspec.Struct, frozen=True):
    """One metric with all its samples."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


class Histogram:
    """Counts values into buckets; `bounds` are upper bounds, rising, and a last one without bound comes by itself."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def samples(self, labels: str) -> Iterator[Sample]:
        before = f"{labels}," if labels else ""
        for bound, count in zip(_bounds(self.bounds), accumulate(self.counts), strict=True):
            yield "_bucket", before + bound, count
        yield "_sum", labels, self.sum
        yield "_count", labels, sum(self.counts)


def render(families: Iterable[Family]) -> bytes:
    """The families as one document. What UTF-8 cannot write becomes a question mark."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.help.translate(_ESCAPED_HELP)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        name = family.name
        lines.extend(
            f"{name}{suffix}{{{labels}}} {value}" if labels and type(value) is int else _line(name, suffix, labels, value)
            for suffix, labels, value in family.samples
        )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def written(*labels: tuple[str, str]) -> str:
    """Names and values as they stand between the braces."""
    return ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels)


def number(value: float) -> str:
    """`value` as the format writes it."""
    if isinstance(value, int):
        return str(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)


def _line(name: str, suffix: str, labels: str, value: float) -> str:
    return f"{name}{suffix}{{{labels}}} {number(value)}" if labels else f"{name}{suffix} {number(value)}"


@lru_cache(maxsize=16)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(written(("le", number(bound))) for bound in (*bounds, math.inf))
