"""Replicate's predictions: a chat request to a model's `input`, a prediction and its stream to core events. Provider side.

Knows the prediction object, the words for how it stands, and the three events of its stream. There is no chat in it: language
models take a prompt, so a conversation is written out as one text, and what has no place there is named in a warning.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, ModelNotFound, NotSupported, StreamBroken, Unavailable
from jackfield.core.events import ChatReply, Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.messages import ImagePart, Message, TextPart, text_message
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.dialects import openai_errors, sse
from jackfield.dialects.json_value import Object
from jackfield.dialects.openai_chat_usage import read_count

NAME = "replicate"
_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "reasoning_effort": "reasoning_effort",
}
_NOTHING_SAID = "no reason was given"
_GONE = "requested resource could not be found"
RUNNING = frozenset(("starting", "processing"))
_SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Tool"}

__all__ = [
    "NAME",
    "RUNNING",
    "Prediction",
    "StreamDecoder",
    "decode_error",
    "decode_prediction",
    "decode_reply",
    "encode_request",
]


class Urls(msgspec.Struct, frozen=True):
    """`stream` is told for models that can stream."""

    get: str | None = None
    cancel: str | None = None
    stream: str | None = None


class Prediction(msgspec.Struct, frozen=True):
    """One run of a model. `status`: starting, processing, succeeded, failed, canceled or aborted."""

    id: str
    status: str
    model: str | None = None
    version: str | None = None
    output: Any = None
    error: Any = None
    metrics: dict[str, Any] | None = None
    urls: Urls = Urls()

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING

    @property
    def usage(self) -> Usage | None:
        told = self.metrics or {}
        prompt, written = read_count(told.get("input_token_count")), read_count(told.get("output_token_count"))
        seconds = told.get("predict_time")
        extra: Object = {"predict_time_s": seconds} if isinstance(seconds, int | float) else {}
        return Usage(prompt, written, extra=extra) if prompt or written or extra else None


def path_of(model: str) -> str:
    """Where a prediction of the model is made: `owner/name` runs its newest version, `owner/name:version` a certain one."""
    name, _, version = model.partition(":")
    return "predictions" if version else f"models/{name}/predictions"


def encode_request(request: ChatRequest, *, model: str) -> tuple[bytes, list[str]]:
    """The body and a warning for everything in the request that it does not carry. A stream is always asked for.

    Unknown fields of the request go into `input`, whose names are each model's own. Raises NotSupported for images: which
    input takes one differs by model.
    """
    warnings: list[str] = []
    system, turns = _split(request.messages)
    given: Object = {"prompt": _prompt(turns, warnings)}
    if system:
        given["system_prompt"] = system
    for name, value in msgspec.structs.asdict(request.generation).items():
        if value is None:
            continue
        if name == "stop":
            given["stop_sequences"] = ",".join(value)
        elif name in _NAMES:
            given[_NAMES[name]] = value
        else:
            warnings.append(f"{name}: left out, predictions have no such input")
    dropped = {"tools": request.tools, "tool_choice": request.tool_choice, "response_format": request.response_format}
    warnings += [f"{name}: left out, predictions have no such input" for name, value in dropped.items() if value]
    given |= {name: value for name, value in request.extra.items() if name != "stream_options"}
    body: Object = {"input": given, "stream": True}
    _, _, version = model.partition(":")
    if version:
        body["version"] = version
    return msgspec.json.encode(body), warnings


def _split(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    system = [message.text for message in messages if message.role in ("system", "developer")]
    return "\n\n".join(system), [message for message in messages if message.role not in ("system", "developer")]


def _prompt(turns: Sequence[Message], warnings: list[str]) -> str:
    """One user's words are the prompt as they are; more is written out with who said what, ending where the answer begins."""
    for index, message in enumerate(turns):
        if any(isinstance(part, ImagePart) for part in message.parts):
            raise NotSupported("images: which input takes one differs by model, give it by that input's name", param="messages")
        if any(not isinstance(part, TextPart) for part in message.parts):
            warnings.append(f"messages[{index}]: only text is carried")
    if len(turns) == 1 and turns[0].role == "user":
        return turns[0].text
    told = [f"{_SPEAKERS[message.role]}: {message.text}" for message in turns]
    return "\n\n".join([*told, "Assistant:"])


def decode_prediction(body: bytes, *, provider: str = "") -> Prediction:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(body, type=Prediction)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the prediction is not what it should be: {error}", provider=provider or None) from None


def check(prediction: Prediction, *, provider: str = "") -> None:
    """Raises Unavailable for one that failed, StreamBroken for one that was called off."""
    if prediction.status == "failed":
        said = prediction.error if isinstance(prediction.error, str) else _NOTHING_SAID
        raise Unavailable(f"the prediction failed: {said[:500]}", provider=provider or None)
    if prediction.status in ("canceled", "aborted"):
        raise StreamBroken(f"the prediction was {prediction.status} half-way", provider=provider or None)


def decode_reply(prediction: Prediction, *, model: str, provider: str = "") -> ChatReply:
    """The answer of a prediction that is over. Raises what `check` raises, Malformed for an output that is no text."""
    check(prediction, provider=provider)
    output = prediction.output
    text = "".join(output) if isinstance(output, list) and all(isinstance(item, str) for item in output) else output
    if not isinstance(text, str):
        raise Malformed("the model's output is no text: plug a language model", provider=provider or None)
    message = text_message("assistant", text) if text else Message("assistant")
    return ChatReply(message, prediction.model or model, "stop", id=prediction.id, usage=prediction.usage)


class StreamDecoder:
    """Feed the bytes of a prediction's stream; `end` once the prediction was looked at, which alone tells how it went."""

    def __init__(self, prediction: Prediction, *, model: str, provider: str = "") -> None:
        self._sse = sse.SseDecoder()
        self._provider = provider
        self._started = Started(prediction.model or model, prediction.id)
        self._is_begun = False
        self._has_part = False
        self.is_over = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Raises Unavailable for an error in the stream."""
        events: list[Event] = []
        for item in self._sse.feed(chunk):
            match item.event:
                case "output":
                    events += self._said(item.data.decode("utf-8", "replace"))
                case "error":
                    raise Unavailable(f"the prediction failed: {_detail(item.data)}", provider=self._provider or None)
                case "done":
                    self.is_over = True
        return events

    def _said(self, text: str) -> list[Event]:
        events: list[Event] = [] if self._is_begun else [self._started]
        self._is_begun = True
        if not text:
            return events
        if not self._has_part:
            self._has_part = True
            events.append(PartStarted(0, "text"))
        return [*events, TextDelta(0, text)]

    def end(self, prediction: Prediction) -> list[Event]:
        """The last events. Raises StreamBroken for a stream that was cut, and what `check` raises."""
        check(prediction, provider=self._provider)
        if not self.is_over:
            raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)
        events = self._said("")
        if self._has_part:
            events.append(PartEnded(0))
        if prediction.usage is not None:
            events.append(UsageReported(prediction.usage))
        return [*events, Finished("stop")]


def _detail(data: bytes) -> str:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    told = value.get("detail") if isinstance(value, dict) else None
    return told[:500] if isinstance(told, str) else _NOTHING_SAID


def decode_error(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """The core error for an answer of `status` (300 or more), whose `detail` says more than its `title`."""
    detail = _detail(body)
    if status == 404 and _GONE in detail:
        return ModelNotFound("there is no such model: write it as owner/name", provider=provider or None, param="model")
    told = body if detail == _NOTHING_SAID else msgspec.json.encode({"message": detail})
    return openai_errors.decode_error(status, told, provider=provider, retry_after_s=retry_after_s)
