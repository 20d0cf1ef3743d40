"""Token counts as Ollama writes them, in the last object of an answer.

Ollama counts the whole prompt, cached or not, and does not tell the two apart. A count that it leaves out is none.
"""

from collections.abc import Mapping
from typing import Any

from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object
from jackfield.dialects.openai_chat_usage import read_count

USAGE_FIELDS = ("prompt_eval_count", "eval_count")
DURATION_FIELDS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
"""In nanoseconds; kept beside the answer as they came."""


def read_usage(value: Mapping[str, Any]) -> Usage | None:
    """The counts in an answer's object, None where it counts nothing."""
    prompt, written = (read_count(value.get(name)) for name in USAGE_FIELDS)
    return Usage(prompt, written) if prompt or written else None


def encode_usage(usage: Usage | None) -> Object:
    """The two counts."""
    return {} if usage is None else {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}
