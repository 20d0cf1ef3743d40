"""Where providers are made: the known types, and the tools of one event loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jackfield.core.contracts import Provider, ProviderCard, ProviderTools, SecretSource
from jackfield.core.errors import JackfieldError
from jackfield.providers.registry import Registrar
from jackfield.slots.live import LiveProvider
from jackfield.slots.metrics import SlotMetrics
from jackfield.slots.slot import Binding, SlotSpec
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient
from jackfield.transport.web import WebClient

Complete = Callable[[ProviderCard, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools that providers are given (core/contracts.py ProviderTools). `http` and `web` belong to one event loop."""

    http: HttpClient
    web: WebClient
    secrets: SecretSource
    models_dir: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def fresh(
        cls,
        gate: EgressGate,
        secrets: SecretSource,
        models_dir: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> "Toolbox":
        return cls(HttpClient(gate), WebClient(gate), secrets, models_dir, environ or {})

    async def aclose(self) -> None:
        await self.http.aclose()


class Workbench:
    """Makes providers and bindings; opens no connection.

    `complete` adds to a slot's config, each time a provider is made of it, what the settings say about that provider.
    """

    def __init__(self, types: Registrar, tools: ProviderTools, gate: EgressGate, complete: Complete | None = None) -> None:
        self.types = types
        self.tools = tools
        self.gate = gate
        self._complete = complete

    def make(self, spec: SlotSpec, *, metrics: SlotMetrics | None = None) -> Binding:
        """Raises ProviderNotFound, BadRequest, AuthFailed or MissingExtra."""
        provider_type = self.types.get(spec.provider)
        try:
            config = spec.config if self._complete is None else self._complete(provider_type.card, spec.config)
            provider = provider_type.create(config, self.tools)
        except JackfieldError as error:
            error.provider = error.provider or spec.provider
            raise
        assert isinstance(provider, Provider)
        return Binding(LiveProvider(provider, provider_type.card, metrics=metrics), spec)

    def elsewhere(self) -> "Workbench":
        """The same for another event loop, with tools of its own: close those there."""
        return Workbench(
            self.types,
            Toolbox.fresh(self.gate, self.tools.secrets, self.tools.models_dir, self.tools.environ),
            self.gate,
            self._complete,
        )
