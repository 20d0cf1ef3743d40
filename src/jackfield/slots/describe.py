"""Slots and providers as plain dicts, for tools and people. Pure shaping; secrets cannot be here, specs hold references."""

import copy
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from jackfield.core.contracts import ProviderCard
from jackfield.slots.slot import Slot, SlotSpec


def source_of(spec: SlotSpec | None) -> str | None:
    """What plays in a slot, in one word: its model, else its provider."""
    return None if spec is None else spec.model or spec.provider


def listed(slot: Slot) -> dict[str, Any]:
    """One line of the panel. `provider` None is an empty slot."""
    spec = slot.spec
    return {
        "index": int(slot.number),
        "name": slot.name,
        "plugged": slot.binding is not None,
        "model_source": source_of(spec),
        "provider": spec.provider if spec else None,
        "model": spec.model if spec else None,
        "role": spec.role if spec else None,
        "model_id": slot.number.model_name,
        "problem": slot.problem,
    }


def described(slot: Slot) -> dict[str, Any]:
    """All that is known of one slot."""
    spec, binding = slot.spec, slot.binding
    return {
        **listed(slot),
        "slot": int(slot.number),
        "source": source_of(spec),
        "type": binding.info.type if binding else None,
        "model_type": spec.role if spec else None,
        "class": type(binding.live.provider).__name__ if binding else None,
        "parameters": msgspec.to_builtins(spec.generation) if spec else {},
        "config": copy.deepcopy(spec.config) if spec else {},
        "capabilities": msgspec.to_builtins(binding.capabilities) if binding else None,
        "metrics": binding.metrics.as_dict() if binding else None,
        "serial": binding.serial if binding else None,
        "in_flight": binding.live.in_flight if binding else 0,
    }


def described_providers(
    cards: Iterable[ProviderCard], *, configured: Collection[str], available: Collection[str]
) -> list[dict[str, Any]]:
    """Every provider once, with its capabilities, whether it has a config and whether it answers in some slot now."""
    return [
        {**msgspec.to_builtins(card), "configured": card.id in configured, "available": card.id in available} for card in cards
    ]
