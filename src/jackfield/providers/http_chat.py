"""A chat answer over HTTP as events, whichever form it came in: once for every provider.

Knows the order of things: post, read as a stream or whole, close. What the bytes mean is told by the dialect's functions.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

import msgspec

from jackfield.core.contracts import RawReply
from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply, Event, unfold
from jackfield.providers.http_source import Calls
from jackfield.providers.left_out import with_warnings

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
) -> AsyncIterator[AsyncIterator[Event]]:
    """Posts `body` and gives the answer's events; `warnings` go into `Started.extra`. Leaving the block closes upstream.

    Raises the mapped error, on entering or while iterating.
    """
    reply = await source.post(path, body, model=model, headers=headers)
    events = _events(source, reply, reading, model, warnings)
    try:
        yield events
    finally:
        await events.aclose()
        await reply.aclose()


async def _events(
    source: Calls, reply: RawReply, reading: Reading, model: str, warnings: Sequence[str]
) -> AsyncGenerator[Event, None]:
    """Some servers answer a stream request with one JSON body: what came decides, not what was asked for."""
    try:
        kind = next((value for name, value in reply.headers if name == b"content-type"), b"")
        parts = _streamed(reply, reading) if kind.startswith(reading.stream_types) else _whole(reply, reading)
        async with aclosing(parts):
            async for event in parts:
                yield with_warnings(event, warnings)
    except JackfieldError as error:
        raise source.failed(error, "chat", model) from error.__cause__


async def _streamed(reply: RawReply, reading: Reading) -> AsyncGenerator[Event, None]:
    decoder = reading.decoder()
    while chunk := await reply.chunk():
        for event in decoder.feed(chunk):
            yield event
    for event in decoder.finish():
        yield event


async def _whole(reply: RawReply, reading: Reading) -> AsyncGenerator[Event, None]:
    for event in unfold(reading.whole(await reply.read())):
        yield event
