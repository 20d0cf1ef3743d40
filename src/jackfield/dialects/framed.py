"""How stream decoders take bytes: frames out of bytes, events out of frames, an error told only after what came before it.

Knows the order of things and no format: what a frame is, is its framer's business, and what it means, its dialect's. Pure.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.events import Event

Frame = TypeVar("Frame")
Told = TypeVar("Told", covariant=True)


class Framer(Protocol[Told]):
    """Cuts bytes into frames. Both raise Malformed; `finish` for half a frame too."""

    def feed(self, chunk: bytes) -> Iterable[Told]: ...
    def finish(self) -> Iterable[Told]: ...


class FramedDecoder(ABC, Generic[Frame]):
    """Feed the bytes of one stream as they come; any split of them gives the same events.

    An error inside the stream is raised once the events before it have been handed out: at the latest by the next call.
    """

    def __init__(self, frames: Framer[Frame]) -> None:
        self._frames = frames
        self._failure: JackfieldError | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises Malformed, or what an error in the stream maps to."""
        self._raise_failure()
        return self._taken(self._frames.feed(chunk))

    def finish(self) -> list[Event]:
        """The last events, once the bytes have ended. Raises StreamBroken if the answer was not told to be whole."""
        self._raise_failure()
        try:
            events = self._taken(self._frames.finish())
            self._raise_failure()
        except Malformed:
            events = []  # half a frame: the stream was cut inside it
        self._bytes_ended(events)
        return events

    @abstractmethod
    def _take(self, frame: Frame, events: list[Event]) -> None:
        """Adds one frame's events; none for what comes after the end."""

    @abstractmethod
    def _bytes_ended(self, events: list[Event]) -> None:
        """Adds the last events. Raises StreamBroken if the answer was not told to be whole."""

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _taken(self, frames: Iterable[Frame]) -> list[Event]:
        events: list[Event] = []
        try:
            for frame in frames:
                self._take(frame, events)
        except JackfieldError as error:
            self._failure = error
            if not events:
                raise
        return events
