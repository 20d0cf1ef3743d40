"""Handles that stand in no slot: `create_provider`, for scripts and for whoever manages providers by name.

Knows the rules of consent as slots do; keeps nothing beyond the process, so a literal key stays in memory.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from jackfield.core.contracts import ProviderTools, SecretSource
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
    """Makes handles on providers by name, on the tools of one event loop."""

    def __init__(
        self,
        registrar: Registrar,
        tools: ProviderTools,
        gate: EgressGate,
        *,
        prices: PriceTable | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = HeldSecrets(tools.secrets)
        self._bench = Workbench(registrar, Toolbox(tools.http, tools.web, self._secrets, tools.models_dir), gate)
        self._plugger = Plugger(self._bench, secrets=self._secrets, clock=clock)
        self._prices = PriceTable.load() if prices is None else prices
        self._clock = clock
        self._count = 0

    @property
    def gate(self) -> EgressGate:
        return self._bench.gate

    def create(self, name: str, config: Mapping[str, Any] | None = None, *, consent: bool = False) -> SlotAdapter:
        """A handle on the provider of that name or alias; no I/O. `consent` allows one that sends prompts elsewhere.

        Raises UnknownProvider (also a ValueError) listing the names, BadRequest, AuthFailed, MissingExtra, ModeForbids.
        """
        return SlotAdapter(
            self._bound(name, config or {}, consent=consent),
            home=self,
            bench=self._bench,
            prices=self._prices,
            clock=self._clock,
        )

    def _bound(self, name: str, config: Mapping[str, Any], *, consent: bool) -> Binding:
        try:
            provider_id = self._bench.types.canonical(name)
        except ProviderNotFound as error:
            raise UnknownProvider(error.message, param="provider") from None
        if not isinstance(config, Mapping):
            raise BadRequest(f"config must be an object, got {type(config).__name__}", param="config")
        self._count += 1
        spec, _ = self._plugger.seal(SlotSpec(provider_id, dict(config)), f"{provider_id}-{self._count}")
        binding = self._bench.make(spec)
        if consent:
            self._grant(binding)
        return binding

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

    # What a handle asks of its home

    async def reconnect(self, binding: Binding, config: Mapping[str, Any]) -> Binding:
        """A new binding with `config`, if its source is ready; else the old one stays and the error is raised."""
        ready = await self._plugger.ready(SlotSpec(binding.spec.provider, dict(config)), self._count)
        ready.keep()
        assert ready.binding is not None
        await binding.live.aclose()
        return ready.binding

    async def look(self, binding: Binding, within_s: float) -> str | None:
        return await self._plugger.look(binding.live, binding.spec, within_s)

    async def release(self, binding: Binding) -> None:
        await binding.live.aclose()
