"""Every message of the WebSocket door, both ways, as it stands on the wire: a JSON object whose `type` says what it is.

Pure. Knows shapes and how wrong ones are told; what is done with a message is session.py's. Times are Unix seconds.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.parameters import did_you_mean
from jackfield.core.tasks import TEXT_GENERATION
from jackfield.dialects.null_bytes import refuse_null_bytes

Topic = Literal["inference", "status", "backend", "queue"]
TOPICS: tuple[Topic, ...] = ("inference", "status", "backend", "queue")
ID_MAX_CHARS = 256
NAMES_MAX = 64
RequestId = Annotated[str, Meta(min_length=1, max_length=ID_MAX_CHARS)] | int
"""As the client made it; it comes back in every message about the request."""


# From the client


class Subscribe(msgspec.Struct, tag="subscribe", frozen=True):
    topics: Annotated[list[str], Meta(max_length=NAMES_MAX)]


class Unsubscribe(msgspec.Struct, tag="unsubscribe", frozen=True):
    topics: Annotated[list[str], Meta(max_length=NAMES_MAX)]


class Inference(msgspec.Struct, tag="inference", frozen=True):
    """`inputs`: text or messages to generate from, a text or texts to embed. Without a `request_id` one is made."""

    request_id: RequestId | None = None
    model: Annotated[str, Meta(max_length=2048)] | None = None
    task: str = TEXT_GENERATION
    inputs: Any = None
    parameters: dict[str, Any] = {}
    stream: bool = False


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    request_id: RequestId


class StatusAsked(msgspec.Struct, tag="status", frozen=True):
    """`summary` leaves out the single backends."""

    details: Literal["full", "summary"] = "full"


class Ping(msgspec.Struct, tag="ping", frozen=True):
    """`id` comes back in the pong."""

    id: RequestId | None = None


Asked = Subscribe | Unsubscribe | Inference | Cancel | StatusAsked | Ping
KINDS = ("subscribe", "unsubscribe", "inference", "cancel", "status", "ping")


# To the client


class Connection(msgspec.Struct, tag="connection", frozen=True):
    """The first message. `connection_id` tells connections of one `client_id` apart; `limits` are those of this socket."""

    status: str
    client_id: str
    connection_id: str
    topics: tuple[str, ...]
    limits: dict[str, int]
    timestamp: float


class TopicError(msgspec.Struct, frozen=True):
    topic: str
    message: str


class Subscribed(msgspec.Struct, tag="subscribed", frozen=True):
    """`topics` are those subscribed to by this message, `errors` those that there are not."""

    topics: tuple[str, ...]
    timestamp: float
    errors: tuple[TopicError, ...] = ()


class Unsubscribed(msgspec.Struct, tag="unsubscribed", frozen=True):
    topics: tuple[str, ...]
    timestamp: float
    errors: tuple[TopicError, ...] = ()


class News(msgspec.Struct, tag="event", frozen=True):
    """Something happened. `event` says what; `data` is told in docs/doors.md."""

    topic: Topic
    event: str
    data: Mapping[str, Any]
    timestamp: float


class InferenceStarted(msgspec.Struct, tag="inference_started", frozen=True):
    request_id: RequestId
    model: str
    task: str


class InferenceChunk(msgspec.Struct, tag="inference_chunk", frozen=True):
    """A piece of the answer's text; `index` counts from 0."""

    request_id: RequestId
    chunk: str
    index: int


class InferenceReasoning(msgspec.Struct, tag="inference_reasoning", frozen=True):
    """A piece of what the model thought before it answered, counted by itself."""

    request_id: RequestId
    chunk: str
    index: int


class ToolCall(msgspec.Struct, frozen=True):
    """`arguments` is the JSON that the model wrote, as text."""

    id: str
    name: str
    arguments: str


