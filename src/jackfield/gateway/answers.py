"""An answer on its way to the client, in one of four makes: whole or streamed, passed through or translated.

Each make gives the relay step bytes in the door's dialect and knows, when they are out, the usage. Whoever opens an answer
closes it; closing early cuts upstream.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from jackfield.core.contracts import AnswerEvents, Provider, RawReply
from jackfield.core.errors import JackfieldError, StreamBroken, TimedOut
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    Folder,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verdict,
    VoiceEnded,
    VoiceStarted,
    unfold,
)
from jackfield.core.requests import ChatRequest
from jackfield.gateway.call import Call
from jackfield.gateway.dialect import Encoder

if TYPE_CHECKING:
    from jackfield.gateway.continuation import Said

DRAIN_WITHIN_S = 1.0
STOPPED_EARLY = "the source stopped in the middle of its answer; ask again, or another slot"


class PlainAnswer(Protocol):
    """A whole answer."""

    async def body(self, call: Call) -> bytes:
        """The bytes for the client; sets the call's usage and times. Raises any JackfieldError."""
        ...

    async def aclose(self) -> None: ...


class StreamAnswer(Protocol):
    """A streamed answer. `is_last` becomes true with the chunk that completes it; `pieces` counts its events with content.

    `can_be_late` is false while nothing can be told from silence. `said` is what another source needs to go on with it.
    """

    is_last: bool
    said: "Said | None"

    @property
    def pieces(self) -> int: ...
    @property
    def can_be_late(self) -> bool: ...

    async def chunk(self, call: Call) -> bytes:
        """The next bytes for the client, perhaps empty; never called again once `is_last`. Raises any JackfieldError."""
        ...

    async def aclose(self) -> None: ...


class PassedPlain:
    """The upstream's own bytes, whole."""

    __slots__ = ("_reply",)

    def __init__(self, reply: RawReply) -> None:
        self._reply = reply

    async def body(self, call: Call) -> bytes:
        body = await self._reply.read()
        call.upstream_at = perf_counter()
        try:
            call.usage = call.dialect.reply_usage(body)
        except JackfieldError as error:
            error.provider = error.provider or (call.binding.info.id if call.binding is not None else None)
            raise
        return body

    async def aclose(self) -> None:
        await self._reply.aclose()


class FoldedPlain:
    """A provider's events, folded and encoded for the door."""

    __slots__ = ("_provider", "_request")

    def __init__(self, provider: Provider, request: ChatRequest) -> None:
        self._provider = provider
        self._request = request

    async def body(self, call: Call) -> bytes:
        async with self._provider.open(self._request) as events:
            reply = await events.whole() if isinstance(events, AnswerEvents) else None
            if reply is None:
                reply = await _folded(events, call)
        call.warnings = _warnings(self._request.warnings, reply.extra)
        call.upstream_at = perf_counter()
        if call.first_token_at is None:
            call.first_token_at = call.upstream_at
        call.usage = reply.usage
        call.model = reply.model
        return call.dialect.encode_reply(reply, call.request_id, int(call.at))

    async def aclose(self) -> None:
        """Nothing is held between calls: `body` opens and closes."""


async def _folded(events: AsyncIterator[Event], call: Call) -> ChatReply:
    folder = Folder()
    async for event in events:
        if call.first_token_at is None and not isinstance(event, Started):
            call.first_token_at = perf_counter()
        folder.add(event)
    return folder.reply()


class PassedStream:
    """The upstream's own stream, watched while it passes."""

    __slots__ = ("_relay", "_reply", "is_last", "said")
    can_be_late = True

    def __init__(self, reply: RawReply, call: Call, provider: str) -> None:
        self._reply = reply
        self._relay = call.dialect.relay(provider, call.show_usage)
        self.is_last = False
        self.said: Said | None = None

    @property
    def pieces(self) -> int:
        return self._relay.pieces

    async def chunk(self, call: Call) -> bytes:
        relay = self._relay
        try:
            arrived = await self._reply.chunk()
        except (StreamBroken, TimedOut):
            if not relay.finished:
                raise
            arrived = b""  # all was said: a connection that is torn down after it takes nothing back
        out = relay.feed(arrived) if arrived else self._end(call)
        if call.first_token_at is None:
            call.upstream_at = perf_counter()
            if relay.has_content:
                call.first_token_at = call.upstream_at
        if relay.error is not None:
            raise relay.error
        if relay.done:
            self.is_last = True
        call.usage = relay.usage
        return out

    def _end(self, call: Call) -> bytes:
        """Upstream closed its stream: whole if it had said so, by an end mark or a finish reason; else broken."""
        relay = self._relay
        out = relay.finish()
        if relay.error is None and not relay.done:
            if not relay.finished:
                raise StreamBroken(STOPPED_EARLY)
            out += call.dialect.stream_end()
        self.is_last = True
        return out

    async def aclose(self) -> None:
        """Reads the few bytes after the end mark so that the connection can be used again; else cuts it."""
        if self.is_last:
            # Past this point the answer is whole: how its connection ends is nobody's trouble.
            with suppress(JackfieldError, TimeoutError):
                async with asyncio.timeout(DRAIN_WITHIN_S):
                    while await self._reply.chunk():
                        pass
        await self._reply.aclose()


