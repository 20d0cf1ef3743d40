"""An answer that came in another form, as raw bytes of a dialect: for models that pass-through cannot reach.

Knows events and the encoder; where the events come from is the caller's business. Nothing is read before it is asked for.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from jackfield.core.contracts import RawReply
from jackfield.core.errors import Malformed
from jackfield.core.events import ChatReply, Event, Started, fold
from jackfield.dialects import openai_chat


class Encoder(Protocol):
    """Turns events into a dialect's stream."""

    def encode(self, event: Event) -> bytes: ...
    def end(self) -> bytes: ...


class Form(Protocol):
    """The answers of a dialect: a module of dialects/ that has both makes."""

    def StreamEncoder(self, *, id: str, created: int, model: str, include_usage: bool) -> Encoder: ...  # noqa: N802
    def encode_reply(self, reply: ChatReply, *, id: str, created: int) -> bytes: ...


class TranslatedReply:
    """Satisfies RawReply. Made by `translated`; `aclose` closes the upstream that the events come from."""

    status = 200

    def __init__(
        self,
        opened: AbstractAsyncContextManager[AsyncIterator[Event]],
        events: AsyncIterator[Event],
        *,
        stream: bool,
        form: Form,
    ) -> None:
        self._opened: AbstractAsyncContextManager[AsyncIterator[Event]] | None = opened
        self._events = events
        self._stream = stream
        self._form = form
        self._encoder: Encoder | None = None
        self._is_over = False

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return ((b"content-type", b"text/event-stream" if self._stream else b"application/json"),)

    async def read(self) -> bytes:
        """The whole body."""
        pieces = []
        while piece := await self.chunk():
            pieces.append(piece)
        return b"".join(pieces)

    async def chunk(self) -> bytes:
        """The next event's bytes, or the whole body of a plain answer; b"" at the end. Raises Upstream errors."""
        if self._is_over:
            return b""
        if not self._stream:
            reply = await fold(self._events)
            return await self._last(self._form.encode_reply(reply, id=reply.id, created=reply.created))
        async for event in self._events:
            if piece := self._encoded(event):
                return piece
        if self._encoder is None:
            raise Malformed("the answer did not begin")
        return await self._last(self._encoder.end())

    def _encoded(self, event: Event) -> bytes:
        if self._encoder is None and isinstance(event, Started):
            self._encoder = self._form.StreamEncoder(id=event.id, created=event.created, model=event.model, include_usage=True)
        return self._encoder.encode(event) if self._encoder else b""

    async def _last(self, piece: bytes) -> bytes:
        self._is_over = True
        await self.aclose()
        return piece

    async def aclose(self) -> None:
        """Idempotent."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.__aexit__(None, None, None)


async def translated(
    opened: AbstractAsyncContextManager[AsyncIterator[Event]], *, stream: bool, form: Form = openai_chat
) -> RawReply:
    """The answer of `opened`, begun, as `form` writes it. Raises what entering it raises."""
    return TranslatedReply(opened, await opened.__aenter__(), stream=stream, form=form)
