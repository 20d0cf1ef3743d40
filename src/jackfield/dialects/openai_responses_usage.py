"""Token counts as the Responses API writes them, to core usage and back.

Knows the usage object only. `Usage.extra` holds the counts without a core name under the names that Chat Completions uses, so
that either dialect writes what the other read.
"""

from typing import Any

import msgspec

from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object, present, rest
from jackfield.dialects.openai_chat_usage import read_count

_FIELDS = frozenset(("input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"))
_DETAILS = {"input_tokens_details": "prompt_tokens_details", "output_tokens_details": "completion_tokens_details"}


def read_usage(value: Object) -> Usage:
    """`input_tokens` includes the cached ones, `output_tokens` the reasoning: as in core."""
    given, written = _details(value, "input_tokens_details"), _details(value, "output_tokens_details")
    nested = {
        _DETAILS["input_tokens_details"]: present(rest(given, ("cached_tokens",))),
        _DETAILS["output_tokens_details"]: present(rest(written, ("reasoning_tokens",))),
    }
    return Usage(
        read_count(value.get("input_tokens")),
        read_count(value.get("output_tokens")),
        read_count(given.get("cached_tokens")),
        read_count(written.get("reasoning_tokens")),
        present(rest(value, _FIELDS, nested)),
    )


def _details(value: Object, name: str) -> Object:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def encode_usage(usage: Usage) -> Object:
    """The usage object, with the details that OpenAI always sends."""
    extra = dict(usage.extra)
    given = extra.pop("prompt_tokens_details", None) or {}
    written = extra.pop("completion_tokens_details", None) or {}
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0, **given},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, **written},
        "total_tokens": usage.total_tokens,
        **extra,
    }


class _WireDetails(msgspec.Struct, gc=False):
    cached_tokens: Any = None
    reasoning_tokens: Any = None


class _WireUsage(msgspec.Struct, gc=False):
    input_tokens: Any = None
    output_tokens: Any = None
    input_tokens_details: _WireDetails | None = None
    output_tokens_details: _WireDetails | None = None


class _UsageOnly(msgspec.Struct, gc=False):
    usage: _WireUsage | None = None


_decode_usage_only = msgspec.json.Decoder(_UsageOnly).decode


def reply_usage(body: bytes) -> Usage | None:
    """The token counts (no `extra`) of a whole response's bytes, None where it tells none. All else in `body` is skipped."""
    try:
        usage = _decode_usage_only(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if usage is None:
        return None
    given, written = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        read_count(usage.input_tokens),
        read_count(usage.output_tokens),
        read_count(given.cached_tokens) if given else 0,
        read_count(written.reasoning_tokens) if written else 0,
    )