class EncodedStream:
    """A provider's events, encoded for the door as they come. How long the first may take is the provider's to say.

    Events that came together leave together. `left_out`: what of the client's request the provider was not told.
    """

    __slots__ = (
        "_encoder",
        "_events",
        "_failure",
        "_has_finished",
        "_left_out",
        "_opened",
        "_ready",
        "is_last",
        "pieces",
        "said",
    )

    def __init__(self, opened: AbstractAsyncContextManager[AsyncIterator[Event]], left_out: tuple[str, ...] = ()) -> None:
        self._opened = opened
        self._left_out = left_out
        self._events: AsyncIterator[Event] | None = None
        self._ready: Callable[[], Sequence[Event]] | None = None
        self._failure: JackfieldError | None = None
        self._encoder: Encoder | None = None
        self._has_finished = False
        self.is_last = False
        self.pieces = 0
        self.said: Said | None = None

    @property
    def can_be_late(self) -> bool:
        return self.pieces > 0

    async def open(self) -> None:
        events = await self._opened.__aenter__()
        self._events = events
        if isinstance(events, AnswerEvents):
            self._ready = events.ready

    async def chunk(self, call: Call) -> bytes:
        assert self._events is not None
        if self._failure is not None:
            raise self._failure
        event = await anext(self._events, None)
        if event is None:
            if self._encoder is None or not self._has_finished:
                raise StreamBroken(STOPPED_EARLY)
            self.is_last = True
            return self._encoder.end()
        out = self._told(event, call)
        if self._ready is None or not (others := self._ready()):
            return out
        return self._told_together(out, others, call)

    def _told_together(self, out: bytes, others: Sequence[Event], call: Call) -> bytes:
        """What goes wrong among them is raised by the next call: what was encoded before it is counted as said."""
        pieces = [out]
        try:
            for event in others:
                pieces.append(self._told(event, call))
        except JackfieldError as error:
            self._failure = error.without_trace()
        return b"".join(pieces)

    def _told(self, event: Event, call: Call) -> bytes:
        self._note(event, call)
        return b"" if self._encoder is None else self._encode(event, self._encoder)

    def _encode(self, event: Event, encoder: Encoder) -> bytes:
        return encoder.encode(event)

    def _note(self, event: Event, call: Call) -> None:
        match event:
            case TextDelta() | ReasoningDelta() | ToolCallDelta():
                self.pieces += 1
                if call.first_token_at is None:
                    call.first_token_at = perf_counter()
            case Started():
                call.model = event.model
                call.warnings = _warnings(self._left_out, event.extra)
                call.upstream_at = perf_counter()
                if self._encoder is None:
                    self._encoder = call.dialect.encoder(call.request_id, int(call.at), event.model, call.show_usage)
            case UsageReported():
                call.usage = event.usage
            case Finished():
                self._has_finished = True
            case PartStarted() | PartEnded() | VoiceStarted() | VoiceEnded() | Verdict():
                pass
            case _:
                assert_never(event)

    async def aclose(self) -> None:
        if self._events is not None:
            self._events = None
            await self._opened.__aexit__(None, None, None)


def _warnings(left_out: tuple[str, ...], extra: Mapping[str, Any]) -> tuple[str, ...]:
    """What was left out here, and what the provider says that it left out (`Started.extra`)."""
    told = extra.get("warnings")
    return (*left_out, *(map(str, told) if isinstance(told, list | tuple) else ()))


class ConvertedStream:
    """A whole answer, for a client that wanted a stream, from a source that does not stream."""

    __slots__ = ("_body", "is_last", "said")
    pieces = 0
    can_be_late = False

    def __init__(self, reply: RawReply) -> None:
        self._body = PassedPlain(reply)
        self.is_last = False
        self.said: Said | None = None

    async def chunk(self, call: Call) -> bytes:
        body = await self._body.body(call)
        reply = call.dialect.decode_reply(body)
        encoder = call.dialect.encoder(reply.id or call.request_id, int(call.at), reply.model, call.show_usage)
        call.first_token_at = call.upstream_at
        self.is_last = True
        return b"".join(encoder.encode(event) for event in unfold(reply)) + encoder.end()

    async def aclose(self) -> None:
        await self._body.aclose()
