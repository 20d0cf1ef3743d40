"""The parts of an answer as a decoder opens and closes them: one that grows at a time, numbered as they begin.

Knows the events' law of rising indices; knows no wire format.
"""

from typing import Any

from jackfield.core.events import Event, PartEnded, PartKind, PartStarted


class OpenParts:
    """For decoders of sources that do not number parts themselves."""

    __slots__ = ("_count", "_kind", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._open = -1
        self._kind: PartKind = "text"

    def grow(self, kind: PartKind, events: list[Event], extra: dict[str, Any] | None = None) -> int:
        """The index of the open part if it is of this kind; else another is begun, with `extra`, and the open one ended."""
        if self._open >= 0 and self._kind == kind:
            return self._open
        self._open, self._kind = self.take(events), kind
        events.append(PartStarted(self._open, kind, extra=extra or {}))
        return self._open

    def take(self, events: list[Event]) -> int:
        """The next index, for a part that the caller begins and ends; the open one is ended."""
        self.close(events)
        self._count += 1
        return self._count - 1

    def close(self, events: list[Event]) -> None:
        if self._open >= 0:
            events.append(PartEnded(self._open))
            self._open = -1
