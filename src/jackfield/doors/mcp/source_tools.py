"""The tools of sources: which providers there are, how those in slots are, and what a prompt would cost.

Only `provider_status` asks a source anything, and that is whether it is there.
"""

import asyncio
from typing import Any

from jackfield.core.token_estimate import estimate_text
from jackfield.doors.mcp.answering import Ctx, Facts, panel_of
from jackfield.gateway.masking import masked_text
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.slot import Binding, Slot

ALL = "all"
ANSWER_TOKENS = 256
"""How long an answer is taken to be where nothing limits it."""


async def list_providers(ctx: Ctx) -> list[Facts]:
    """Every provider that can be plugged: id, type, display_name, capabilities, whether it is configured and answers now."""
    return panel_of(ctx).registry.list_providers()


async def provider_status(ctx: Ctx) -> Facts:
    """Ask every plugged provider how it is: {providers: [{slot, health, latency_ms, cost_sats, tokens_used, ...}], ...}."""
    registry = panel_of(ctx).registry
    await asyncio.gather(*(registry.check_slot(slot.number) for slot in registry.plugged()))
    known = panel_of(ctx).known_secrets()
    wanted = [_status(slot) for slot in registry.slots() if slot.spec is not None]
    for each in wanted:
        each["problem"] = None if each["problem"] is None else masked_text(each["problem"], known)
    return {"providers": wanted, "total": len(wanted), "timestamp": panel_of(ctx).clock()}


async def estimate_cost(prompt: str, ctx: Ctx, provider_id: str = ALL) -> Facts:
    """What an answer to `prompt` would cost, in satoshi, at each plugged provider or at one of them; asks no provider.

    Tokens are estimated: the prompt by its text, the answer by the slot's limit, else 256 tokens. `sats` null means that no
    price is known, which is not free.
    """
    prompt_tokens = estimate_text(prompt)
    rows = [_estimate(slot, adapter, prompt_tokens) for slot, adapter in _priced(ctx, provider_id)]
    priced = [row for row in rows if row["sats"] is not None]
    return {
        "provider_id": provider_id,
        "unit": "sats",
        "prompt_tokens": prompt_tokens,
        "estimates": rows,
        "cheapest": min(priced, key=lambda row: row["sats"]) if priced else None,
    }


def _priced(ctx: Ctx, provider_id: str) -> list[tuple[Slot | None, InferenceProviderAdapter]]:
    """Whom to estimate for: what is plugged, or one provider, plugged or not. Raises ProviderNotFound."""
    registry = panel_of(ctx).registry
    found: list[tuple[Slot | None, InferenceProviderAdapter]] = []
    wanted = None if provider_id == ALL else panel_of(ctx).registrar.canonical(provider_id)
    for slot in registry.plugged():
        adapter = registry.get_adapter(slot.number)
        if adapter is not None and wanted in (None, adapter.provider_id):
            found.append((slot, adapter))
    if wanted is not None and not found:
        found.append((None, registry.get_provider(wanted)))
    return found


def _estimate(slot: Slot | None, adapter: InferenceProviderAdapter, prompt_tokens: int) -> Facts:
    spec = None if slot is None else slot.spec
    answer_tokens = 0 if spec is not None and spec.role == "embed" else ANSWER_TOKENS
    if spec is not None and spec.generation.max_tokens is not None:
        answer_tokens = spec.generation.max_tokens
    sats = adapter.get_cost_estimate(prompt_tokens, answer_tokens)
    return {
        "slot": None if slot is None else int(slot.number),
        "provider": adapter.provider_id,
        "model": (spec and spec.model) or adapter.capabilities.default_model,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer_tokens,
        "sats": sats,
        "is_free": sats == 0,
    }


def _status(slot: Slot) -> dict[str, Any]:
    assert slot.spec is not None
    head = {
        "slot": int(slot.number),
        "name": slot.name,
        "provider": slot.spec.provider,
        "model": slot.spec.model,
        "problem": slot.problem,
    }
    if slot.binding is None:
        return {**head, "health": "offline", "latency_ms": None, "cost_sats": 0.0, "tokens_used": 0, "requests": 0}
    return {**head, **_counts(slot.binding)}


def _counts(binding: Binding) -> Facts:
    standing, counts = binding.live.standing, binding.metrics.as_dict()
    health = {True: "healthy", False: "unhealthy", None: "unknown"}[standing.is_ready]
    looked_s = standing.latency_s
    return {
        "health": health,
        "checked_at": standing.checked_at,
        "probe_ms": None if looked_s is None else looked_s * 1000,
        "latency_ms": counts["latency_ms"] if counts["requests"] else None,
        "cost_sats": counts["cost_estimate"],
        "tokens_used": counts["tokens_used"],
        "requests": counts["requests"],
        "failures": counts["failures"],
        "unpriced": counts["unpriced"],
    }


SOURCE_TOOLS = (list_providers, provider_status, estimate_cost)
