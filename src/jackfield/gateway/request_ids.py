"""Request ids: a prefix of this run and a counter. Cheap, unique across restarts, and sortable within a run."""

from itertools import count


class RequestIds:
    """Call it for the next id, e.g. `req-9f2c41aa-1b`. `run` is random and chosen once per process."""

    def __init__(self, run: str) -> None:
        self._prefix = f"req-{run}-"
        self._next = count(1).__next__

    def __call__(self) -> str:
        return f"{self._prefix}{self._next():x}"
