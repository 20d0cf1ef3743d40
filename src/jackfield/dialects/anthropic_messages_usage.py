"""Token counts as the Messages dialect writes them: input without what came from or went into the cache, told beside it.

Core counts the whole prompt once (core/usage.py), so the three are added here and taken apart again: no cached token is
ever counted twice. Counts without a core name stay in `Usage.extra` in the shape they had.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import Malformed
from jackfield.core.usage import Usage
from jackfield.dialects.json_value import Object, present, rest

CACHE_READ = "cache_read_input_tokens"
CACHE_WRITE = "cache_creation_input_tokens"
_DETAILS = "output_tokens_details"
_NAMED = frozenset(("input_tokens", "output_tokens", CACHE_READ, _DETAILS))
_KEPT = ("cache_creation", "server_tool_use", "service_tier", "inference_geo", "speed")


def read_usage(value: Mapping[str, Any]) -> Usage:
    """Token counts of a usage object. What cached tokens cost to write stays in `extra` under its own name."""
    cached, written = count(value.get(CACHE_READ)), count(value.get(CACHE_WRITE))
    found = value.get(_DETAILS)
    details: Object = found if isinstance(found, dict) else {}
    extra = present(rest(value, _NAMED, {_DETAILS: present(rest(details, ("thinking_tokens",)))}))
    return Usage(
        count(value.get("input_tokens")) + cached + written,
        count(value.get("output_tokens")),
        cached,
        count(details.get("thinking_tokens")),
        {name: item for name, item in extra.items() if item != 0},
    )


def count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def encode_usage(usage: Usage | None) -> Object:
    """The usage object of a whole answer; zeros where nothing is known, since clients take it for granted."""
    used = usage or Usage()
    written = count(used.extra.get(CACHE_WRITE))
    value: Object = {
        "input_tokens": max(0, used.prompt_tokens - used.cached_tokens - written),
        CACHE_WRITE: written,
        CACHE_READ: used.cached_tokens,
        "output_tokens": used.completion_tokens,
    }
    if used.reasoning_tokens:
        value[_DETAILS] = {"thinking_tokens": used.reasoning_tokens}
    if used.extra:
        value |= {name: used.extra[name] for name in _KEPT if name in used.extra}
    return value


class _Counted(msgspec.Struct):
    input_tokens: int


def decode_count(body: bytes) -> int:
    """The answer to a question for a count. Raises Malformed."""
    try:
        return msgspec.json.decode(body, type=_Counted).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"the token count is not what it should be: {error}") from None


class _UsageOnly(msgspec.Struct, gc=False):
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_UsageOnly).decode


def reply_usage(body: bytes) -> Usage | None:
    """The token counts of a whole reply's bytes, None where it tells none. All else in `body` is skipped."""
    try:
        usage = _decode(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if usage is None else read_usage(usage)
