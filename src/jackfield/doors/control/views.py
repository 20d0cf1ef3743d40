"""What the control routes give: typed answers made from the panel's snapshots. The OpenAPI description is made of these.

Knows how to show things, not how to change them. Every config goes through the mask.
"""

from collections.abc import Collection
from typing import Any

import msgspec

from jackfield.core.contracts import ProviderCard, ProviderKind
from jackfield.core.modes import OperatingMode
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import Generation
from jackfield.gateway.masking import masked_config, masked_text
from jackfield.slots.catalogue import CatalogueEntry
from jackfield.slots.slot import Binding, Slot, SlotRole


class Standing(msgspec.Struct, frozen=True):
    """The last verdict about a source. `is_ready` None: not asked yet. `checked_at` Unix seconds, `latency_s` seconds."""

    is_ready: bool | None
    checked_at: float | None
    latency_s: float | None
    detail: str
    version: str | None


class LiveView(msgspec.Struct, frozen=True):
    """What lives in a slot. `hosts` are where prompts go; empty means this process only."""

    display_name: str
    type: ProviderKind
    dialect: str | None
    hosts: tuple[str, ...]
    is_simulated: bool
    serial: int
    in_flight: int
    capabilities: Capabilities
    standing: Standing
    metrics: dict[str, Any]


class SlotView(msgspec.Struct, frozen=True):
    """One slot. `model_id` is its name for any OpenAI client. `state` is empty, plugged, or failed (wanted but not there)."""

    number: int
    model_id: str
    name: str
    state: str
    provider: str | None = None
    model: str | None = None
    role: SlotRole | None = None
    config: dict[str, Any] = {}
    generation: Generation = Generation()
    problem: str | None = None
    live: LiveView | None = None


class Panel(msgspec.Struct, frozen=True):
    size: int
    plugged: int
    slots: tuple[SlotView, ...]


class ProviderView(msgspec.Struct, frozen=True):
    """What is known of a provider type without asking it. `slots` are where it is plugged now."""

    card: ProviderCard
    is_configured: bool
    is_consented: bool
    slots: tuple[int, ...]
    config: dict[str, Any] = {}


class ProviderList(msgspec.Struct, frozen=True):
    """`problems` are plugins that could not be loaded."""

    providers: tuple[ProviderView, ...]
    problems: tuple[str, ...]


class Consents(msgspec.Struct, frozen=True):
    mode: OperatingMode
    consents: dict[str, tuple[str, ...]]


class ModelView(msgspec.Struct, frozen=True):
    id: str
    slot: int
    provider: str
    model: str | None
    is_stale: bool
    error: str | None
    profile: ModelProfile | None


class ModelList(msgspec.Struct, frozen=True):
    models: tuple[ModelView, ...]


def slot_view(slot: Slot, known: Collection[str]) -> SlotView:
    """`slot` as it is shown. `known` are literal secrets to take out wherever they stand."""
    spec = slot.spec
    number = int(slot.number)
    if spec is None:
        return SlotView(number, slot.number.model_name, slot.name, "empty")
    return SlotView(
        number,
        slot.number.model_name,
        slot.name,
        "plugged" if slot.binding is not None else "failed",
        provider=spec.provider,
        model=spec.model,
        role=spec.role,
        config=masked_config(spec.config, known),
        generation=spec.generation,
        problem=None if slot.problem is None else masked_text(slot.problem, known),
        live=None if slot.binding is None else _live_view(slot.binding, known),
    )


def _live_view(binding: Binding, known: Collection[str]) -> LiveView:
    live, info = binding.live, binding.info
    standing = live.standing
    return LiveView(
        display_name=info.display_name,
        type=info.type,
        dialect=info.dialect,
        hosts=info.hosts,
        is_simulated=info.simulated,
        serial=binding.serial,
        in_flight=live.in_flight,
        capabilities=binding.capabilities,
        standing=Standing(
            standing.is_ready, standing.checked_at, standing.latency_s, masked_text(standing.detail, known), standing.version
        ),
        metrics=binding.metrics.as_dict(),
    )


def model_view(entry: CatalogueEntry, known: Collection[str]) -> ModelView:
    return ModelView(
        entry.id,
        int(entry.slot),
        entry.provider,
        entry.model,
        entry.stale,
        None if entry.error is None else masked_text(entry.error, known),
        entry.profile,
    )
