"""A chat answer over HTTP as events, whichever form it came in: once for every provider.

Knows the order of things: post, read as a stream or whole, close. What the bytes mean is told by the dialect's functions.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from jackfield.core.contracts import AnswerEvents, RawReply
from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply, Event, unfold
from jackfield.providers.http_source import Calls
from jackfield.providers.left_out import warned_reply, with_warnings

STREAM_TYPES = (b"text/event-stream",)


class Decoder(Protocol):
    """A dialect's reader of a stream."""

    def feed(self, data: bytes) -> list[Event]: ...
    def finish(self) -> list[Event]: ...


class Reading(msgspec.Struct, frozen=True):
    """How a dialect reads answers: whole ones, and streams with a fresh decoder each. `stream_types` begin the content type of
    a stream; all else is read whole."""

    whole: Callable[[bytes], ChatReply]
    decoder: Callable[[], Decoder]
    stream_types: tuple[bytes, ...] = STREAM_TYPES


@asynccontextmanager
async def chat_events(
    source: Calls,
    path: str,
    body: bytes,
    reading: Reading,
    *,
    model: str,
    warnings: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator["HttpAnswer"]:
    """Posts `body` and gives the answer's events; `warnings` go into `Started.extra`. Leaving the block closes upstream.

    Raises the mapped error, on entering or while iterating.
    """
    answer = await ask(source, path, body, reading, model=model, warnings=warnings, headers=headers)
    try:
        yield answer
    finally:
        await answer.aclose()


async def ask(
    source: Calls,
    path: str,
    body: bytes,
    reading: Reading,
    *,
    model: str,
    warnings: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> "HttpAnswer":
    """As `chat_events`, for who closes the answer by itself."""
    return HttpAnswer(source, await source.post(path, body, model=model, headers=headers), reading, model, warnings)


class HttpAnswer(AnswerEvents):
    """An answer's events. Those of one chunk are there at once, and an answer that came whole is there as a whole.

    Some servers answer a stream request with one JSON body: what came decides, not what was asked for.
    """

    __slots__ = ("_decoder", "_has_ended", "_is_whole", "_model", "_reading", "_ready", "_reply", "_source", "_warnings")

    def __init__(self, source: Calls, reply: RawReply, reading: Reading, model: str, warnings: Sequence[str]) -> None:
        kind = next((value for name, value in reply.headers if name == b"content-type"), b"")
        self._is_whole = not kind.startswith(reading.stream_types)
        self._source = source
        self._reply = reply
        self._reading = reading
        self._model = model
        self._warnings = warnings
        self._decoder: Decoder | None = None
        self._ready: deque[Event] = deque()
        self._has_ended = False

    def __aiter__(self) -> "HttpAnswer":
        return self

    async def __anext__(self) -> Event:
        ready = self._ready
        while not ready:
            if self._has_ended:
                raise StopAsyncIteration
            try:
                ready.extend(await self._read())
            except JackfieldError as error:
                self._has_ended = True
                raise self._failed(error) from error.__cause__
            except BaseException:
                self._has_ended = True
                raise
        return ready.popleft()

    def ready(self) -> list[Event]:
        """The events that came beside the last one: nobody has to be waited for."""
        events = list(self._ready)
        self._ready.clear()
        return events

    async def whole(self) -> ChatReply | None:
        """The answer, if it came whole and none of its events was taken yet; None for a stream. Raises the mapped error."""
        if not self._is_whole or self._has_ended:
            return None
        self._has_ended = True
        try:
            reply = self._reading.whole(await self._reply.read())
        except JackfieldError as error:
            raise self._failed(error) from error.__cause__
        return warned_reply(reply, self._warnings)

    async def aclose(self) -> None:
        """There are no events any more, and upstream is closed. Idempotent."""
        self._has_ended = True
        self._ready.clear()
        await self._reply.aclose()

    async def _read(self) -> Sequence[Event]:
        if self._is_whole:
            self._has_ended = True
            return unfold(warned_reply(self._reading.whole(await self._reply.read()), self._warnings))
        if self._decoder is None:
            self._decoder = self._reading.decoder()
        if chunk := await self._reply.chunk():
            events = self._decoder.feed(chunk)
        else:
            self._has_ended = True
            events = self._decoder.finish()
        return [with_warnings(event, self._warnings) for event in events] if self._warnings else events

    def _failed(self, error: JackfieldError) -> JackfieldError:
        return self._source.failed(error, "chat", self._model)
