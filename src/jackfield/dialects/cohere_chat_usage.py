"""Token counts, ends and log probabilities of Cohere's answers in core's terms.

Cohere counts twice: `billed_units` is what the caller wrote and pays for, `tokens` also what Cohere wrote around it. Core's
counts are what is paid for; the other ones stay in `Usage.extra`.
"""

from typing import Any

from jackfield.core.events import FinishReason
from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object, present, rest

_REASONS: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
_SAME = ("COMPLETE", "MAX_TOKENS", "TOOL_CALL")
_COUNTS = ("input_tokens", "output_tokens")


def read_usage(value: Any) -> Usage | None:
    """The counts of a `usage` or `meta` object, None where it counts nothing."""
    if not isinstance(value, dict):
        return None
    billed, counted = _object(value.get("billed_units")), _object(value.get("tokens"))
    if not billed and not counted:
        return None
    given, answered = (read_count(billed.get(name, counted.get(name))) for name in _COUNTS)
    extra = present(rest(value, ("billed_units", "cached_tokens", "api_version"), {"billed_units": rest(billed, _COUNTS)}))
    return Usage(given, answered, min(read_count(value.get("cached_tokens")), given), 0, extra)


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def read_count(value: Any) -> int:
    """Cohere writes its counts as floating-point numbers."""
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15
    return int(value) if is_count else 0


def read_reason(value: Any, *, called: bool) -> tuple[FinishReason, str | None]:
    """Our word and, where it says more, Cohere's. `called` says that there are tool calls, which outweighs "stop"."""
    raw = value if isinstance(value, str) else ""
    reason = _REASONS.get(raw, "other")
    if called and reason == "stop":
        reason = "tool_calls"
    return reason, None if raw in _SAME else raw or None


def read_logprobs(items: Any) -> tuple[Any, ...]:
    """One entry, in OpenAI's shape, for each piece of text: a piece of several tokens has the product of theirs."""
    return tuple(_entry(item) for item in (items if isinstance(items, list) else ()) if isinstance(item, dict))


def _entry(item: Object) -> Object:
    text = item.get("text")
    said = text if isinstance(text, str) else ""
    values = item.get("logprobs")
    numbers = [number for number in (values if isinstance(values, list) else ()) if isinstance(number, int | float)]
    return {"token": said, "logprob": float(sum(numbers)), "bytes": list(said.encode(errors="replace")), "top_logprobs": []}
