"""Deals the requests of a batch out to several models: each to whoever has the fewest of them at the moment.

Failures in a row weigh like running requests, so that a source which fails at once does not draw all of them. Knows names only.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Spread:
    """`models` in order of preference; none leaves the choice to each request. Used by any thread."""

    def __init__(self, models: Sequence[str]) -> None:
        self._running = dict.fromkeys(models, 0)
        self._dealt = dict.fromkeys(models, 0)
        self._failures = dict.fromkeys(models, 0)
        self._guard = threading.Lock()

    @contextmanager
    def turn(self, failed: str | None = None) -> Iterator[str | None]:
        """The model for one request while the block runs; another than `failed`, which was asked before, if there is one."""
        model = self._take(failed)
        has_failed = True
        try:
            yield model
            has_failed = False
        finally:
            if model is not None:
                with self._guard:
                    self._running[model] -= 1
                    self._failures[model] = self._failures[model] + 1 if has_failed else 0

    def _take(self, failed: str | None) -> str | None:
        with self._guard:
            open_to = [model for model in self._running if model != failed] or list(self._running)
            if not open_to:
                return None
            model = min(open_to, key=lambda each: (self._running[each] + self._failures[each], self._dealt[each]))
            self._running[model] += 1
            self._dealt[model] += 1
            return model
