"""What selection sees of a source. Frozen values for a look at one moment; a live backend may stand in for one.

`Selectable` lists the attributes that selection reads. Those above the line are settled when the object is made: whoever
changes one hands in a new object or tells the pool. Those below it are read for every request and must be cheap.
"""

from functools import lru_cache
from typing import Literal, Protocol

import msgspec

from jackfield.core.profiles import Capabilities
from jackfield.money.prices import Price
from jackfield.slots.plugging import is_on_this_machine

Stage = Literal["mode", "capability", "budget", "policy", "balance", "fallback"]
STAGES: tuple[Stage, ...] = ("mode", "capability", "budget", "policy", "balance", "fallback")
HOSTS_REMEMBERED = 4096

on_this_machine = lru_cache(HOSTS_REMEMBERED)(is_on_this_machine)


class Selectable(Protocol):
    """A source that can be selected; `Candidate` says what each attribute means."""

    @property
    def id(self) -> str: ...
    @property
    def slot(self) -> int | None: ...
    @property
    def provider(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def hosts(self) -> tuple[str, ...]: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def role(self) -> str: ...
    @property
    def cost_msat(self) -> int | None: ...
    @property
    def price(self) -> Price | None: ...
    @property
    def keeps_data(self) -> bool | None: ...
    @property
    def weight(self) -> float: ...

    # Read for every request.

    @property
    def in_flight(self) -> int: ...
    @property
    def latency_s(self) -> float: ...
    @property
    def tokens_per_s(self) -> float: ...
    @property
    def share(self) -> float: ...
    @property
    def is_routable(self) -> bool: ...
    @property
    def problem(self) -> str | None: ...


class Candidate(msgspec.Struct, frozen=True):
    """A source at one moment. Times in seconds; a latency or a throughput of 0.0 has not been measured yet.

    `models` are those it is known to have, empty when that is not known. `type` is a backend type ("gpu", "api", "cli"...).
    `cost_msat` is the estimate for a usual request, `price` the rate per million tokens; None is unpriced. `keeps_data`:
    whether it stores prompts, None unknown. `weight` is its part of the traffic under "weighted"; `share`, 0 to 1, the part
    of its usual traffic that it may take now. `problem` says, for a person, why it cannot be used now.
    """

    slot: int | None
    provider: str
    hosts: tuple[str, ...] = ()
    capabilities: Capabilities = Capabilities()
    models: tuple[str, ...] = ()
    role: str = "chat"
    cost_msat: int | None = 0
    latency_s: float = 0.0
    in_flight: int = 0
    problem: str | None = None
    id: str = ""
    type: str = "api"
    price: Price | None = None
    keeps_data: bool | None = None
    weight: float = 1.0
    tokens_per_s: float = 0.0
    share: float = 1.0

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def is_local(self) -> bool:
        return is_local(self)

    @property
    def is_routable(self) -> bool:
        return self.problem is None


def label_of(candidate: Selectable) -> str:
    """How a person is told of it: "slot-3 (groq)"."""
    return f"{name_of(candidate)} ({candidate.provider})"


def name_of(candidate: Selectable) -> str:
    """Its id, or its slot's name where it has none."""
    return candidate.id or f"slot-{candidate.slot}"


def names_of(candidate: Selectable) -> tuple[str, str, str]:
    """Every name by which a rule may point at it."""
    return candidate.id, f"slot-{candidate.slot}", candidate.provider


def place_of(candidate: Selectable) -> tuple[int, str]:
    """Sorts candidates as they stand on the panel; those without a slot come last."""
    return (1 << 30 if candidate.slot is None else candidate.slot), candidate.id


def is_local(candidate: Selectable) -> bool:
    """Whether prompts to it stay on this machine."""
    return all(map(on_this_machine, candidate.hosts))
