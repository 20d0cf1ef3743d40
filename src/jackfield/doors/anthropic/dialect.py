"""The Messages dialect as the gateway wants it: dialects/anthropic_messages.py bound to the DoorDialect contract."""

import re
from collections.abc import Mapping

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import anthropic_messages
from jackfield.gateway.dialect import DoorDialect, Encoder, Relay

ID_PREFIX = "msg_"
_IMAGE = re.compile(rb'"type"\s*:\s*"image"')


class AnthropicMessages:
    """Stateless; one instance serves all requests. `counts` is for requests that ask for a count: they name no length."""

    name = anthropic_messages.NAME
    path = anthropic_messages.PATH
    stream_type = b"text/event-stream; charset=utf-8"
    prompt_field = "messages"
    keep_alive = anthropic_messages.PING_EVENT
    forwarded: tuple[bytes, ...] = tuple(name.encode() for name in anthropic_messages.OWN_HEADERS)

    def __init__(self, *, counts: bool = False) -> None:
        self._wants_max_tokens = not counts

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        return CapabilityRequirement(
            tools="tools" in fields,
            json_mode=b'"format"' in bytes(fields.get("output_config", b"")),
            vision=_IMAGE.search(bytes(fields.get("messages", b""))) is not None,
        )

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        anthropic_messages.fill_in(fields, defaults)

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        request = anthropic_messages.decode_request(fields, wants_max_tokens=self._wants_max_tokens)
        return msgspec.structs.replace(request, model=model)

    def decode_reply(self, body: bytes) -> ChatReply:
        return anthropic_messages.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        return anthropic_messages.encode_reply(reply, id=_own_id(reply.id, request_id))

    def encode_error(self, error: JackfieldError) -> bytes:
        return anthropic_messages.encode_error(error)

    def reply_usage(self, body: bytes) -> Usage | None:
        usage = anthropic_messages.reply_usage(body)
        return _checked(body) if usage is None else usage

    def is_empty(self, body: bytes) -> bool:
        return anthropic_messages.is_empty(body)

    def relay(self, provider: str, show_usage: bool) -> Relay:
        return anthropic_messages.StreamRelay(provider=provider)

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        return anthropic_messages.StreamEncoder(id=_own_id(request_id, request_id), model=model)

    def stream_error(self, error: JackfieldError) -> bytes:
        return anthropic_messages.encode_stream_error(error)

    def stream_end(self) -> bytes:
        return anthropic_messages.STOP_EVENT


def _own_id(id_: str, request_id: str) -> str:
    """The source's id where it is one of this dialect, which clients know by its beginning."""
    return id_ if id_.startswith(ID_PREFIX) else ID_PREFIX + request_id


def _checked(body: bytes) -> Usage | None:
    """A whole answer without a usage is looked at closely: it may be an error in a 200, or half an answer."""
    error = anthropic_messages.reply_error(body)
    if error is not None:
        raise error
    return anthropic_messages.decode_reply(body).usage


_satisfies: type[DoorDialect] = AnthropicMessages
