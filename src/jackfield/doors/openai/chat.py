"""POST /v1/chat/completions: reads what the gateway must know of a body, leaves the rest undecoded, runs the pipeline."""

from collections.abc import Callable, Mapping
from time import perf_counter

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects import openai_chat
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.continuation import wants_continuation
from jackfield.gateway.pipeline import Pipeline

_text = msgspec.json.Decoder(str).decode
_TRUE, _FALSE, _NULL = b"true", b"false", b"null"
MODEL_MAX_BYTES = 2048


class StreamOptions(msgspec.Struct):
    """The one stream option that is ours to act upon."""

    include_usage: bool | None = None


_stream_options = msgspec.json.Decoder(StreamOptions | None).decode


class ChatCompletions:
    def __init__(self, pipeline: Pipeline, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = OpenAIChat()

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = openai_chat.parse_fields(await client.body())
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=_model(fields),
            stream=_flag(fields, "stream"),
            show_usage="stream_options" in fields and _wants_usage(fields["stream_options"]),
            at=self._now(),
            received_at=received_at,
        )
        call.continues = call.stream and wants_continuation(client.headers)
        if memoryview(fields.get("messages", b""))[:1].tobytes() != b"[":
            raise BadRequest("messages must be a list of {role, content} objects", param="messages")
        await self._pipeline.run(call, client)


def _model(fields: Mapping[str, msgspec.Raw]) -> str:
    raw = fields.get("model")
    if raw is None:
        raise BadRequest("model is missing: name a slot (slot-0), a slot's name, or provider/model", param="model")
    if len(memoryview(raw)) > MODEL_MAX_BYTES:
        raise BadRequest(f"model is longer than {MODEL_MAX_BYTES} bytes: that is no name", param="model")
    try:
        return _text(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"model must be a string, got {_shown(raw)}", param="model") from None


def _flag(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    raw = fields.get(name)
    if raw is None:
        return False
    value = bytes(raw)
    if value == _TRUE:
        return True
    if value in (_FALSE, _NULL):
        return False
    raise BadRequest(f"{name} must be true or false, got {_shown(raw)}", param=name)


def _shown(raw: msgspec.Raw) -> str:
    """The beginning of a value, for a message."""
    return bytes(memoryview(raw)[:40]).decode(errors="replace")


def _wants_usage(raw: msgspec.Raw) -> bool:
    try:
        options = _stream_options(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest('stream_options must be an object such as {"include_usage": true}', param="stream_options") from None
    return options is not None and options.include_usage is True
