"""OpenAI's chat dialect as the gateway wants it: dialects/openai_chat.py bound to the DoorDialect contract."""

from collections.abc import Mapping

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat
from jackfield.gateway.dialect import DoorDialect, Encoder, Relay


class OpenAIChat:
    """Stateless; one instance serves all requests."""

    name = openai_chat.NAME
    path = openai_chat.PATH
    stream_type = b"text/event-stream; charset=utf-8"

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        return msgspec.structs.replace(openai_chat.decode_request(fields), model=model)

    def decode_reply(self, body: bytes) -> ChatReply:
        return openai_chat.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        return openai_chat.encode_reply(reply, id=reply.id or f"chatcmpl-{request_id}", created=reply.created or created)

    def encode_error(self, error: JackfieldError) -> bytes:
        return openai_chat.encode_error(error)

    def reply_usage(self, body: bytes) -> Usage | None:
        return openai_chat.reply_usage(body)

    def relay(self, provider: str, show_usage: bool) -> Relay:
        return openai_chat.StreamRelay(show_usage=show_usage, provider=provider)

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        return openai_chat.StreamEncoder(id=f"chatcmpl-{request_id}", created=created, model=model, include_usage=show_usage)

    def stream_error(self, error: JackfieldError) -> bytes:
        return b"data: " + openai_chat.encode_error(error) + b"\n\n"

    def stream_end(self) -> bytes:
        return b"data: [DONE]\n\n"


_satisfies: type[DoorDialect] = OpenAIChat
