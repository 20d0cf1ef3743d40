"""Token counts as Gemini writes them and as its clients read them.

Google counts thoughts beside the candidates and tool prompts beside the prompt; core counts them within. What is cached is part
of the prompt on both sides. `Usage.extra` keeps the counts without a core name in the shape they had.
"""

from typing import Any

import msgspec

from jackfield.core.usage import Usage
from jackfield.dialects.gemini_names import camel
from jackfield.dialects.json_value import Object, present, rest

_READ = (
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "totalTokenCount",
)


def read_usage(value: Any) -> Usage | None:
    """The counts of a `usageMetadata`, None for what is none or counts nothing."""
    if not isinstance(value, dict):
        return None
    given = camel(value)
    prompt, cached, candidates, thoughts, tool_use, total = (_count(given.get(name)) for name in _READ)
    # Some models count thoughts among the candidates: then the total tells.
    is_inclusive = thoughts > 0 and total == prompt + tool_use + candidates
    extra = present(rest(given, _READ)) | ({"toolUsePromptTokenCount": tool_use} if tool_use else {})
    if not (prompt or candidates or thoughts or total):
        return None
    return Usage(prompt + tool_use, candidates if is_inclusive else candidates + thoughts, cached, thoughts, extra)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def encode_usage(usage: Usage) -> Object:
    """A `usageMetadata`: counts of zero are left out where Google leaves them out."""
    endings = ("TokensDetails", "TokenCount", "trafficType")
    extra = {name: value for name, value in usage.extra.items() if name.endswith(endings)} if usage.extra else {}
    tool_use = _count(extra.get("toolUsePromptTokenCount"))
    counts: Object = {
        "promptTokenCount": usage.prompt_tokens - tool_use,
        "candidatesTokenCount": usage.completion_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    if usage.cached_tokens:
        counts["cachedContentTokenCount"] = usage.cached_tokens
    if usage.reasoning_tokens:
        counts["thoughtsTokenCount"] = usage.reasoning_tokens
    return counts | extra


class _UsageOnly(msgspec.Struct, gc=False):
    usageMetadata: Any = None  # noqa: N815 - Google's name


_look = msgspec.json.Decoder(_UsageOnly).decode


def reply_usage(body: bytes) -> Usage | None:
    """The token counts (no `extra`) of a whole reply's bytes, None where it tells none. All else in `body` is skipped."""
    try:
        usage = read_usage(_look(body).usageMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if usage is None else msgspec.structs.replace(usage, extra={})
