"""Handles that stand in no slot: `create_provider`, for scripts and for whoever manages providers by name.

Knows the rules of consent as slots do; keeps nothing beyond the process, so a literal key stays in memory.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from jackfield.core.contracts import SecretSource
from jackfield.core.errors import BadRequest, ModeForbids, ProviderNotFound
from jackfield.core.modes import OperatingMode
from jackfield.money.prices import PriceTable
from jackfield.providers.registry import Registrar
from jackfield.slots.handle import SlotAdapter
from jackfield.slots.plugging import Plugger, bare_host, is_on_this_machine
from jackfield.slots.slot import Binding, SlotSpec
from jackfield.slots.workbench import Toolbox, Workbench
from jackfield.transport.egress import EgressGate

HELD = "file:held-in-memory/"


class UnknownProvider(ProviderNotFound, ValueError):
    """ProviderNotFound, and a ValueError for who expects one."""


class HeldSecrets:
    """Literal secrets of this process behind references of its own; all others are the given source's."""

    def __init__(self, source: SecretSource) -> None:
        self._source = source
        self._held: dict[str, str] = {}

    def put(self, name: str, value: str) -> str:
        self._held[HELD + name] = value
        return HELD + name

    def names(self) -> list[str]:
        return [reference.removeprefix(HELD) for reference in self._held]

    def delete(self, name: str) -> bool:
        return self._held.pop(HELD + name, None) is not None

    def resolve(self, reference: str) -> str:
        held = self._held.get(reference)
        return self._source.resolve(reference) if held is None else held


class Maker:
    """Makes handles on providers by name. Each has connections of its own, bound to the loop that first uses it."""

    def __init__(
        self,
        registrar: Registrar,
        gate: EgressGate,
        secrets: SecretSource,
        *,
        models_dir: str | None = None,
        prices: PriceTable | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registrar = registrar
        self.gate = gate
        self._secrets = HeldSecrets(secrets)
        self._models_dir = models_dir
        self._prices = PriceTable.load() if prices is None else prices
        self._clock = clock
        self._count = 0

    def create(self, name: str, config: Mapping[str, Any] | None = None, *, consent: bool = False) -> SlotAdapter:
        """A handle on the provider of that name or alias; no I/O. `consent` allows one that sends prompts elsewhere.

        Raises UnknownProvider (also a ValueError) listing the names, BadRequest, AuthFailed, MissingExtra, ModeForbids.
        """
        try:
            provider_id = self.registrar.canonical(name)
        except ProviderNotFound as error:
            raise UnknownProvider(error.message, param="provider") from None
        if config is not None and not isinstance(config, Mapping):
            raise BadRequest(f"config must be an object, got {type(config).__name__}", param="config")
        self._count += 1
        home = Alone(self.registrar, self.gate, self._secrets, self._models_dir, self._clock)
        binding = home.make(SlotSpec(provider_id, dict(config or {})), f"{provider_id}-{self._count}")
        if consent:
            self._grant(binding)
        return SlotAdapter(binding, home=home, bench=home.bench, prices=self._prices, clock=self._clock)

    def _grant(self, binding: Binding) -> None:
        hosts = [bare_host(host) for host in binding.info.hosts if not is_on_this_machine(host)]
        if not hosts:
            return
        if self.gate.mode is OperatingMode.AIRGAPPED:
            raise ModeForbids(
                f"{binding.info.id} sends prompts to {' and '.join(hosts)}, and airgapped mode lets nothing out",
                provider=binding.info.id,
            )
        self.gate.grant(binding.info.id, hosts)
        self.gate.set_mode(OperatingMode.BURST)


class Alone:
    """The home of one handle that stands in no slot: its tools, and what is done when it connects or leaves."""

    def __init__(
        self,
        registrar: Registrar,
        gate: EgressGate,
        secrets: HeldSecrets,
        models_dir: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._tools = Toolbox.fresh(gate, secrets, models_dir)
        self.bench = Workbench(registrar, self._tools, gate)
        self._plugger = Plugger(self.bench, secrets=secrets, clock=clock)

    def make(self, spec: SlotSpec, label: str) -> Binding:
        sealed, _ = self._plugger.seal(spec, label)
        return self.bench.make(self._plugger.settled(sealed))

    async def reconnect(self, binding: Binding, config: Mapping[str, Any]) -> Binding:
        """A new binding with `config`, if its source is ready; else the old one stays and the error is raised."""
        ready = await self._plugger.ready(SlotSpec(binding.spec.provider, dict(config)), 0)
        ready.keep()
        assert ready.binding is not None
        await binding.live.aclose()
        return ready.binding

    async def look(self, binding: Binding, within_s: float, *, learn: bool = True) -> str | None:
        return await self._plugger.look(binding.live, binding.spec, within_s, learn=learn)

    async def release(self, binding: Binding) -> None:
        """Closes the provider and every connection of the handle. Idempotent."""
        await binding.live.aclose()
        await self._tools.aclose()
