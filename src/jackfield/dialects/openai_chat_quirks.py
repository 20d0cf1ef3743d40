"""How one source's Chat Completions differ from OpenAI's: a closed list of typed facts, filled from preset rows.

Knows no source by name. What a quirk does is in openai_chat_request.py (translated requests) and openai_chat_splice.py
(requests that pass through).
"""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

STANDARD_FIELDS = frozenset(
    (
        "audio",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    )
)
REASONING_MODELS_REFUSE = ("temperature", "top_p", "presence_penalty", "frequency_penalty")

TokensField = Literal["max_tokens", "max_completion_tokens"]
SystemRole = Literal["system", "developer"]


class ChatQuirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source's habits. The defaults are what nearly every compatible server takes.

    `max_tokens_field` and `system_role`: None means unsaid, so a translated request uses the older word ("max_tokens",
    "system") and one that passes through keeps the client's; a value is imposed on both.
    `reasoning_field`: the field in which the source gives and takes reasoning; None reads either common name and sends none.
    `stream_usage`: takes `stream_options`. `drop_fields`: top-level fields that it refuses.
    `extra_fields`: glob patterns of fields outside OpenAI's own list that it takes ("*": all); others are left out of a
    translated request, each with a warning.
    `flatten_content`: takes message content as text only. `tool_choice`: takes it. `auth_header`: "authorization" carries
    `Bearer KEY`, any other header the bare key. `models_path`: where models are listed, relative to the base URL.
    `call_path`: where a call is, with {path} for OpenAI's own path, {model} and {api_version}; `api_version` fills the last.
    `reasoning_models`: glob patterns of models that want `max_completion_tokens` and refuse sampling settings.
    `responses_models`: glob patterns of models that answer the Responses API only.
    `completions_models`: glob patterns of models that complete a prompt as it is, by the older call.
    `continue_final_message`: it goes on after a last message by the assistant only where this flag says so.
    `drop_null_tool_fields`: it refuses a tool of which a field is null; such fields are left unsaid.
    """

    max_tokens_field: TokensField | None = None
    reasoning_field: str | None = None
    system_role: SystemRole | None = None
    stream_usage: bool = True
    drop_fields: tuple[str, ...] = ()
    extra_fields: tuple[str, ...] = ()
    flatten_content: bool = False
    tool_choice: bool = True
    auth_header: str = "authorization"
    models_path: str = "models"
    call_path: str = ""
    api_version: str = ""
    reasoning_models: tuple[str, ...] = ()
    responses_models: tuple[str, ...] = ()
    completions_models: tuple[str, ...] = ()
    continue_final_message: bool = False
    drop_null_tool_fields: bool = False

    def is_reasoning_model(self, model: str | None) -> bool:
        """Whether `model`, or its part after the last slash, matches `reasoning_models`. Letter case does not matter."""
        return _matches(model, self.reasoning_models)

    def wants_responses(self, model: str | None) -> bool:
        """Whether `model`, or its part after the last slash, matches `responses_models`. Letter case does not matter."""
        return _matches(model, self.responses_models)

    def completes_prompts(self, model: str | None) -> bool:
        """Whether `model`, or its part after the last slash, matches `completions_models`. Letter case does not matter."""
        return _matches(model, self.completions_models)

    def takes_field(self, name: str) -> bool:
        """Whether a top-level field may be sent: OpenAI's own, or one that `extra_fields` allows."""
        return name in STANDARD_FIELDS or any(fnmatchcase(name, pattern) for pattern in self.extra_fields)


def _matches(model: str | None, patterns: tuple[str, ...]) -> bool:
    if not patterns or not model:
        return False
    whole = model.lower()
    names = (whole, whole.rpartition("/")[2])
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)
