"""Selects who answers a request, in five stages, and keeps the reason for every exclusion.

    mode         may prompts go there at all: operating mode and consent
    capability   can it do what is asked, and does it have the model
    budget       is it within what may be spent; what is not priced is over any budget
    policy       is it usable now, and which of the rest comes first
    fallback     who is next when the first one fails, by the given priorities

`select` is pure. ProviderSelector reads the panel and calls it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from jackfield.core.errors import BadRequest, NoCapableProvider
from jackfield.core.modes import OperatingMode
from jackfield.core.parameters import did_you_mean
from jackfield.core.profiles import Capabilities, CapabilityRequirement
from jackfield.money.prices import PriceTable
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.plugging import bare_host, is_on_this_machine
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Slot
from jackfield.transport.egress import EgressGate

Stage = Literal["mode", "capability", "budget", "policy", "fallback"]
STAGES: tuple[Stage, ...] = ("mode", "capability", "budget", "policy", "fallback")


class Candidate(msgspec.Struct, frozen=True):
    """A source as selection sees it. `cost_msat` is the estimate for this request, None unpriced; times in seconds.

    `models` are the models it is known to have, empty when that is not known. `problem` says why it cannot be used now.
    """

    slot: int
    provider: str
    hosts: tuple[str, ...] = ()
    capabilities: Capabilities = Capabilities()
    models: tuple[str, ...] = ()
    role: str = "chat"
    cost_msat: int | None = 0
    latency_s: float = 0.0
    in_flight: int = 0
    problem: str | None = None

    @property
    def label(self) -> str:
        return f"slot-{self.slot} ({self.provider})"

    @property
    def is_local(self) -> bool:
        return all(is_on_this_machine(host) for host in self.hosts)


class Wish(msgspec.Struct, frozen=True):
    """What is asked for, and under which rules. `budget_msat` None is no limit; `consents` hosts by provider id.

    `fallback` are provider ids or "slot-N", first choice first: they come before the rest, in that order.
    """

    requirement: CapabilityRequirement = CapabilityRequirement()
    mode: OperatingMode = OperatingMode.LOCAL_ONLY
    consents: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    budget_msat: int | None = None
    policy: str = "first"
    fallback: tuple[str, ...] = ()
    role: str = "chat"


class Exclusion(msgspec.Struct, frozen=True):
    """Why a candidate is out. `reason` is for a person."""

    slot: int
    provider: str
    stage: Stage
    reason: str


class Selection(msgspec.Struct, frozen=True):
    """`order`: whom to ask, first one first; empty when nobody is left."""

    order: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...]
    policy: str

    @property
    def chosen(self) -> Candidate | None:
        return self.order[0] if self.order else None

    def explain(self) -> list[str]:
        """The decision, a line each: who was excluded at which stage and why, then who is asked in which order."""
        lines = [f"{out.stage}: slot-{out.slot} ({out.provider}) is out: {out.reason}" for out in self.exclusions]
        if not self.order:
            return [*lines, "nobody is left"]
        lines.append(f"policy {self.policy}: {self.order[0].label} is asked first")
        return [*lines, *(f"fallback: then {candidate.label}" for candidate in self.order[1:])]


Rank = Callable[[Candidate], tuple[float, ...]]
POLICIES: Mapping[str, Rank] = {
    "first": lambda candidate: (),
    "local_first": lambda candidate: (not candidate.is_local,),
    "cheapest": lambda candidate: (candidate.cost_msat is None, candidate.cost_msat or 0),
    "fastest": lambda candidate: (candidate.latency_s == 0.0, candidate.latency_s),
    "least_loaded": lambda candidate: (candidate.in_flight,),
}


def select(candidates: Iterable[Candidate], wish: Wish) -> Selection:
    """The order in which to ask, and why the others are out. Equals keep their slots' order. Raises BadRequest (policy)."""
    if wish.policy not in POLICIES:
        raise BadRequest(
            f"policy must be one of {', '.join(POLICIES)}, got {wish.policy!r}{did_you_mean(wish.policy, POLICIES)}",
            param="policy",
        )
    left: list[Candidate] = []
    out: list[Exclusion] = []
    for candidate in candidates:
        verdict = _verdict(candidate, wish)
        if verdict is None:
            left.append(candidate)
        else:
            out.append(Exclusion(candidate.slot, candidate.provider, *verdict))
    rank = POLICIES[wish.policy]
    left.sort(key=lambda candidate: (_priority(candidate, wish.fallback), *rank(candidate), candidate.slot))
    out.sort(key=lambda exclusion: (STAGES.index(exclusion.stage), exclusion.slot))
    return Selection(tuple(left), tuple(out), wish.policy)