class Tokens(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Served(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who answered, and under which id the gateway's own records have it."""

    gateway_request_id: str | None = None
    slot: int | None = None
    provider: str | None = None


class InferenceComplete(msgspec.Struct, tag="inference_complete", frozen=True, omit_defaults=True):
    """The end of a streamed answer that is whole; `chunks` pieces of text came before it."""

    request_id: RequestId
    chunks: int
    model: str
    finish_reason: str
    usage: Tokens | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    served: Served = Served()


class InferenceResult(msgspec.Struct, tag="inference_result", frozen=True, omit_defaults=True):
    """A whole answer. `result` is text, or for text-embedding one vector a text (for one text its vector)."""

    request_id: RequestId
    result: Any
    model: str
    task: str
    finish_reason: str | None = None
    usage: Tokens | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    served: Served = Served()


class InferenceError(msgspec.Struct, tag="inference_error", frozen=True, omit_defaults=True):
    """The end of a request that failed. `status` is the HTTP status of the same failure, `retry_after_s` seconds."""

    request_id: RequestId
    error: str
    code: str
    status: int
    param: str | None = None
    retry_after_s: float | None = None


class InferenceCancelled(msgspec.Struct, tag="inference_cancelled", frozen=True):
    request_id: RequestId


class StatusTold(msgspec.Struct, tag="status", frozen=True):
    detail_level: str
    backend_status: Mapping[str, Any]
    timestamp: float


class Pong(msgspec.Struct, tag="pong", frozen=True, omit_defaults=True):
    timestamp: float
    id: RequestId | None = None


class Failure(msgspec.Struct, tag="error", frozen=True, omit_defaults=True):
    """A message of the client's that could not be taken; the connection stays."""

    message: str
    code: str
    request_id: RequestId | None = None
    param: str | None = None


Told = (
    Connection
    | Subscribed
    | Unsubscribed
    | News
    | InferenceStarted
    | InferenceChunk
    | InferenceReasoning
    | InferenceComplete
    | InferenceResult
    | InferenceError
    | InferenceCancelled
    | StatusTold
    | Pong
    | Failure
)

_asked = msgspec.json.Decoder(Asked).decode
_encode = msgspec.json.Encoder().encode


class _Head(msgspec.Struct, frozen=True):
    """What a message that is wrong somewhere may still tell."""

    type: Any = None
    request_id: Any = None


_head = msgspec.json.Decoder(_Head).decode


class NotAMessage(BadRequest):
    """`about` is the request that the message was about, where that can be read."""

    about: RequestId | None = None


def read(text: str | bytes) -> Asked:
    """A client's message. Raises NotAMessage, which says what is wrong and, where it can, about which request."""
    try:
        refuse_null_bytes(text)
        asked: Asked = _asked(text)
        return asked
    except BadRequest as error:
        raise _about(text, NotAMessage(error.message, param=error.param, code="invalid_message")) from None
    except msgspec.ValidationError as error:
        raise _refusal(text, str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _no_json(error) from None


def write(message: Told) -> bytes:
    return _encode(message)


def failure(error: JackfieldError, request_id: RequestId | None = None) -> Failure:
    return Failure(error.message, error.code, request_id, error.param)


def inference_error(request_id: RequestId, error: JackfieldError) -> InferenceError:
    return InferenceError(request_id, str(error), error.code, error.status, error.param, error.retry_after_s)


def _no_json(error: Exception) -> NotAMessage:
    return NotAMessage(f"the message is not valid JSON: {error}", code="invalid_json")


def _refusal(text: str | bytes, why: str) -> NotAMessage:
    try:
        head = _head(text)
    except msgspec.ValidationError:
        return NotAMessage('a message must be a JSON object such as {"type": "ping"}', code="not_an_object")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:  # behind the wrong field, where nobody had read yet
        return _no_json(error)
    if head.type not in KINDS:
        return _unknown_kind(head.type)
    where = why.rpartition(" - at `$.")[2].rstrip("`") if " - at `$." in why else None
    return _about(text, NotAMessage(f"{head.type}: {why}", param=where, code="invalid_message"))


def _about(text: str | bytes, refusal: NotAMessage) -> NotAMessage:
    with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
        head = _head(text)
        refusal.about = head.request_id if _is_id(head.request_id) else None
    return refusal


def _unknown_kind(kind: Any) -> NotAMessage:
    known = ", ".join(KINDS)
    if not isinstance(kind, str):
        return NotAMessage(f"the message has no type; known are {known}", param="type", code="unknown_type")
    hint = did_you_mean(kind[:64], KINDS)
    return NotAMessage(f"unknown message type {kind[:64]!r}{hint}: known are {known}", param="type", code="unknown_type")


def _is_id(value: Any) -> bool:
    return (isinstance(value, str) and 0 < len(value) <= ID_MAX_CHARS) or type(value) is int
