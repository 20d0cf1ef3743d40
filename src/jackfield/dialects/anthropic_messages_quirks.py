"""What sources of the Messages dialect do differently, as data; and which of its fields we know.

Knows field names, no model and no provider: who decides what fits which model is the provider.
"""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

DEFAULT_MAX_TOKENS = 4096
"""Sent where nobody said how long the answer may be: the field is required."""

REQUEST_FIELDS = frozenset(
    (
        "cache_control", "container", "context_management", "diagnostics", "inference_geo", "mcp_servers", "metadata",
        "output_config", "service_tier", "speed", "thinking", "user_profile_id",
    )
)  # fmt: skip
"""Top-level fields without a core name that are sent; all others only by `extra_fields`."""

BLOCK_FIELDS = frozenset(
    ("cache_control", "caller", "citations", "context", "title", "toolset_name", "transformations", "source")
)
TOOL_FIELDS = frozenset(
    ("allowed_callers", "cache_control", "defer_loading", "eager_input_streaming", "input_examples", "type")
)
THINKING_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768, "max": 32768}
"""How many tokens a reasoning effort is worth where a source wants a number."""
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
MIN_THINKING_TOKENS = 1024


class MessagesQuirks(msgspec.Struct, frozen=True):
    """`sampling`: whether temperature, top_p and top_k are taken. `thinking`: how a reasoning effort is said, as a number of
    tokens ("budget"), as a word ("adaptive"), or not at all. `schemas`: whether an answer can be held to a JSON schema.

    `extra_fields` are names (globs) of top-level fields that are sent beside those in `REQUEST_FIELDS`.
    """

    sampling: bool = True
    thinking: Literal["budget", "adaptive", "none"] = "budget"
    schemas: bool = True
    max_tokens: int = DEFAULT_MAX_TOKENS
    extra_fields: tuple[str, ...] = ()

    def takes_field(self, name: str) -> bool:
        return name in REQUEST_FIELDS or any(fnmatchcase(name, pattern) for pattern in self.extra_fields)


PLAIN = MessagesQuirks()
