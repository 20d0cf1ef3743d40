"""Gemini's answer objects, one whole or many in a stream, to core events.

Knows candidates, their parts and how an answer ends. Pictures and parts that no core type names are kept in the message's extra
(`images` as OpenRouter writes them, `content_parts` as they came); leftovers of the candidate and the answer in the reply's.
"""

from datetime import datetime
from typing import Any

import msgspec

from jackfield.core.errors import StreamBroken
from jackfield.core.events import (
    Event,
    Finished,
    FinishReason,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from jackfield.core.usage import Usage
from jackfield.dialects.gemini_errors import blocked, broken_answer, in_band_error
from jackfield.dialects.gemini_logprobs import read_logprobs
from jackfield.dialects.gemini_names import signed
from jackfield.dialects.gemini_usage import read_usage
from jackfield.dialects.json_value import Object, present, rest
from jackfield.dialects.open_parts import OpenParts

_encode = msgspec.json.Encoder().encode
_ANSWER_FIELDS = ("candidates", "usageMetadata", "modelVersion", "responseId", "createTime", "error")
_CANDIDATE_FIELDS = ("content", "finishReason", "index", "logprobsResult")
_PART_FIELDS = frozenset(("text", "thought", "thoughtSignature"))
_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_BROKEN = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    )
)


def read_reason(value: Any, told: Any = None, *, called: bool, provider: str = "") -> tuple[FinishReason, str | None]:
    """Our word and, where it says more, Google's. Raises Malformed for words that say the answer cannot be read."""
    raw = value if isinstance(value, str) else ""
    if raw in _BROKEN:
        raise broken_answer(raw, told, provider=provider)
    reason = _REASONS.get(raw, "other")
    if called and reason == "stop":
        return "tool_calls", None
    return reason, None if raw in ("STOP", "MAX_TOKENS", "") else raw


class AnswerReader:
    """Takes answer objects in order and tells their events; `end` when there are no more. `model`: for answers without one."""

    def __init__(self, provider: str = "", model: str = "") -> None:
        self._provider = provider
        self._model = model
        self._is_started = False
        self._id = ""
        self._parts = OpenParts()
        self._calls = 0
        self._reason: Any = None
        self._usage: Usage | None = None
        self._logprobs: tuple[Any, ...] = ()
        self._early: Object = {}
        self._late: Object = {}
        self._candidate: Object = {}
        self._message: Object = {}

    def take(self, value: Object, events: list[Event]) -> None:
        """Adds to `events`. Raises what the object carries: an error, a blocked prompt, an unreadable answer."""
        error = in_band_error(value, provider=self._provider)
        if error is not None:
            raise error
        self._usage = read_usage(value.get("usageMetadata")) or self._usage
        candidate = _first_candidate(value.get("candidates"))
        if candidate is None and (refused := blocked(value.get("promptFeedback"), provider=self._provider)) is not None:
            raise refused
        self._start(value, events)
        if candidate is not None:
            self._take_candidate(candidate, events)

    def end(self) -> list[Event]:
        """The last events. Raises StreamBroken if the answer was not told to be whole."""
        if self._reason is None:
            raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)
        events: list[Event] = []
        if self._logprobs:
            self._say("", events)
        self._parts.close(events)
        if self._usage is not None:
            events.append(UsageReported(self._usage))
        reason, raw = read_reason(self._reason, called=self._calls > 0, provider=self._provider)
        extra = self._late | ({"candidates": [self._candidate]} if self._candidate else {})
        events.append(Finished(reason, raw, extra, self._message))
        return events

    def _start(self, value: Object, events: list[Event]) -> None:
        extra = present(rest(value, _ANSWER_FIELDS))
        if self._is_started:
            self._late |= {name: item for name, item in extra.items() if self._early.get(name) != item}
            return
        self._is_started = True
        self._early = extra
        model, id_ = value.get("modelVersion"), value.get("responseId")
        self._id = id_ if isinstance(id_, str) else ""
        events.append(
            Started(
                model if isinstance(model, str) and model else self._model, self._id, _seconds(value.get("createTime")), extra
            )
        )

    def _take_candidate(self, candidate: Object, events: list[Event]) -> None:
        reason = candidate.get("finishReason")
        if reason is not None:
            read_reason(reason, candidate.get("finishMessage"), called=False, provider=self._provider)
            self._reason = reason
        self._logprobs += read_logprobs(candidate.get("logprobsResult"))
        self._candidate |= present(rest(candidate, _CANDIDATE_FIELDS))
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._take_part(part, events)

    def _take_part(self, part: Object, events: list[Event]) -> None:
        text, signature = part.get("text"), part.get("thoughtSignature")
        if isinstance(text, str) or not part.keys() - _PART_FIELDS:
            self._take_text(text or "", signature, events, is_thought=part.get("thought") is True)
        elif isinstance(part.get("functionCall"), dict):
            self._call(part["functionCall"], signed(signature), events)
        else:
            self._keep(part)

    def _take_text(self, text: str, signature: Any, events: list[Event], *, is_thought: bool) -> None:
        """A signature belongs to its own part: what comes before and after it stays apart."""
        extra = signed(signature)
        if is_thought:
            if text or extra:
                index = self._parts.grow("reasoning", events)
                events.append(ReasoningDelta(index, text, signature if extra else None))
        elif extra:
            self._parts.close(events)
            self._say(text, events, extra)
        elif text:
            self._say(text, events)
        if extra:
            self._parts.close(events)

    def _say(self, text: str, events: list[Event], extra: Object | None = None) -> None:
        index = self._parts.grow("text", events, extra)
        events.append(TextDelta(index, text, self._logprobs))
        self._logprobs = ()

    def _call(self, call: Object, extra: Object, events: list[Event]) -> None:
        id_, name, args = call.get("id"), call.get("name"), call.get("args")
        made = f"call_{self._id}_{self._calls}" if self._id else f"call_{self._calls}"
        index = self._parts.take(events)
        self._calls += 1
        events += [
            PartStarted(index, "tool_call", id_ if isinstance(id_, str) and id_ else made, str(name or ""), extra),
            ToolCallDelta(index, _encode(args if isinstance(args, dict) else {}).decode()),
            PartEnded(index),
        ]

    def _keep(self, part: Object) -> None:
        blob = part.get("inlineData")
        if isinstance(blob, dict) and str(blob.get("mimeType")).startswith("image/"):
            url = f"data:{blob.get('mimeType')};base64,{blob.get('data')}"
            image = {"type": "image_url", "image_url": {"url": url}}
            self._message["images"] = [*self._message.get("images", ()), image]
        else:
            self._message["content_parts"] = [*self._message.get("content_parts", ()), part]


def _first_candidate(candidates: Any) -> Object | None:
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, dict) and not candidate.get("index"):
            return candidate
    return None


def _seconds(created: Any) -> int:
    """Unix seconds of a time such as 2026-03-01T10:00:00.5Z; 0 where it is none."""
    try:
        return int(datetime.fromisoformat(created).timestamp()) if isinstance(created, str) else 0
    except ValueError:
        return 0
