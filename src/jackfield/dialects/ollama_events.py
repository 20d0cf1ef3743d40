"""Ollama's answer objects, one whole or many in a stream, to core events.

Knows the answers of /api/chat and /api/generate, and how they end. Durations and other leftovers of an answer are kept in its
extra. A tool call that cannot be read is repaired, or the answer is refused: see `ToolCallParseError`.
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
from jackfield.dialects.json_value import Object, present, rest
from jackfield.dialects.ollama_errors import in_band_error, unreadable_call
from jackfield.dialects.ollama_turns import readable_arguments
from jackfield.dialects.ollama_usage import USAGE_FIELDS, read_usage
from jackfield.dialects.open_parts import OpenParts

_encode = msgspec.json.Encoder().encode
_SAID = ("response", "thinking", "tool_calls")
_ANSWER_FIELDS = ("model", "created_at", "message", *_SAID, "done", "done_reason", "logprobs", "error", *USAGE_FIELDS)
_MESSAGE_FIELDS = ("role", "content", "thinking", "tool_calls")
_CALL_FIELDS = ("id", "type", "function")
_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


class AnswerReader:
    """Takes answer objects in order and tells their events; `end` when there are no more. `model`: for answers without one.

    Some servers end an answer twice: what the second end says beside its counts is not heard.
    """

    def __init__(self, provider: str = "", model: str = "") -> None:
        self._provider = provider
        self._model = model
        self._is_started = False
        self._created = 0
        self._parts = OpenParts()
        self._calls = 0
        self._is_done = False
        self._reason = ""
        self._usage: Usage | None = None
        self._extra: Object = {}
        self._message: Object = {}

    def take(self, value: Object, events: list[Event]) -> None:
        """Adds to `events`. Raises the error that the object carries, ToolCallParseError for a call beyond repair."""
        error = in_band_error(value, provider=self._provider)
        if error is not None:
            raise error
        self._start(value, events)
        if not self._is_done:
            self._take_said(value, events)
        self._extra = present(rest(value, _ANSWER_FIELDS)) | self._extra
        if value.get("done") is True:
            self._usage = read_usage(value) or self._usage
            reason = value.get("done_reason")
            self._reason = self._reason or (reason if isinstance(reason, str) else "")
            self._is_done = True

    def end(self) -> list[Event]:
        """The last events. Raises StreamBroken if the answer was not told to be whole."""
        if not self._is_done:
            raise StreamBroken("the stream ended before the answer did", provider=self._provider or None)
        events: list[Event] = []
        self._parts.close(events)
        if self._usage is not None:
            events.append(UsageReported(self._usage))
        reason = _REASONS.get(self._reason or "stop", "other")
        if self._calls and reason == "stop":
            reason = "tool_calls"
        raw = None if reason != "other" else self._reason
        events.append(Finished(reason, raw, self._extra, self._message))
        return events

    def _start(self, value: Object, events: list[Event]) -> None:
        if self._is_started:
            return
        self._is_started = True
        self._created = _seconds(value.get("created_at"))
        model = value.get("model")
        events.append(Started(model if isinstance(model, str) and model else self._model, "", self._created))

    def _take_said(self, value: Object, events: list[Event]) -> None:
        message = value.get("message")
        said = message if isinstance(message, dict) else value
        text = said.get("content" if said is message else "response")
        thinking, calls = said.get("thinking"), said.get("tool_calls")
        logprobs = value.get("logprobs")
        if isinstance(thinking, str) and thinking:
            events.append(ReasoningDelta(self._parts.grow("reasoning", events), thinking))
        if isinstance(text, str) and (text or logprobs):
            events.append(
                TextDelta(self._parts.grow("text", events), text, tuple(logprobs) if isinstance(logprobs, list) else ())
            )
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._call(call, events)
        if said is message:
            self._message |= present(rest(said, _MESSAGE_FIELDS))

    def _call(self, call: Object, events: list[Event]) -> None:
        function = call["function"] if isinstance(call.get("function"), dict) else {}
        name, arguments = self._called(function)
        extra = rest(call, _CALL_FIELDS, {"function": rest(function, ("index", "name", "arguments"))})
        id_ = call.get("id")
        # Older servers give no ids: the answer's time keeps those of one conversation apart.
        made = f"call_{self._created:x}_{self._calls}" if self._created else f"call_{self._calls}"
        index = self._parts.take(events)
        self._calls += 1
        events += [
            PartStarted(index, "tool_call", id_ if isinstance(id_, str) and id_ else made, name, extra),
            ToolCallDelta(index, arguments),
            PartEnded(index),
        ]

    def _called(self, function: Object) -> tuple[str, str]:
        """A call's name and its arguments, which some servers send as text that the model wrote."""
        name, given = str(function.get("name") or ""), function.get("arguments")
        arguments = readable_arguments(given) if isinstance(given, str) else {} if given is None else given
        if not isinstance(arguments, dict):
            raise unreadable_call(name, provider=self._provider)
        return name, _encode(arguments).decode()


def _seconds(created: Any) -> int:
    """Unix seconds of a time such as 2026-03-01T10:00:00.123456789Z; 0 where it is none."""
    try:
        return int(datetime.fromisoformat(created).timestamp()) if isinstance(created, str) else 0
    except (ValueError, OverflowError):
        return 0
