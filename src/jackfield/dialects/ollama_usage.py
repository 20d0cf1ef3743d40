"""Token counts and times as Ollama writes them, in the last object of an answer.

Ollama counts the whole prompt, cached or not, and does not tell the two apart. A count that it leaves out is none.
Of other sources' times it knows llama.cpp's `timings`.
"""

from collections.abc import Mapping
from typing import Any

from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object
from jackfield.dialects.openai_chat_usage import read_count

USAGE_FIELDS = ("prompt_eval_count", "eval_count")
NS_PER_MS = 1_000_000
MOST_MS = 1e12
"""More than 30 years is no time that was measured; it would not fit where clients read it."""


def read_usage(value: Mapping[str, Any]) -> Usage | None:
    """The counts in an answer's object, None where it counts nothing."""
    prompt, written = (read_count(value.get(name)) for name in USAGE_FIELDS)
    return Usage(prompt, written) if prompt or written else None


def encode_usage(usage: Usage | None) -> Object:
    """The two counts."""
    return {} if usage is None else {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}


def encode_durations(extra: Mapping[str, Any]) -> Object:
    """llama.cpp's times, {"timings": {"prompt_ms", "predicted_ms"}}, as nanoseconds, by which clients tell tokens per second.

    Nothing where `extra` holds none. The total is of both: what a request waited is not in it.
    """
    timings = extra.get("timings")
    if not isinstance(timings, dict):
        return {}
    prompt_ns, written_ns = (_nanoseconds(timings.get(name)) for name in ("prompt_ms", "predicted_ms"))
    if prompt_ns is None or written_ns is None:
        return {}
    return {"total_duration": prompt_ns + written_ns, "prompt_eval_duration": prompt_ns, "eval_duration": written_ns}


def _nanoseconds(took_ms: Any) -> int | None:
    if type(took_ms) not in (int, float) or not 0 <= took_ms < MOST_MS:
        return None
    return int(took_ms * NS_PER_MS)
