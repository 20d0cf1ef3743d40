"""Token counts and ends of the Converse API in core's terms.

AWS tells input without what came from or went into the cache; core counts the whole prompt once, so the three are added. What
was written to the cache has the name that the Messages dialect gives it: one word for one thing.
"""

from typing import Any

from jackfield.core.errors import Malformed
from jackfield.core.events import FinishReason
from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object, present, rest

CACHE_WRITE = "cache_creation_input_tokens"
_READ = ("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_BROKEN = ("malformed_model_output", "malformed_tool_use")
_SAME = ("end_turn", "tool_use", "max_tokens")


def read_usage(value: Any) -> Usage | None:
    """The counts of a `usage` object, None for what is none."""
    if not isinstance(value, dict):
        return None
    given, answered, _, cached, written = (_count(value.get(name)) for name in _READ)
    extra: Object = present(rest(value, _READ))
    return Usage(given + cached + written, answered, cached, 0, extra | ({CACHE_WRITE: written} if written else {}))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def read_reason(value: Any, *, provider: str = "") -> tuple[FinishReason, str | None]:
    """Our word and, where it says more, AWS's. Raises Malformed for words that say the answer cannot be read."""
    raw = value if isinstance(value, str) else ""
    if raw in _BROKEN:
        raise Malformed(f"the model's answer could not be read by its own API (stopReason {raw})", provider=provider or None)
    return _REASONS.get(raw, "other"), None if raw in _SAME else raw or None
