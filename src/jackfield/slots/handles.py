"""Which handle is given out for a slot, a provider's id or a requirement; the same object as long as its binding stands."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jackfield.core.errors import NoCapableProvider
from jackfield.core.profiles import CapabilityRequirement
from jackfield.money.prices import PriceTable
from jackfield.slots.handle import SlotAdapter
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, Slot, SlotSpec
from jackfield.slots.workbench import Workbench

if TYPE_CHECKING:
    from jackfield.slots.registry import ProviderRegistry


class Handles:
    """`default_provider` is an id, or None for the first plugged chat slot."""

    def __init__(
        self,
        registry: "ProviderRegistry",
        bench: Workbench,
        *,
        clock: Callable[[], float],
        prices: PriceTable | None,
        default_provider: str | None,
    ) -> None:
        self._registry = registry
        self._bench = bench
        self._clock = clock
        self._prices = PriceTable.load() if prices is None else prices
        self._by_slot: dict[int, SlotAdapter] = {}
        self._idle: dict[str, tuple[dict[str, Any], SlotAdapter]] = {}
        self.default_provider = default_provider

    def on_slot(self, slot: Slot) -> SlotAdapter | None:
        if slot.binding is None:
            self._by_slot.pop(int(slot.number), None)
            return None
        held = self._by_slot.get(int(slot.number))
        if held is None or held.binding is not slot.binding:
            held = self._handle(slot.binding)
            self._by_slot[int(slot.number)] = held
        return held

    def on_provider(self, provider_id: str) -> SlotAdapter:
        """Raises ProviderNotFound, or what creating the provider raises."""
        canonical = self._bench.types.canonical(provider_id)
        for slot in self._registry.plugged():
            if slot.spec is not None and slot.spec.provider == canonical:
                return self._plugged(slot)
        config = self._registry.configs.get(canonical, {})
        kept = self._idle.get(canonical)
        if kept is not None and kept[0] == config:
            return kept[1]
        if kept is not None:
            self._registry.retire(kept[1].binding.live)
        model = config.get("model")
        spec = SlotSpec(canonical, copy.deepcopy(config), model if isinstance(model, str) else None)
        handle = self._handle(self._bench.make(spec))
        self._idle[canonical] = (copy.deepcopy(config), handle)
        return handle

    def default(self) -> SlotAdapter:
        """Raises NoCapableProvider where nothing could be the default."""
        if self.default_provider is not None:
            return self.on_provider(self.default_provider)
        for slot in self._registry.plugged():
            if slot.spec is not None and slot.spec.role == "chat":
                return self._plugged(slot)
        raise NoCapableProvider(
            "no default provider: set providers.active in the settings file, or plug something: jackfield slots plug 0 PROVIDER"
        )

    def able(self, requirement: CapabilityRequirement) -> SlotAdapter:
        """The first plugged slot that states it meets the requirement. Raises NoCapableProvider."""
        lacks = []
        for slot in self._registry.plugged():
            adapter = self._plugged(slot)
            unmet = requirement.unmet_by(adapter.capabilities)
            if not unmet:
                return adapter
            lacks.append(f"slot {int(slot.number)} ({adapter.provider_id}) is not known to have {', '.join(unmet)}")
        raise NoCapableProvider(f"no slot can do this: {'; '.join(lacks) or 'nothing is plugged'}; plug a source that can")

    def take_idle(self) -> set[LiveProvider]:
        """The providers that stand in no slot, to be closed; they are forgotten."""
        lives = {handle.binding.live for _, handle in self._idle.values()}
        self._idle.clear()
        return lives

    def _plugged(self, slot: Slot) -> SlotAdapter:
        adapter = self.on_slot(slot)
        assert adapter is not None
        return adapter

    def _handle(self, binding: Binding) -> SlotAdapter:
        return SlotAdapter(binding, home=self._registry, bench=self._bench, prices=self._prices, clock=self._clock)
