"""Streams that can be taken up by another source after a break, for the clients that ask for it (`x-jackfield-continue: 1`).

Keeps the text that a client has, asks the next source to go on after it (prefill) or, where that is not possible, to answer
anew, and joins what comes to what is there. Which source is next is the walk's business.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import assert_never

import msgspec

from jackfield.core.contracts import Provider
from jackfield.core.errors import Malformed, RequestRejected
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartKind,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verdict,
    VoiceEnded,
    VoiceStarted,
)
from jackfield.core.messages import Message, TextPart
from jackfield.core.requests import ChatRequest
from jackfield.gateway.answers import EncodedStream
from jackfield.gateway.call import Call
from jackfield.gateway.dialect import Encoder
from jackfield.gateway.route import Target
from jackfield.gateway.seam import Seam

HEADER = b"x-jackfield-continue"
WANTED = frozenset({b"1", b"true"})
KEPT_MAX_CHARS = 1_000_000
"""A longer answer is not taken up again: its text is kept no further."""
CONSTRAINTS = ("grammar", "json_schema", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar")
"""Fields of engines that hold an answer to a form from its first character: none of them begins in the middle."""


def wants_continuation(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(HEADER, b"") in WANTED


class Said:
    """What a client has of an answer. `pieces` counts the deltas of its text, `open_part` is the part that is not ended yet.

    `can_go_on` is false once there is something that no other source can take up: a tool call, a refusal, too much text.
    """

    __slots__ = ("_texts", "can_go_on", "chars", "encoder", "last_index", "open_part", "pieces")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.chars = self.pieces = 0
        self.can_go_on = True
        self.encoder: Encoder | None = None
        self.open_part: tuple[int, PartKind] | None = None
        self.last_index = -1

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def copy(self) -> "Said":
        other = Said()
        other._texts = [self.text]
        other.chars, other.pieces = self.chars, self.pieces
        other.encoder, other.open_part, other.last_index = self.encoder, self.open_part, self.last_index
        return other

    def add(self, text: str) -> None:
        self.pieces += 1
        self.chars += len(text)
        if self.chars > KEPT_MAX_CHARS:
            self.can_go_on = False
            self._texts.clear()
        else:
            self._texts.append(text)

    def forget(self) -> int:
        """The text was taken back. How many characters it had."""
        chars = self.chars
        self._texts.clear()
        self.chars = self.pieces = 0
        return chars

    def begin(self, part: PartStarted) -> None:
        self.open_part, self.last_index = (part.index, part.kind), part.index
        if part.kind not in ("text", "reasoning"):
            self.can_go_on = False

    def end(self, index: int) -> None:
        if self.open_part is not None and self.open_part[0] == index:
            self.open_part = None


Opened = AbstractAsyncContextManager[AsyncIterator[Event]]


class KeptStream(EncodedStream):
    """The first source's stream; what it says is kept."""

    __slots__ = ("said",)

    def __init__(self, opened: Opened, left_out: tuple[str, ...] = ()) -> None:
        super().__init__(opened, left_out)
        self.said: Said = Said()

    def _encode(self, event: Event, encoder: Encoder) -> bytes:
        said = self.said
        said.encoder = encoder
        match event:
            case TextDelta():
                said.add(event.text)
            case PartStarted():
                said.begin(event)
            case PartEnded():
                said.end(event.index)
            case _:
                pass
        return encoder.encode(event)


