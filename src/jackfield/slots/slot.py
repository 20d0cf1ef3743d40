"""A slot as others see it: number, name, what is wanted there (spec), and what lives there now (binding).

Snapshots are frozen and never change under a reader. Bindings are live, but what a request reads of them is settled when
they are made. Only slots/registry.py decides what stands where.
"""

import itertools
from typing import Any, Literal

import msgspec

from jackfield.core.ids import SlotNumber
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, Generation
from jackfield.slots.live import LiveProvider

SlotRole = Literal["chat", "embed", "rerank", "classify"]
ROLES: tuple[SlotRole, ...] = ("chat", "embed", "rerank", "classify")
# A setting of how a model is loaded, not of a request: it has no field in a chat body.
_NOT_ON_THE_WIRE = frozenset({"context_length"})
_serials = itertools.count(1)


class SlotSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted in a slot. `config` holds plain JSON and never a secret, only references to secrets."""

    provider: str
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    model: str | None = None
    generation: Generation = Generation()
    role: SlotRole = "chat"


class Binding:
    """A spec brought to life. Everything a request needs is an attribute, resolved when the binding was made.

    Bindings that differ only in generation settings share one live provider; clones never do.
    """

    __slots__ = (
        "capabilities",
        "counts_tokens",
        "default_fields",
        "dialect",
        "embeds",
        "info",
        "is_free",
        "lists_models",
        "live",
        "metrics",
        "pass_through",
        "probes",
        "provider",
        "reranks",
        "serial",
        "spec",
    )

    def __init__(self, live: LiveProvider, spec: SlotSpec) -> None:
        self.live = live
        self.spec = spec
        self.serial = next(_serials)
        self.provider = live.answers
        self.info = live.info
        self.dialect = live.info.dialect
        self.capabilities: Capabilities = live.capabilities
        self.pass_through = live.pass_through
        self.lists_models = live.lists_models
        self.probes = live.probes
        self.counts_tokens = live.counts_tokens
        self.embeds = live.embeds
        self.reranks = live.reranks
        self.metrics = live.metrics
        self.is_free = live.is_free
        self.default_fields = default_fields(spec.generation)

    @property
    def model(self) -> str | None:
        """The model that answers a request which names only the slot; None while it is not known."""
        return self.spec.model or self.live.capabilities.default_model

    def acquire(self) -> None:
        """A request begins; `release` ends it. Raises SlotEmpty when the provider was unplugged meanwhile."""
        self.live.acquire()

    def release(self) -> None:
        self.live.release()

    async def drain(self, deadline_s: float) -> bool:
        """Waits for the running requests; False if some still run after `deadline_s`."""
        return await self.live.drain(deadline_s)

    def with_spec(self, spec: SlotSpec) -> "Binding":
        """The same live provider under other generation settings."""
        return Binding(self.live, spec)

    def request(self, request: ChatRequest) -> ChatRequest:
        """`request` with the slot's generation settings where it says nothing itself."""
        merged = merged_generation(self.spec.generation, request.generation)
        return request if merged is request.generation else msgspec.structs.replace(request, generation=merged)


class Slot(msgspec.Struct, frozen=True):
    """One position at one moment. `problem` says, for a person, why a wanted provider is not there."""

    number: SlotNumber
    name: str
    spec: SlotSpec | None = None
    binding: Binding | None = None
    problem: str | None = None

    @property
    def is_empty(self) -> bool:
        return self.spec is None


def default_name(number: int) -> str:
    return f"slot_{number}"


def default_fields(generation: Generation) -> dict[str, msgspec.Raw]:
    """The settings as fields of a chat body, for those that a client leaves out."""
    return {
        name: msgspec.Raw(msgspec.json.encode(value))
        for name in Generation.__struct_fields__
        if name not in _NOT_ON_THE_WIRE and (value := getattr(generation, name)) is not None
    }


def merged_generation(defaults: Generation, given: Generation) -> Generation:
    """`given`, completed by `defaults`; the very object when nothing is added."""
    added = {
        name: value
        for name in Generation.__struct_fields__
        if getattr(given, name) is None and (value := getattr(defaults, name)) is not None
    }
    return msgspec.structs.replace(given, **added) if added else given
