"""What the gateway needs of the dialect that a door speaks: one small set of functions, given by the door."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage


class Relay(Protocol):
    """Watches the bytes of a stream in the door's own dialect while they pass. `pieces` counts the events with content."""

    pieces: int
    usage: Usage | None
    done: bool
    finished: bool
    has_content: bool
    error: JackfieldError | None

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to send on."""
        ...

    def finish(self) -> bytes:
        """What was held back, at the end."""
        ...


class Encoder(Protocol):
    """Turns events into the door's stream."""

    def encode(self, event: Event) -> bytes: ...
    def restarted(self, discard_chars: int) -> bytes:
        """Says in the stream that all text so far, `discard_chars` characters, is void: the answer begins anew after it."""
        ...

    def end(self) -> bytes: ...


class DoorDialect(Protocol):
    """A door's wire format. `name` is compared with a provider's dialect: equal means the bytes pass through.

    `prompt_field` holds the conversation. `keep_alive` is an event that clients ignore, b"" if the dialect has none.
    `forwarded` names, in lower case, the client's headers that belong to a request's form and go on as they came.
    """

    name: str
    path: str
    stream_type: bytes
    prompt_field: str
    keep_alive: bytes
    forwarded: tuple[bytes, ...]

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        """What a body uses that not every source can do."""
        ...

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        """Puts a slot's settings into `fields` where the client said nothing about them, under any of their names."""
        ...

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        """`model` replaces the one in the fields; None leaves the choice to the provider."""
        ...

    def decode_reply(self, body: bytes) -> ChatReply: ...
    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes: ...
    def encode_error(self, error: JackfieldError) -> bytes: ...
    def reply_usage(self, body: bytes) -> Usage | None:
        """Also the check that a whole answer is one: raises Malformed, or the error that a 200 carries in its body."""
        ...

    def is_empty(self, body: bytes) -> bool:
        """Whether a whole answer says nothing: no text, no refusal, no tool call."""
        ...

    def relay(self, provider: str, show_usage: bool) -> Relay: ...
    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder: ...
    def stream_error(self, error: JackfieldError) -> bytes: ...
    def stream_end(self) -> bytes:
        """The end mark of a stream, for an upstream that finished without one."""
        ...
