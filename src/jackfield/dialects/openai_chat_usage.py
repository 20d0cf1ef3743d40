"""Token counts as OpenAI-style servers write them, in their several accents, and as OpenAI clients read them.

Knows the usage object only. `Usage.extra` keeps the counts without a core name in the shape they had.
"""

from typing import Annotated, Any

import msgspec

from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object, left, present, rest

COUNT_MAX = 10**12
"""A number of tokens past all reason; nobody is charged for it."""
_USAGE_FIELDS = frozenset(
    ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details")
)

_TOTALS = frozenset(("prompt_tokens", "completion_tokens", "total_tokens"))
_CACHED = frozenset(("cached_tokens",))
_REASONING = frozenset(("reasoning_tokens",))


def read_usage(value: Object) -> Usage:
    """Token counts from any server's usage object. What has no core name is kept in `Usage.extra`."""
    prompt, completion = read_count(value.get("prompt_tokens")), read_count(value.get("completion_tokens"))
    if value.keys() <= _TOTALS:
        return Usage(prompt, completion)
    prompt_details = _details(value, "prompt_tokens_details")
    completion_details = _details(value, "completion_tokens_details")
    cached = read_count(prompt_details.get("cached_tokens"))
    reasoning = read_count(completion_details.get("reasoning_tokens"))
    if reasoning and read_count(value.get("total_tokens")) == prompt + completion + reasoning:
        # Some servers count reasoning beside the completion instead of within it.
        completion += reasoning
    nested = {
        "prompt_tokens_details": left(prompt_details, _CACHED),
        "completion_tokens_details": left(completion_details, _REASONING),
    }
    return Usage(
        prompt,
        completion,
        cached or read_count(value.get("prompt_cache_hit_tokens")) or read_count(value.get("cached_tokens")),
        reasoning,
        present(rest(value, _USAGE_FIELDS, nested)),
    )


def _details(value: Object, name: str) -> Object:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def read_count(value: Any) -> int:
    """A count as it is told; 0 for whatever is none."""
    return value if type(value) is int and 0 < value <= COUNT_MAX else 0


def encode_usage(usage: Usage) -> Object:
    """The usage object, with the details that OpenAI always sends."""
    extra = dict(usage.extra)
    prompt_details = extra.pop("prompt_tokens_details", None) or {}
    completion_details = extra.pop("completion_tokens_details", None) or {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, **prompt_details},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, **completion_details},
        **extra,
    }


_Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None


class _WireUsage(msgspec.Struct, gc=False):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    total_tokens: _Count = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: _Count | None = None
    cached_tokens: _Count | None = None


class _UsageOnly(msgspec.Struct, gc=False):
    usage: _WireUsage | None = None


class _AnyUsage(msgspec.Struct, gc=False):
    usage: Any = None


_decode_usage_only = msgspec.json.Decoder(_UsageOnly).decode
_decode_any_usage = msgspec.json.Decoder(_AnyUsage).decode


def reply_usage(body: bytes) -> Usage | None:
    """The token counts (no `extra`) of a whole reply's bytes, None where it tells none. All else in `body` is skipped."""
    try:
        usage = _decode_usage_only(body).usage
    except msgspec.ValidationError:
        return _unusual_usage(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = (prompt.cached_tokens if prompt else None) or usage.prompt_cache_hit_tokens or usage.cached_tokens or 0
    reasoning = (completion.reasoning_tokens if completion else None) or 0
    told = usage.completion_tokens
    if reasoning and usage.total_tokens == usage.prompt_tokens + told + reasoning:
        told += reasoning
    return Usage(usage.prompt_tokens, told, cached, reasoning)


def _unusual_usage(body: bytes) -> Usage | None:
    try:
        usage = _decode_any_usage(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(usage, dict):
        return None
    counted = read_usage(usage)
    return Usage(counted.prompt_tokens, counted.completion_tokens, counted.cached_tokens, counted.reasoning_tokens)
