"""Asks a gateway through its OpenAI door and hands the text on as it arrives.

Knows the chat completion body and its chunks as far as a terminal needs them: text, why it ended, what it used.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from jackfield.app.cli.gateway import Gateway, Reply, error_from
from jackfield.core.errors import JackfieldError, Malformed, NotFound, StreamBroken
from jackfield.dialects.sse import SseDecoder

PATH = "/v1/chat/completions"
ANSWER_WITHIN_S = 600.0
DONE = b"[DONE]"


class Answer(msgspec.Struct, frozen=True):
    """A whole answer and where it came from. `usage` is as the provider counted it."""

    text: str
    model: str | None = None
    slot: int | None = None
    provider: str | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    request_id: str | None = None
    cost_msat: int | None = None


def ask(
    gateway: Gateway,
    messages: Sequence[Mapping[str, str]],
    model: str,
    options: Mapping[str, Any],
    on_text: Callable[[str], object],
) -> Answer:
    """Streams an answer; `on_text` gets each piece. Raises what the gateway answers with, StreamBroken for a cut stream."""
    body = {"model": model, "messages": list(messages), "stream": True, "stream_options": {"include_usage": True}, **options}
    with _open(gateway, body, "text/event-stream") as reply:
        reading = _Stream(on_text)
        for chunk in reply.chunks():
            reading.feed(chunk)
        return reading.answer(reply.headers)


def ask_whole(gateway: Gateway, messages: Sequence[Mapping[str, str]], model: str, options: Mapping[str, Any]) -> Answer:
    """The same without streaming."""
    with _open(gateway, {"model": model, "messages": list(messages), **options}, "application/json") as reply:
        try:
            body = json.loads(reply.body())
            choice = body["choices"][0]
            text = choice["message"].get("content") or ""
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise Malformed("the answer is not a chat completion") from None
        return _answer(text, body.get("model"), choice.get("finish_reason"), body.get("usage"), reply.headers)


def _open(gateway: Gateway, body: Mapping[str, Any], accept: str) -> Reply:
    reply = gateway.open("POST", PATH, body, timeout_s=ANSWER_WITHIN_S, accept=accept)
    if reply.status >= 400:
        with reply:
            raise error_from(reply.status, reply.body())
    return reply


class _Stream:
    """Chunks to text. An error inside the stream ends it as that error."""

    def __init__(self, on_text: Callable[[str], object]) -> None:
        self._on_text = on_text
        self._decoder = SseDecoder()
        self._pieces: list[str] = []
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._is_done = False

    def feed(self, chunk: bytes) -> None:
        for event in self._decoder.feed(chunk):
            if event.data == DONE:
                self._is_done = True
            elif not self._is_done:
                self._take(event.data)

    def _take(self, data: bytes) -> None:
        try:
            said = json.loads(data)
        except ValueError:
            raise Malformed("the gateway sent a chunk that is not JSON") from None
        if not isinstance(said, dict):
            raise Malformed("the gateway sent a chunk that is not an object")
        if "error" in said:
            raise error_from(502, data)
        self._model = said.get("model") or self._model
        self._usage = said.get("usage") or self._usage
        for choice in (said.get("choices") or ())[:1]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            text = (choice.get("delta") or {}).get("content")
            if text:
                self._pieces.append(text)
                self._on_text(text)

    def answer(self, headers: Mapping[str, str]) -> Answer:
        if not (self._is_done or self._finish_reason):
            raise StreamBroken("the answer stopped in the middle: ask again")
        return _answer("".join(self._pieces), self._model, self._finish_reason, self._usage, headers)


def _answer(text: str, model: Any, finish_reason: Any, usage: Any, headers: Mapping[str, str]) -> Answer:
    slot, cost = headers.get("x-jackfield-slot", ""), headers.get("x-jackfield-cost-msat", "")
    return Answer(
        text,
        model=model if isinstance(model, str) else None,
        slot=int(slot) if slot.isdecimal() else None,
        provider=headers.get("x-jackfield-provider"),
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        usage=usage if isinstance(usage, dict) else None,
        request_id=headers.get("x-request-id"),
        cost_msat=int(cost) if cost.isdecimal() else None,
    )


def first_chat_slot(gateway: Gateway) -> str:
    """The model id of the lowest slot that can chat. Raises NotFound with what to do where there is none."""
    return chat_slots(gateway)[0]


def chat_slots(gateway: Gateway) -> list[str]:
    """The model ids of all slots that can chat, the lowest first. Raises NotFound with what to do where there is none."""
    slots = gateway.get("slots")["slots"]
    found = [str(slot["model_id"]) for slot in slots if slot["state"] == "plugged" and slot.get("role") in (None, "chat")]
    if found:
        return found
    failed = [f"slot {slot['number']} ({slot.get('problem')})" for slot in slots if slot["state"] == "failed"]
    why = f"; not there: {', '.join(failed)}" if failed else ""
    raise NotFound(f"nothing is plugged that could answer{why}: jackfield discover, then jackfield slots plug 0 PROVIDER")


def is_missing_model(error: JackfieldError) -> bool:
    """The name in `model` leads to no slot."""
    return error.code in ("model_not_found", "slot_empty", "slot_out_of_range")
