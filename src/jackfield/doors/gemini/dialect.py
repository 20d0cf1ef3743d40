"""The Gemini dialect as the gateway wants it: dialects/gemini.py bound to the DoorDialect contract, in both forms of a stream.

The model and the form of the answer stand in the address; the door puts them beside the client's fields.
"""

import re
from collections.abc import Mapping

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import gemini
from jackfield.gateway.dialect import DoorDialect, Encoder, Relay

_WHOLE = "generateContentRequest", "generate_content_request"
_JSON_MODE = re.compile(rb'"response_?(?:MimeType|mime_type)"\s*:\s*"application/json"')
_IMAGE = re.compile(rb'"mime_?[Tt]ype"\s*:\s*"image/')


class GeminiEvents:
    """Streams as server-sent events. Stateless; one instance serves all requests.

    Google's clients take an SSE comment for an answer and fail, so the sign of life is an empty line.
    """

    name = gemini.NAME
    path = gemini.PATH
    stream_type = b"text/event-stream; charset=utf-8"
    prompt_field = "contents"
    keep_alive = b"\n\n"
    forwarded: tuple[bytes, ...] = ()

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        config = bytes(fields.get("generationConfig", fields.get("generation_config", b"")))
        return CapabilityRequirement(
            tools="tools" in fields,
            json_mode=_JSON_MODE.search(config) is not None,
            vision=_IMAGE.search(bytes(fields.get("contents", b""))) is not None,
        )

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        gemini.fill_in(fields, defaults)

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        return msgspec.structs.replace(gemini.decode_request(fields), model=model)

    def decode_reply(self, body: bytes) -> ChatReply:
        return gemini.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        return gemini.encode_reply(reply, id=reply.id or request_id, created=created)

    def encode_error(self, error: JackfieldError) -> bytes:
        return gemini.encode_error(error)

    def reply_usage(self, body: bytes) -> Usage | None:
        usage = gemini.reply_usage(body)
        return _checked(body) if usage is None else usage

    def is_empty(self, body: bytes) -> bool:
        return gemini.is_empty(body)

    def relay(self, provider: str, show_usage: bool) -> Relay:
        return gemini.StreamRelay(provider=provider)

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        return gemini.StreamEncoder(id=request_id, created=created, model=model)

    def stream_error(self, error: JackfieldError) -> bytes:
        return gemini.encode_stream_error(error)

    def stream_end(self) -> bytes:
        """Nothing: the end of the bytes is the end of the stream."""
        return b""


class GeminiCount(GeminiEvents):
    """For requests that ask for a count: the whole of one may stand inside, with its instructions and tools."""

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        inner = next((fields[name] for name in _WHOLE if name in fields), None)
        return super().decode_request(fields if inner is None else gemini.parse_fields(bytes(inner)), model)


class GeminiArray(GeminiEvents):
    """Streams as one JSON array. One instance a request: how an error is written depends on what was written before it."""

    stream_type = b"application/json"
    keep_alive = b""

    def __init__(self) -> None:
        self._writers: list[gemini.ArrayWriter] = []

    def relay(self, provider: str, show_usage: bool) -> Relay:
        made = gemini.ArrayRelay(provider=provider)
        self._writers.append(made.writer)
        return made

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        made = gemini.StreamEncoder(id=request_id, created=created, model=model, form="array")
        self._writers.append(made.writer)
        return made

    def stream_error(self, error: JackfieldError) -> bytes:
        """Goes on where an attempt has begun: only one whose content the client has, or none, has done so by now."""
        begun = next((writer for writer in reversed(self._writers) if writer.has_begun), None)
        return (begun or gemini.ArrayWriter()).error(error)

    def stream_end(self) -> bytes:
        return gemini.ARRAY_END


def _checked(body: bytes) -> Usage | None:
    """A whole answer without a usage is looked at closely: it may be an error in a 200, or half an answer."""
    return gemini.decode_reply(body).usage


_satisfies: type[DoorDialect] = GeminiEvents
_satisfies_too: type[DoorDialect] = GeminiArray
