"""OpenAI's chat dialect as the gateway wants it: dialects/openai_chat.py bound to the DoorDialect contract."""

from collections.abc import Mapping

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.events import ChatReply
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat, openai_completions
from jackfield.dialects.json_value import missing
from jackfield.gateway.dialect import DoorDialect, Encoder, Relay
from jackfield.gateway.shape import (
    FLAG,
    LIST,
    NUMBER,
    NUMBER_OR_FLAG,
    OBJECT,
    TEXT,
    TEXT_OR_LIST,
    TEXT_OR_OBJECT,
    Shape,
    Turn,
)

# A client that uses one name of a setting has said something about it: the slot's own must not go beside it.
_OTHER_NAMES = {"max_tokens": "max_completion_tokens"}


class _Turn(Turn):
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


_NUMBERS = ("temperature", "top_p", "top_k", "n", "seed", "max_tokens", "max_completion_tokens")
_SHAPE = Shape(
    {
        **dict.fromkeys((*_NUMBERS, "frequency_penalty", "presence_penalty", "top_logprobs"), NUMBER),
        "stop": TEXT_OR_LIST,
        "tools": LIST,
        "tool_choice": TEXT_OR_OBJECT,
        "parallel_tool_calls": FLAG,
        "response_format": OBJECT,
        "reasoning_effort": TEXT,
        "user": TEXT,
    },
    "messages",
    _Turn,
)


class OpenAIChat:
    """Stateless; one instance serves all requests."""

    name = openai_chat.NAME
    path = openai_chat.PATH
    stream_type = b"text/event-stream; charset=utf-8"
    prompt_field = "messages"
    keep_alive = b": keep-alive\n\n"
    forwarded: tuple[bytes, ...] = ()
    can_be_continued = True
    may_say_nothing = False

    def check(self, fields: Mapping[str, msgspec.Raw]) -> None:
        """What every request must have. Raises BadRequest."""
        if memoryview(fields.get("messages", b""))[:1].tobytes() != b"[":
            raise BadRequest("messages must be a list of {role, content} objects", param="messages")
        _SHAPE.check(fields)

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        return CapabilityRequirement(
            tools="tools" in fields,
            json_mode="response_format" in fields,
            vision=b'"image_url"' in bytes(fields.get("messages", b"")),
        )

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        for name, value in defaults.items():
            if not (_is_said(fields, name) or _is_said(fields, _OTHER_NAMES.get(name, name))):
                fields[name] = value

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        return msgspec.structs.replace(openai_chat.decode_request(fields), model=model)

    def decode_reply(self, body: bytes) -> ChatReply:
        return openai_chat.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        return openai_chat.encode_reply(reply, id=reply.id or f"chatcmpl-{request_id}", created=reply.created or created)

    def encode_error(self, error: JackfieldError) -> bytes:
        return openai_chat.encode_error(error)

    def reply_usage(self, body: bytes) -> Usage | None:
        usage = openai_chat.reply_usage(body)
        return _checked(body) if usage is None else usage

    def is_empty(self, body: bytes) -> bool:
        reply = openai_chat.decode_reply(body)
        said = any(part.text if hasattr(part, "text") else True for part in reply.message.parts)
        return not said and reply.finish_reason not in ("length", "content_filter")

    def relay(self, provider: str, show_usage: bool) -> Relay:
        return openai_chat.StreamRelay(show_usage=show_usage, provider=provider)

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        return openai_chat.StreamEncoder(id=f"chatcmpl-{request_id}", created=created, model=model, include_usage=show_usage)

    def stream_error(self, error: JackfieldError) -> bytes:
        return openai_chat.encode_stream_error(error)

    def stream_end(self) -> bytes:
        return openai_chat.DONE_EVENT


_PROMPT_SHAPE = Shape(
    {
        **dict.fromkeys(("temperature", "top_p", "top_k", "n", "best_of", "seed", "max_tokens"), NUMBER),
        **dict.fromkeys(("frequency_penalty", "presence_penalty"), NUMBER),
        "prompt": TEXT_OR_LIST,
        "suffix": TEXT,
        "echo": FLAG,
        "logprobs": NUMBER_OR_FLAG,
        "stop": TEXT_OR_LIST,
        "user": TEXT,
    },
    "prompt",
    str | int | list[int | str],
)


class OpenAICompletions(OpenAIChat):
    """The older call: passed on to sources that complete prompts; for others a prompt is a chat of one message.

    Its streams are not taken up by another source: a chat about a prompt is no continuation of the prompt. And there may be
    nothing to say between a prompt and its suffix, or after a prompt that is whole.
    """

    name = openai_completions.NAME
    path = openai_completions.PATH
    prompt_field = "prompt"
    can_be_continued = False
    may_say_nothing = True

    def check(self, fields: Mapping[str, msgspec.Raw]) -> None:
        if not _is_said(fields, "prompt"):
            raise missing("prompt")
        _PROMPT_SHAPE.check(fields)

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        return CapabilityRequirement()

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        super().fill_in(fields, openai_completions.settings_for(defaults))

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        return msgspec.structs.replace(openai_completions.decode_request(fields), model=model)

    def decode_reply(self, body: bytes) -> ChatReply:
        return openai_completions.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        return openai_completions.encode_reply(reply, id=f"cmpl-{request_id}", created=reply.created or created)

    def reply_usage(self, body: bytes) -> Usage | None:
        usage = openai_chat.reply_usage(body)
        return openai_completions.decode_reply(body).usage if usage is None else usage

    def is_empty(self, body: bytes) -> bool:
        """No cache keeps what says nothing."""
        return not openai_completions.decode_reply(body).text

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        return openai_completions.StreamEncoder(id=f"cmpl-{request_id}", created=created, model=model, include_usage=show_usage)


def _is_said(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    """An explicit null says nothing, as with OpenAI."""
    return name in fields and bytes(fields[name]) != b"null"


def _checked(body: bytes) -> Usage | None:
    """A whole answer without a usage is looked at closely: it may be an error in a 200, or half an answer."""
    error = openai_chat.reply_error(body)
    if error is not None:
        raise error
    return openai_chat.decode_reply(body).usage


_satisfies: tuple[type[DoorDialect], ...] = (OpenAIChat, OpenAICompletions)
