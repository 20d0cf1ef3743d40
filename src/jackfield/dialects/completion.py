"""Engines that complete a text in their own way: KoboldAI, Text Generation Inference and llama.cpp's server.

Pure. The conversation is one prompt (prompt_text.py). Sources: lite.koboldai.net/koboldcpp_api, huggingface.github.io/
text-generation-inference, tools/server/README.md of llama.cpp (October 2026).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, StreamBroken, Unavailable
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    FinishReason,
    PartEnded,
    PartStarted,
    Started,
    TextDelta,
    UsageReported,
)
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.core.usage import Usage
from jackfield.dialects.prompt_text import as_prompt
from jackfield.dialects.sse import SseDecoder

_KOBOLD = {"max_tokens": "max_length", "context_length": "max_context_length", "temperature": "temperature", "top_p": "top_p",
           "top_k": "top_k", "seed": "sampler_seed", "presence_penalty": "presence_penalty"}  # fmt: skip
_TGI = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed",
        "frequency_penalty": "frequency_penalty"}  # fmt: skip
_LLAMA = {"max_tokens": "n_predict", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed",
          "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty"}  # fmt: skip
_ENDED: Mapping[str, FinishReason] = {
    "length": "length",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "stop": "stop",
    "limit": "length",
}


def encode_kobold(request: ChatRequest, template: str, key: str) -> tuple[bytes, list[str]]:
    """The body and what was left out of it. `key` names the run, for whoever wants to end it."""
    prompt, end = as_prompt(request.messages, template)
    body: dict[str, Any] = {"prompt": prompt, "genkey": key, "stop_sequence": [*(request.generation.stop or ()), end]}
    warnings = _put(request, _KOBOLD, body)
    return msgspec.json.encode({**request.extra, **body}), warnings


def encode_tgi(request: ChatRequest, template: str) -> tuple[bytes, list[str]]:
    """The body and what was left out of it."""
    prompt, end = as_prompt(request.messages, template)
    parameters: dict[str, Any] = {"details": True, "return_full_text": False, "stop": [*(request.generation.stop or ()), end]}
    warnings = _put(request, _TGI, parameters)
    if parameters.get("temperature") == 0:
        del parameters["temperature"]  # it takes none at all for the most likely words
    return msgspec.json.encode({"inputs": prompt, "parameters": parameters, "stream": request.stream}), warnings


def encode_llama(request: ChatRequest, template: str) -> tuple[bytes, list[str]]:
    """The body and what was left out of it."""
    prompt, end = as_prompt(request.messages, template)
    body: dict[str, Any] = {"prompt": prompt, "stream": request.stream, "stop": [*(request.generation.stop or ()), end]}
    warnings = _put(request, _LLAMA, body)
    return msgspec.json.encode({**request.extra, **body}), warnings


def _put(request: ChatRequest, names: Mapping[str, str], body: dict[str, Any]) -> list[str]:
    warnings = []
    for name in Generation.__struct_fields__:
        value = getattr(request.generation, name)
        if value is None or name == "stop":
            continue
        if name in names:
            body[names[name]] = value
        else:
            warnings.append(f"{name} is not sent: the engine does not know it")
    if request.response_format is not None and request.response_format.kind != "text":
        warnings.append("response_format is not sent: the engine does not know it")
    return warnings


def decode_kobold(body: bytes, *, provider: str, model: str) -> ChatReply:
    """Raises Malformed."""
    said = _object(body, provider)
    try:
        result = said["results"][0]
        text = str(result["text"])
    except (KeyError, IndexError, TypeError):
        raise Malformed("the answer has no results[0].text", provider=provider) from None
    usage = Usage(_count(result, "prompt_tokens"), _count(result, "completion_tokens"))
    return ChatReply(
        message=text_message("assistant", text),
        finish_reason=_ENDED.get(str(result.get("finish_reason")), "stop"),
        usage=usage if usage.total_tokens else None,
        model=model,
    )


def decode_tgi(body: bytes, *, provider: str, model: str) -> ChatReply:
    """Raises Malformed."""
    said = _object(body, provider)
    if not isinstance(said.get("generated_text"), str):
        raise Malformed("the answer has no generated_text", provider=provider)
    details = said.get("details") or {}
    usage = Usage(len(details.get("prefill") or ()), _count(details, "generated_tokens"))
    return ChatReply(
        message=text_message("assistant", said["generated_text"]),
        finish_reason=_ENDED.get(str(details.get("finish_reason")), "stop"),
        usage=usage if usage.total_tokens else None,
        model=model,
    )


def decode_llama(body: bytes, *, provider: str, model: str) -> ChatReply:
    """Raises Malformed."""
    said = _object(body, provider)
    if said.get("error"):
        raise _told(said, provider)
    if not isinstance(said.get("content"), str):
        raise Malformed("the answer has no content", provider=provider)
    usage = _llama_usage(said)
    return ChatReply(
        message=text_message("assistant", said["content"]),
        finish_reason=_ENDED.get(str(said.get("stop_type")), "stop"),
        usage=usage if usage.total_tokens else None,
        model=model,
    )


def _llama_usage(said: Mapping[str, Any]) -> Usage:
    return Usage(_count(said, "tokens_evaluated"), _count(said, "tokens_predicted"))


class _Stream:
    """Text deltas of one part. Subclasses say what an event's JSON holds."""

    def __init__(self, provider: str, model: str) -> None:
        self._sse = SseDecoder()
        self._provider = provider
        self._model = model
        self._has_begun = False
        self._has_text = False
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Raises Malformed and what the source tells of in the stream."""
        events: list[Event] = []
        for found in self._sse.feed(data):
            if found.data.strip() in (b"", b"[DONE]"):
                continue
            said = _object(found.data, self._provider)
            if said.get("error"):
                raise _told(said, self._provider)
            events += self._begun()
            text = self._read(said)
            if text:
                if not self._has_text:
                    self._has_text = True
                    events.append(PartStarted(0, "text"))
                events.append(TextDelta(0, text))
        return events

    def finish(self) -> list[Event]:
        """Raises StreamBroken where the source never said that it was done."""
        if self._reason is None:
            raise StreamBroken("the stream ended before the answer did", provider=self._provider)
        events = self._begun()
        if self._has_text:
            events.append(PartEnded(0))
        if self._usage is not None:
            events.append(UsageReported(self._usage))
        return [*events, Finished(self._reason)]

    def _begun(self) -> list[Event]:
        if self._has_begun:
            return []
        self._has_begun = True
        return [Started(self._model)]

    def _read(self, said: Mapping[str, Any]) -> str:
        return ""


class KoboldStream(_Stream):
    """`{"token": ..., "finish_reason": null | "stop" | "length"}`."""

    def _read(self, said: Mapping[str, Any]) -> str:
        if said.get("finish_reason"):
            self._reason = _ENDED.get(str(said["finish_reason"]), "stop")
        return str(said.get("token") or "")


class TgiStream(_Stream):
    """`{"token": {"text", "special"}, "generated_text": null | ..., "details": null | ...}`."""

    def _read(self, said: Mapping[str, Any]) -> str:
        details = said.get("details")
        if said.get("generated_text") is not None:
            told = details if isinstance(details, Mapping) else {}
            self._reason = _ENDED.get(str(told.get("finish_reason")), "stop")
            if told.get("generated_tokens"):
                self._usage = Usage(_count(told, "input_length"), _count(told, "generated_tokens"))
        token = said.get("token")
        if not isinstance(token, Mapping) or token.get("special"):
            return ""
        return str(token.get("text") or "")


class LlamaStream(_Stream):
    """`{"content": ..., "stop": false}`, and at the end `"stop": true` with why and the counts."""

    def _read(self, said: Mapping[str, Any]) -> str:
        if said.get("stop") is True:
            self._reason = _ENDED.get(str(said.get("stop_type")), "stop")
            self._usage = _llama_usage(said)
        return str(said.get("content") or "")


def _object(body: bytes, provider: str) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed("the answer is not JSON", provider=provider) from None
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if not isinstance(said, dict):
        raise Malformed("the answer is no JSON object", provider=provider)
    return said


def _told(said: Mapping[str, Any], provider: str) -> JackfieldError:
    error = said["error"]
    text = error.get("message") if isinstance(error, Mapping) else error
    return Unavailable(str(text)[:400], provider=provider)


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
