"""A created provider and all that was found out about it when it was plugged in, once, so that no request asks again.

Knows protocols and counts who uses it; does not know slots. It is closed exactly once, when the last user has let go or
the deadline has passed.
"""

import asyncio
import contextlib

import msgspec

from jackfield.core.contracts import (
    CountsTokens,
    Embeds,
    ListsModels,
    PassesThrough,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    Reranks,
)
from jackfield.core.errors import SlotEmpty
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.slots.batching import in_batches
from jackfield.slots.metrics import SlotMetrics


class Standing:
    """The cached verdict about a provider: ready or not, when that was found (clock seconds), and why not."""

    __slots__ = ("checked_at", "code", "detail", "is_ready", "latency_s", "version")

    def __init__(self) -> None:
        self.is_ready: bool | None = None
        self.checked_at: float | None = None
        self.latency_s: float | None = None
        self.detail = ""
        self.code: str | None = None
        self.version: str | None = None

    def note(self, *, is_ready: bool, at: float, detail: str = "", code: str | None = None) -> None:
        self.is_ready = is_ready
        self.checked_at = at
        self.detail = detail
        self.code = code

    def note_probe(self, probe: ProbeResult, at: float) -> None:
        self.note(is_ready=probe.is_ready, at=at, detail=probe.detail, code=probe.code)
        self.latency_s = probe.latency_s
        self.version = probe.version or self.version


class LiveProvider:
    """`in_flight` counts requests that run on it. A retired one takes no new request and lets the running ones finish.

    `provider` is as its author made it; `answers` is what requests go to, the same or what gathers them into batches.
    `listing` is what it last listed (None: never), `listed_at` when, in clock seconds.
    """

    __slots__ = (
        "_idle",
        "_is_closed",
        "answers",
        "capabilities",
        "card",
        "counts_tokens",
        "embeds",
        "in_flight",
        "info",
        "is_retired",
        "listed_at",
        "listing",
        "lists_models",
        "metrics",
        "pass_through",
        "probes",
        "profile",
        "provider",
        "reranks",
        "standing",
    )

    def __init__(self, provider: Provider, card: ProviderCard, *, metrics: SlotMetrics | None = None) -> None:
        self.provider = provider
        self.card = card
        self.info = provider.info
        self.pass_through = provider if isinstance(provider, PassesThrough) else None
        self.lists_models = provider if isinstance(provider, ListsModels) else None
        self.probes = provider if isinstance(provider, Probes) else None
        self.counts_tokens = provider if isinstance(provider, CountsTokens) else None
        self.embeds = provider if isinstance(provider, Embeds) else None
        self.reranks = provider if isinstance(provider, Reranks) else None
        stated = getattr(provider, "capabilities", None)
        self.capabilities = stated if isinstance(stated, Capabilities) else card.capabilities
        self.answers = in_batches(provider, self.capabilities.max_batch_size)
        self.profile: ModelProfile | None = None
        self.listing: tuple[ModelProfile, ...] | None = None
        self.listed_at = 0.0
        self.metrics = SlotMetrics() if metrics is None else metrics
        self.standing = Standing()
        self.in_flight = 0
        self.is_retired = False
        self._is_closed = False
        self._idle: asyncio.Event | None = None

    def learn(self, profile: ModelProfile | None, model: str | None) -> None:
        """Completes the capabilities by what the source lists about its model; what it does not say stays as stated."""
        self.profile = profile
        stated = self.capabilities
        changes: dict[str, object] = {"default_model": stated.default_model or model or (profile.id if profile else None)}
        if profile is not None:
            facts = {
                "max_context": profile.context_length,
                "max_output_tokens": profile.max_output_tokens,
                "vision": profile.vision,
                "tools": profile.tools,
            }
            changes |= {name: fact for name, fact in facts.items() if fact is not None}
        self.capabilities = msgspec.structs.replace(stated, **changes)

    @property
    def is_free(self) -> bool:
        """Nobody is paid for its answers: it runs on this machine."""
        return self.info.type == "local"

    def acquire(self) -> None:
        """One more request. Raises SlotEmpty when it was unplugged meanwhile."""
        if self.is_retired:
            raise SlotEmpty(
                f"{self.info.id} was unplugged: take the slot's adapter anew, or plug it again", provider=self.info.id
            )
        self.in_flight += 1

    def release(self) -> None:
        self.in_flight -= 1
        if self._idle is not None and self.in_flight == 0:
            self._idle.set()

    async def drain(self, deadline_s: float) -> bool:
        """Waits until no request runs on it. False if some still do when `deadline_s` has passed."""
        if self.in_flight == 0:
            return True
        if self._idle is None:
            self._idle = asyncio.Event()
        self._idle.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
        return self.in_flight == 0

    async def aclose(self) -> None:
        """Takes no new request and frees what the provider holds. Idempotent."""
        self.is_retired = True
        if not self._is_closed:
            self._is_closed = True
            await self.answers.aclose()
