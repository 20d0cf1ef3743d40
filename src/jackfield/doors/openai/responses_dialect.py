"""The Responses dialect as the gateway wants it: dialects/openai_responses.py bound to the DoorDialect contract.

One for each request, since an answer of this API repeats much of what was asked.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, NotSupported
from jackfield.core.events import ChatReply
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import openai_responses, openai_responses_freeform
from jackfield.dialects.openai_responses_freeform import Freeform, FreeformEncoder, as_functions
from jackfield.dialects.openai_responses_namespaces import Names, RenamingEncoder, flattened, restored
from jackfield.dialects.plain_turns import said_fields
from jackfield.gateway.dialect import DoorDialect, Encoder, Relay

ID_PREFIX = "resp_"
_IMAGE = re.compile(rb'"type"\s*:\s*"input_image"')
_NAMES = {"max_tokens": "max_output_tokens"}
_NOT_HERE = ("stop", "seed", "top_k", "frequency_penalty", "presence_penalty", "logprobs", "context_length")
"""Settings of a slot for which this API has no word: a source of it is not sent them."""
_STATE = ("conversation", "prompt")
_OURS = ("store", "previous_response_id")
"""What this gateway has seen to by the time that another dialect is spoken."""


class OpenAIResponses:
    """`echo`: the request's fields that its response repeats."""

    name = openai_responses.NAME
    path = openai_responses.PATH
    stream_type = b"text/event-stream; charset=utf-8"
    prompt_field = "input"
    keep_alive = b": keep-alive\n\n"
    forwarded: tuple[bytes, ...] = ()

    def __init__(self, echo: Mapping[str, Any] | None = None) -> None:
        self._echo = echo or {}
        self._names: Names = {}
        self._freeform: Freeform = set()

    def needs(self, fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
        return CapabilityRequirement(
            tools="tools" in fields,
            json_mode=b'"json' in bytes(fields.get("text", b"")),
            vision=_IMAGE.search(bytes(fields.get("input", b""))) is not None,
        )

    def fill_in(self, fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
        for name, value in defaults.items():
            wire = _NAMES.get(name, name)
            if name == "reasoning_effort":
                wire, value = "reasoning", msgspec.Raw(b'{"effort":' + bytes(value) + b"}")
            if name not in _NOT_HERE and (wire not in fields or bytes(fields[wire]) == b"null"):
                fields[wire] = value

    def decode_request(self, fields: Mapping[str, msgspec.Raw], model: str | None) -> ChatRequest:
        """For a source that speaks another dialect. Raises NotSupported for what only OpenAI's own store or tools could do."""
        _refuse_state(fields)
        said = said_fields({name: raw for name, raw in fields.items() if name not in _OURS})
        values, self._freeform = as_functions(said)
        request, self._names = flattened(openai_responses.read_request(values))
        _refuse_tools(request)
        return msgspec.structs.replace(request, model=model)

    def decode_reply(self, body: bytes) -> ChatReply:
        return openai_responses.decode_reply(body)

    def encode_reply(self, reply: ChatReply, request_id: str, created: int) -> bytes:
        id_ = own_id(reply.id, request_id)
        named = openai_responses_freeform.restored(restored(reply, self._names), self._freeform)
        return openai_responses.encode_reply(named, id=id_, created=reply.created or created, echo=self._echo)

    def encode_error(self, error: JackfieldError) -> bytes:
        return openai_responses.encode_error(error)

    def reply_usage(self, body: bytes) -> Usage | None:
        usage = openai_responses.reply_usage(body)
        return _checked(body) if usage is None else usage

    def is_empty(self, body: bytes) -> bool:
        return openai_responses.is_empty(body)

    def relay(self, provider: str, show_usage: bool) -> Relay:
        return openai_responses.StreamRelay(provider=provider)

    def encoder(self, request_id: str, created: int, model: str, show_usage: bool) -> Encoder:
        id_ = own_id(request_id, request_id)
        made: Encoder = openai_responses.StreamEncoder(id=id_, created=created, model=model, echo=self._echo)
        if self._freeform:
            made = FreeformEncoder(made, self._freeform)
        return RenamingEncoder(made, self._names) if self._names else made

    def stream_error(self, error: JackfieldError) -> bytes:
        return openai_responses.encode_stream_error(error)

    def stream_end(self) -> bytes:
        """The closing event is the end: a stream without it was not finished."""
        return b""


def own_id(id_: str, request_id: str) -> str:
    """The source's id where it is one of this dialect, which clients know by its beginning."""
    return id_ if id_.startswith(ID_PREFIX) else ID_PREFIX + request_id


def _refuse_state(fields: Mapping[str, msgspec.Raw]) -> None:
    for name in _STATE:
        if bytes(fields.get(name, b"null")) != b"null":
            raise NotSupported(
                f"{name} lives at OpenAI: name a slot with OpenAI itself, or use previous_response_id, which works here",
                param=name,
            )


def _refuse_tools(request: ChatRequest) -> None:
    """Tools that run at the vendor's. Beside functions they are an offer, which is left out with a warning; alone or demanded
    they are the very thing that was asked for."""
    if choice := request.extra.get(openai_responses.BUILT_IN_CHOICE):
        raise NotSupported(_not_run(str(choice.get("type"))), param="tool_choice")
    tools = request.extra.get(openai_responses.BUILT_IN_TOOLS)
    if tools and not request.tools:
        raise NotSupported(_not_run(str(tools[0].get("type"))), param="tools[0].type")


def _not_run(kind: str) -> str:
    return f"the source of this slot runs no tool of the kind {kind[:80]}: name a slot with OpenAI itself, or offer functions"


def _checked(body: bytes) -> Usage | None:
    """A whole answer without a usage is looked at closely: it may be an error in a 200, or half an answer."""
    error = openai_responses.reply_error(body)
    if error is not None:
        raise error
    return openai_responses.decode_reply(body).usage


_satisfies: type[DoorDialect] = OpenAIResponses
