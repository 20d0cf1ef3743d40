"""The Ollama dialect as the gateway wants it: dialects/ollama.py bound to the DoorDialect contract, for both of its calls."""

import re
from collections.abc import Mapping

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import ollama
from jackfield.dialects.ollama_options import for_others
from jackfield.gateway.dialect import DoorDialect, Encoder, Relay

_IMAGES = re.compile(rb'"images"\s*:\s*\[\s*"')
_NO_FORM = (b"", b"null", b'""')


class OllamaChat:
    """Stateless; one instance serves all requests of `form`. Its sign of life is a line that says nothing."""

    name = ollama.NAME
    stream_type = ollama.STREAM_TYPE
    forwarded: tuple[bytes, ...] = ()

    def __init__(self, form: ollama.Form = "chat") -> None:
        self.form: ollama.Form = form
        self.path = ollama.path_of(form)
        self.keep_alive = ollama.KEEP_ALIVE[form]
        self.prompt_field = "messages" if form == "chat" else "prompt"

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        images = bytes(fields.get("images", b"")) if self.form == "generate" else b""
        return CapabilityRequirement(
            tools="tools" in fields,
            json_mode=bytes(fields.get("format", b"")) not in _NO_FORM,
            vision=b'"' in images or _IMAGES.search(bytes(fields.get("messages", b""))) is not None,
        )

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        ollama.fill_in(fields, defaults)

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        """Asked only where the source speaks something else: what is Ollama's alone is left out, and named."""
        request = ollama.decode_request(fields, form=self.form)
        extra, warnings = for_others(request.extra)
        return msgspec.structs.replace(request, model=model, extra=extra, warnings=warnings)

    def decode_reply(self, body: bytes) -> ChatReply:
        return ollama.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        return ollama.encode_reply(reply, id=reply.id or request_id, created=reply.created or created, form=self.form)

    def encode_error(self, error: JackfieldError) -> bytes:
        return ollama.encode_error(error)

    def reply_usage(self, body: bytes) -> Usage | None:
        usage = ollama.reply_usage(body)
        return _checked(body) if usage is None else usage

    def is_empty(self, body: bytes) -> bool:
        return ollama.is_empty(body)

    def relay(self, provider: str, show_usage: bool) -> Relay:
        return ollama.StreamRelay(provider=provider)

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        return ollama.StreamEncoder(id=request_id, created=created, model=model, form=self.form)

    def stream_error(self, error: JackfieldError) -> bytes:
        return ollama.encode_stream_error(error)

    def stream_end(self) -> bytes:
        """Nothing: the line that finishes an answer is its end."""
        return b""


def _checked(body: bytes) -> Usage | None:
    """A whole answer without a usage is looked at closely: it may be an error in a 200, or half an answer."""
    error = ollama.reply_error(body)
    if error is not None:
        raise error
    return ollama.decode_reply(body).usage


_satisfies: type[DoorDialect] = OllamaChat