class JoinedStream(EncodedStream):
    """A later source's stream, as the rest of the first one's: its text joined, its reasoning left out, its parts renumbered.

    Raises Malformed where a whole answer was to come and nothing did.
    """

    __slots__ = ("_others", "_restarts", "_seam", "said")

    def __init__(self, opened: Opened, said: Said, *, anew: bool) -> None:
        super().__init__(opened)
        self.said: Said = said
        self._encoder = said.encoder
        self._seam = Seam(said.text, anew=anew)
        self._others: dict[int, int] = {}
        """Its parts that are neither text nor reasoning, under the numbers that the client knows."""
        self._restarts = anew

    def _encode(self, event: Event, encoder: Encoder) -> bytes:
        match event:
            case TextDelta(index, text, logprobs):
                if index in self._others:
                    return encoder.encode(msgspec.structs.replace(event, index=self._others[index]))
                return self._joined(self._seam.feed(text), text, logprobs, encoder)
            case PartStarted():
                return b"" if event.kind in ("text", "reasoning") else self._begin(event, encoder)
            case ToolCallDelta(index):
                return encoder.encode(msgspec.structs.replace(event, index=self._others[index]))
            case PartEnded(index):
                return self._end(self._others[index], encoder) if index in self._others else b""
            case Finished():
                out = self._close_text(encoder)
                if self._seam.has_parted and not self.said.chars and not self._others:
                    raise Malformed("the source that was to answer anew gave an empty answer", code="empty_answer")
                return out + encoder.encode(event)
            case Started() | ReasoningDelta():
                return b""
            case UsageReported() | VoiceStarted() | VoiceEnded() | Verdict():
                return encoder.encode(event)
            case _:
                assert_never(event)

    def _joined(self, new: str, text: str, logprobs: tuple[object, ...], encoder: Encoder) -> bytes:
        said = self.said
        out = b""
        if self._seam.has_parted and self._restarts:
            self._restarts = False
            out = encoder.restarted(said.forget())
        if not new:
            return out
        if said.open_part is None or said.open_part[1] != "text":
            out += self._end_open(encoder) + self._start("text", encoder)
        assert said.open_part is not None
        said.add(new)
        return out + encoder.encode(TextDelta(said.open_part[0], new, logprobs if new == text else ()))

    def _close_text(self, encoder: Encoder) -> bytes:
        """Before anything that comes after the text."""
        return self._joined(self._seam.finish(), "", (), encoder) + self._end_open(encoder)

    def _begin(self, part: PartStarted, encoder: Encoder) -> bytes:
        out = self._close_text(encoder)
        index = self._others[part.index] = self.said.last_index + 1
        renumbered = msgspec.structs.replace(part, index=index)
        self.said.begin(renumbered)
        return out + encoder.encode(renumbered)

    def _start(self, kind: PartKind, encoder: Encoder) -> bytes:
        part = PartStarted(self.said.last_index + 1, kind)
        self.said.begin(part)
        return encoder.encode(part)

    def _end_open(self, encoder: Encoder) -> bytes:
        return b"" if self.said.open_part is None else self._end(self.said.open_part[0], encoder)

    def _end(self, index: int, encoder: Encoder) -> bytes:
        self.said.end(index)
        return encoder.encode(PartEnded(index))


def who_goes_on(targets: list[Target]) -> list[Target]:
    """Those first that can go on after a given beginning; the others can only answer anew."""
    return sorted(targets, key=lambda target: target.backend.capabilities.prefill is not True)


async def open_continuing(call: Call, request: ChatRequest, provider: Provider, *, can_prefill: bool) -> EncodedStream:
    """The stream of a source for a client that wants it continued: the first one's, or the rest of it from another.

    A source that refuses to go on after a given beginning is asked for a whole answer instead. Raises any JackfieldError.
    """
    said = call.said
    if said is None:
        return await _open(KeptStream(provider.open(request), request.warnings))
    if can_prefill and may_begin_inside(request) and said.text.strip():
        with suppress(RequestRejected):
            return await _open(JoinedStream(provider.open(prefilled(request, said)), said.copy(), anew=False))
    return await _open(JoinedStream(provider.open(request), said.copy(), anew=True))


async def _open(stream: EncodedStream) -> EncodedStream:
    await stream.open()
    return stream


def may_begin_inside(request: ChatRequest) -> bool:
    """Whether an answer to `request` can be taken up in its middle: not where its form or a tool is prescribed."""
    has_form = request.response_format is not None and request.response_format.kind != "text"
    must_call = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
    return not (has_form or must_call or any(name in request.extra for name in CONSTRAINTS))


def prefilled(request: ChatRequest, said: Said) -> ChatRequest:
    """`request` with the answer so far as the beginning of the assistant's turn, and as many fewer tokens to come.

    White space at its end is left out: models are confused by it and some sources refuse it.
    """
    begun, messages = said.text.rstrip(), request.messages
    last = messages[-1] if messages else None
    turn = Message("assistant", (TextPart(begun),))
    if last is not None and last.role == "assistant" and not last.tool_calls:
        turn = msgspec.structs.replace(last, parts=(TextPart(last.text + begun),))
        messages = messages[:-1]
    generation = request.generation
    if generation.max_tokens is not None:
        generation = msgspec.structs.replace(generation, max_tokens=max(1, generation.max_tokens - said.pieces))
    return msgspec.structs.replace(request, messages=(*messages, turn), generation=generation)
