"""SlotAdapter: the handle on any provider, derived once from the contract, the same for every one.

Adds to the base what a live binding knows: its defaults, its counts, its prices. Where it stands is its home's business.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Any, Protocol

import msgspec

from jackfield.core.errors import JackfieldError, NotSupported, TimedOut, Unavailable
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, EmbedRequest
from jackfield.core.usage import Money, Usage
from jackfield.money.prices import PriceTable
from jackfield.slots.adapter import HEALTH_WITHIN_S, NO_USAGE, InferenceProviderAdapter
from jackfield.slots.completion import HealthState, HealthStatus
from jackfield.slots.loop_thread import at_close
from jackfield.slots.metrics import GOOD
from jackfield.slots.slot import Binding
from jackfield.slots.workbench import Toolbox, Workbench

_log = logging.getLogger("jackfield.adapter")


class AdapterHome(Protocol):
    """Who looks after a handle's binding: a registry's slot, or nobody but a script."""

    async def reconnect(self, binding: Binding, config: Mapping[str, Any]) -> Binding: ...
    async def look(self, binding: Binding, within_s: float, *, learn: bool) -> str | None: ...
    async def release(self, binding: Binding) -> None: ...


class SlotAdapter(InferenceProviderAdapter, identity_per_instance=True):
    """`binding` is what it talks to; after `connect` with a new config, a new one."""

    def __init__(
        self,
        binding: Binding,
        *,
        home: AdapterHome,
        bench: Workbench,
        prices: PriceTable,
        clock: Callable[[], float],
    ) -> None:
        self._home = home
        self._bench = bench
        self._prices = prices
        self._clock = clock
        self._twin: SlotAdapter | None = None
        self._take(binding)

    def _take(self, binding: Binding) -> None:
        self.binding = binding
        self.config = binding.spec.config
        self.metrics = binding.metrics
        self.standing = binding.live.standing
        self.provider_id = binding.info.id
        self.provider_type = binding.info.type
        self.display_name = binding.info.display_name
        self.hosts = binding.info.hosts

    def __repr__(self) -> str:
        return f"<adapter {self.provider_id} ({self.provider_type}) model {self.binding.spec.model or 'default'}>"

    @property
    def capabilities(self) -> Capabilities:
        record = self.binding.live.capabilities
        can_embed = record.embeddings and self.binding.embeds is not None
        return record if can_embed == record.embeddings else msgspec.structs.replace(record, embeddings=can_embed)

    @property
    def supports_streaming(self) -> bool:  # type: ignore[override]  # derived here, a plain field in subclasses
        return self.capabilities.streaming

    @property
    def supports_embeddings(self) -> bool:  # type: ignore[override]
        return self.capabilities.embeddings

    @property
    def supports_images(self) -> bool:  # type: ignore[override]
        return self.capabilities.images

    @property
    def max_context(self) -> int | None:  # type: ignore[override]
        return self.capabilities.max_context

    @property
    def is_connected(self) -> bool:
        return self.standing.is_ready is True and not self.binding.live.is_retired

    # Life

    async def connect(
        self, config: Mapping[str, Any] | None = None, *, strict: bool = False, timeout_s: float = HEALTH_WITHIN_S
    ) -> bool:
        """True iff the source is ready. A config other than the present one is taken over if it is.

        On failure everything stays as it was: False, or with `strict` the error.
        """
        try:
            if config is not None and dict(config) != self.binding.spec.config:
                self._take(await self._home.reconnect(self.binding, config))
                return True
            problem = await self._home.look(self.binding, timeout_s, learn=True)
            if problem is not None:
                raise Unavailable(problem, provider=self.provider_id)
        except JackfieldError as error:
            if strict:
                raise
            _log.warning("%s: not connected: %s", self.provider_id, error.message, extra={"provider": self.provider_id})
            if self.standing.is_ready is None:
                self.standing.note(is_ready=False, at=self._clock(), detail=error.message)
            return False
        return True

    async def disconnect(self) -> None:
        """Unplugs it where it stands, and frees its sockets and memory. Idempotent."""
        await self._home.release(self.binding)

    # Answers

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._open(request)

    @contextlib.asynccontextmanager
    async def _open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        binding = self.binding
        binding.acquire()
        try:
            async with binding.provider.open(binding.request(request)) as events:
                yield events
        finally:
            binding.release()

    async def embed(self, text: str, *, model: str | None = None, timeout_s: float | None = None) -> list[float]:
        """The text as a vector of the model's one length. Raises NotSupported naming the provider where it makes none."""
        embeds = self.binding.embeds
        if embeds is None or not self.supports_embeddings:
            raise NotSupported("it makes no embeddings: plug an embedding model into another slot", provider=self.provider_id)
        began = perf_counter()
        outcome, usage, cost = "cancelled", NO_USAGE, None
        self.binding.acquire()
        try:
            async with asyncio.timeout(timeout_s):
                reply = await embeds.embed(EmbedRequest((text,), model))
            outcome, usage, cost = GOOD, reply.usage, self._cost(reply.model, reply.usage)
            return list(reply.vectors[0])
        except TimeoutError as error:
            outcome = TimedOut.default_code
            raise TimedOut(f"no vector within {timeout_s:g} s: raise timeout_s", provider=self.provider_id) from error
        except JackfieldError as error:
            outcome = error.code
            error.provider = error.provider or self.provider_id
            raise
        finally:
            self.binding.release()
            self.metrics.observe(perf_counter() - began, None, usage, cost, outcome)

    def twin(self) -> InferenceProviderAdapter:
        """The same source on tools of the calling event loop; made once, sharing the counts."""
        if self._twin is None or self._twin.binding.spec is not self.binding.spec:
            bench = self._bench.elsewhere()
            binding = bench.make(self.binding.spec, metrics=self.metrics)
            binding.live.capabilities = self.binding.live.capabilities
            self._twin = SlotAdapter(binding, home=self._home, bench=bench, prices=self._prices, clock=self._clock)
            at_close(_closing(binding, bench))
        return self._twin

    # Facts

    @property
    def available_age_s(self) -> float | None:
        checked_at = self.standing.checked_at
        return None if checked_at is None else max(0.0, self._clock() - checked_at)

    def is_available(self) -> bool:
        return not self.binding.live.is_retired and super().is_available()

    async def health(self, *, timeout_s: float = HEALTH_WITHIN_S) -> HealthStatus:
        """Probes the source now, within `timeout_s` seconds; spends no money. Never raises an Upstream error."""
        if self.binding.live.is_retired:
            return HealthStatus(HealthState.OFFLINE, None, "it was unplugged: take the slot's adapter anew", self._clock())
        problem = await self._home.look(self.binding, timeout_s, learn=False)
        status = self._status()
        if problem is not None and status.status is not HealthState.UNHEALTHY:
            return HealthStatus(HealthState.UNHEALTHY, None, problem, self._clock())
        return status

    def get_cost_estimate(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        model = self.binding.spec.model or self.capabilities.default_model or ""
        return self._prices.estimate(self.provider_id, model, prompt_tokens, completion_tokens, is_local=self.binding.is_free)

    def _cost(self, model: str, usage: Usage) -> Money | None:
        return self._prices.cost(self.provider_id, model, usage, is_local=self.binding.is_free)

    async def list_models(self, *, timeout_s: float = HEALTH_WITHIN_S) -> list[dict[str, Any]]:
        """What the source offers: {id, name, description, context_length, pricing, ...}. Raises Upstream errors."""
        lists = self.binding.lists_models
        if lists is None:
            return await super().list_models()
        try:
            async with asyncio.timeout(timeout_s):
                profiles = await lists.list_models()
        except TimeoutError as error:
            raise TimedOut(
                f"listed no models within {timeout_s:g} s: look whether it hangs", provider=self.provider_id
            ) from error
        return [{"name": profile.id, "description": None, **msgspec.to_builtins(profile)} for profile in profiles]

    def get_info(self) -> dict[str, Any]:
        info = super().get_info()
        card = self.binding.live.card
        return {
            **info,
            "model": self.binding.spec.model or self.capabilities.default_model,
            "hosts": list(self.hosts),
            "simulated": self.binding.info.simulated,
            "limits": {**info["limits"], "notes": list(card.limits)},
        }


def _closing(binding: Binding, bench: Workbench) -> Callable[[], Any]:
    async def close() -> None:
        await binding.live.aclose()
        if isinstance(bench.tools, Toolbox):
            await bench.tools.aclose()

    return close
