"""Responses that clients may come back to, by id or as the beginning of the next request: in memory, within bounds.

Holds bytes and undecoded items; what they mean is the dialect's business. What one key's client was told no other finds.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

OVERHEAD_BYTES = 1024
"""What an entry takes besides its bytes: keys, objects, the list of items."""


class KeptResponse(msgspec.Struct, frozen=True):
    """`body` is the response as the client got it; `items` are all that it answered, what went before it included."""

    body: bytes
    items: tuple[msgspec.Raw, ...]
    kept_at: float

    @property
    def size_bytes(self) -> int:
        return len(self.body) + sum(memoryview(item).nbytes for item in self.items) + OVERHEAD_BYTES


class KeptResponses:
    """Least recently used goes first. `clock` gives monotonic seconds; `max_bytes` 0 keeps nothing."""

    def __init__(self, max_bytes: int, ttl_s: float, clock: Callable[[], float], *, max_count: int = 10_000) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._ttl_s = ttl_s
        self._max_count = max_count
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], KeptResponse] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key_name: str, id_: str, body: bytes, items: tuple[msgspec.Raw, ...]) -> bool:
        """False where one alone is over the bound."""
        # An item as it was decoded holds on to the whole body that it was a part of.
        kept = KeptResponse(bytes(body), tuple(item.copy() for item in items), self._clock())
        if kept.size_bytes > self.max_bytes:
            return False
        self.forget(key_name, id_)
        self._kept[key_name, id_] = kept
        self.size_bytes += kept.size_bytes
        while self.size_bytes > self.max_bytes or len(self._kept) > self._max_count:
            self._drop(next(iter(self._kept)))
        return True

    def get(self, key_name: str, id_: str) -> KeptResponse | None:
        kept = self._kept.get((key_name, id_))
        if kept is None:
            return None
        if self._clock() - kept.kept_at > self._ttl_s:
            self._drop((key_name, id_))
            return None
        self._kept.move_to_end((key_name, id_))
        return kept

    def forget(self, key_name: str, id_: str) -> bool:
        """False where there was none."""
        if self.get(key_name, id_) is None:
            return False
        self._drop((key_name, id_))
        return True

    def _drop(self, name: tuple[str, str]) -> None:
        self.size_bytes -= self._kept.pop(name).size_bytes
