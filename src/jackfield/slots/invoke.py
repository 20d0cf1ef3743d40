"""One question to one slot, answered as a plain dict: for tools, the console and people without a client."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean
from jackfield.core.requests import ChatRequest, Generation
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.asking import asked, messages_of
from jackfield.slots.slot import Slot

MODES = ("auto", "generate", "embed")


async def invoke(
    adapter: InferenceProviderAdapter,
    slot: Slot,
    text: str,
    *,
    mode: str,
    max_tokens: int,
    messages: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Raises BadRequest for an unknown mode or nothing to say; otherwise what the adapter raises."""
    mode = checked_mode(slot, text, mode=mode, max_tokens=max_tokens, messages=messages)
    head = {"slot": int(slot.number), "name": slot.name, "mode": mode, "provider": adapter.provider_id}
    if mode == "embed":
        vector = await adapter.embed(text or _joined(messages or ()))
        return {**head, "dim": len(vector), "embedding": vector}
    completion = await adapter.complete(_request(text, max_tokens, messages))
    return {
        **head,
        "output": completion.text,
        "model": completion.model,
        "finish_reason": completion.finish_reason,
        "usage": msgspec.to_builtins(completion.usage) if completion.usage is not None else None,
        "latency_ms": completion.latency_ms,
        "request_id": completion.request_id,
    }


def checked_mode(slot: Slot, text: str, *, mode: str, max_tokens: int, messages: Sequence[Mapping[str, Any]] | None) -> str:
    """ "generate" or "embed". Raises BadRequest as `invoke`."""
    if mode not in MODES:
        raise BadRequest(f"mode must be one of {', '.join(MODES)}, got {mode!r}{did_you_mean(mode, MODES)}", param="mode")
    if type(max_tokens) is not int or max_tokens < 0:
        raise BadRequest(f"max_tokens must be 0 (the model's own limit) or more, got {max_tokens!r}", param="max_tokens")
    if not text and not messages:
        raise BadRequest("there is nothing to ask: give text or messages", param="text")
    if mode == "auto":
        return "embed" if slot.spec is not None and slot.spec.role == "embed" else "generate"
    return mode


def _request(text: str, max_tokens: int, messages: Sequence[Mapping[str, Any]] | None) -> ChatRequest:
    generation = Generation(max_tokens=max_tokens or None)
    if messages:
        return ChatRequest(messages_of(messages), generation=generation)
    return msgspec.structs.replace(asked(text, {}).request, generation=generation)


def _joined(messages: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(message.text for message in messages_of(messages))