def _verdict(candidate: Candidate, wish: Wish) -> tuple[Stage, str] | None:
    """The first stage that excludes, with its reason."""
    checks: tuple[tuple[Stage, Callable[[Candidate, Wish], str | None]], ...] = (
        ("mode", _forbidden),
        ("capability", _unable),
        ("budget", _too_dear),
        ("policy", _unusable),
    )
    for stage, check in checks:
        reason = check(candidate, wish)
        if reason is not None:
            return stage, reason
    return None


def _forbidden(candidate: Candidate, wish: Wish) -> str | None:
    away = [bare_host(host) for host in candidate.hosts if not is_on_this_machine(host)]
    if not away:
        return None
    where = " and ".join(away)
    if wish.mode is not OperatingMode.BURST:
        return f"prompts would go to {where}, and the mode is {wish.mode}"
    missing = [host for host in away if host not in wish.consents.get(candidate.provider, frozenset())]
    return f"nobody has consented to prompts going to {' and '.join(missing)}" if missing else None


def _unable(candidate: Candidate, wish: Wish) -> str | None:
    if candidate.role != wish.role:
        return f"its slot is for {candidate.role}, not {wish.role}"
    requirement = wish.requirement
    model = requirement.model
    unmet = [name for name in requirement.unmet_by(candidate.capabilities) if name != "model"]
    if unmet:
        return f"not known to have {', '.join(unmet)}"
    if model is not None and candidate.models and model not in candidate.models:
        return f"it does not list the model {model}"
    return None


def _too_dear(candidate: Candidate, wish: Wish) -> str | None:
    if wish.budget_msat is None:
        return None
    if candidate.cost_msat is None:
        return "its price is not known, and there is a budget"
    if candidate.cost_msat > wish.budget_msat:
        return f"it would cost about {candidate.cost_msat} msat of {wish.budget_msat} msat left"
    return None


def _unusable(candidate: Candidate, wish: Wish) -> str | None:
    return candidate.problem


def _priority(candidate: Candidate, fallback: Sequence[str]) -> int:
    names = (f"slot-{candidate.slot}", candidate.provider)
    return next((place for place, name in enumerate(fallback) if name in names), len(fallback))


class ProviderSelector:
    """Selection over what is plugged now. `expected_tokens` (prompt, answer) are what costs are estimated for."""

    def __init__(
        self,
        registry: ProviderRegistry,
        gate: EgressGate,
        prices: PriceTable,
        *,
        expected_tokens: tuple[int, int] = (1000, 500),
    ) -> None:
        self._registry = registry
        self._gate = gate
        self._prices = prices
        self._expected_tokens = expected_tokens

    def select(
        self,
        requirement: CapabilityRequirement | None = None,
        *,
        budget_msat: int | None = None,
        policy: str = "first",
        fallback: Sequence[str] = (),
        role: str = "chat",
    ) -> Selection:
        """Asks nobody: works on what the panel knows. Raises BadRequest for an unknown policy."""
        wish = Wish(
            requirement=requirement or CapabilityRequirement(),
            mode=self._gate.mode,
            consents=dict(self._gate.consents),
            budget_msat=budget_msat,
            policy=policy,
            fallback=tuple(fallback),
            role=role,
        )
        slots = [slot for slot in self._registry.slots() if slot.spec is not None]
        return select((self._candidate(slot) for slot in slots), wish)

    def pick(self, requirement: CapabilityRequirement | None = None, **rules: object) -> InferenceProviderAdapter:
        """The handle on the one to ask. Raises NoCapableProvider with every reason."""
        selection = self.select(requirement, **rules)  # type: ignore[arg-type]  # the same keywords
        adapter = None if selection.chosen is None else self._registry.get_adapter(selection.chosen.slot)
        if adapter is None:
            lines = "; ".join(selection.explain()[:-1]) or "nothing is plugged"
            raise NoCapableProvider(f"nobody can take this request: {lines}. Plug a source that can, or ask for less")
        return adapter

    def _candidate(self, slot: Slot) -> Candidate:
        assert slot.spec is not None
        binding = slot.binding
        if binding is None:
            return Candidate(
                int(slot.number), slot.spec.provider, role=slot.spec.role, problem=slot.problem or "it is not plugged"
            )
        live = binding.live
        model = slot.spec.model or binding.capabilities.default_model or ""
        prompt, answer = self._expected_tokens
        sats = self._prices.estimate(binding.info.id, model, prompt, answer, is_local=binding.is_free)
        listed = tuple(profile.id for profile in live.listing or ())
        return Candidate(
            slot=int(slot.number),
            provider=binding.info.id,
            hosts=binding.info.hosts,
            capabilities=binding.capabilities,
            models=tuple(dict.fromkeys((*listed, *((slot.spec.model,) if slot.spec.model else ())))),
            role=slot.spec.role,
            cost_msat=None if sats is None else round(sats * 1000),
            latency_s=binding.metrics.smoothed_latency_s,
            in_flight=live.in_flight,
            problem=slot.problem,
        )
