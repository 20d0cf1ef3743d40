"""Selects who answers a request, in the stages of stages.py, and keeps the reason for every exclusion.

`select` is pure and looks at everybody. ProviderSelector reads the panel and calls it. Where a request is waiting, a Pool
(pools.py) gives the same answers without looking at everybody each time.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from jackfield.core.errors import NoCapableProvider
from jackfield.core.profiles import CapabilityRequirement
from jackfield.money.prices import PriceTable
from jackfield.routing.balance import POLICIES, C, Group, Moment, Policy, ordered, policy_named
from jackfield.routing.candidates import STAGES, Candidate, Stage, place_of
from jackfield.routing.explain import Exclusion, Selection
from jackfield.routing.stages import NO_WISHES, NOTHING, Verdict, Wish, rank, resting, verdict
from jackfield.routing.use_cases import Target
from jackfield.routing.wishes import Wishes
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Slot
from jackfield.transport.egress import EgressGate

__all__ = [
    "POLICIES",
    "STAGES",
    "Candidate",
    "Exclusion",
    "ProviderSelector",
    "Selection",
    "Stage",
    "Wish",
    "excluded",
    "groups_of",
    "select",
]

NOW = Moment()
ONLY_THE_FIRST = "it is not the first choice, and provider.allow_fallbacks is false"


def select(candidates: Iterable[C], wish: Wish, moment: Moment = NOW) -> Selection[C]:
    """The order in which to ask, and why the others are out. Equals keep their slots' order, rotated by the moment's turn.

    Raises BadRequest for an unknown policy.
    """
    policy = policy_named(wish.policy_name)
    left: list[C] = []
    out: list[Exclusion] = []
    for candidate in candidates:
        reason = verdict(candidate, wish) or resting(candidate)
        if reason is None:
            left.append(candidate)
        else:
            out.append(excluded(candidate, reason))
    order = [each for group in groups_of(left, wish, policy) for each in ordered(policy, group, moment)]
    if is_first_only(wish):
        out += [excluded(candidate, ("fallback", ONLY_THE_FIRST)) for candidate in order[1:]]
        del order[1:]
    return Selection(tuple(order), in_stages(out), wish.policy_name, wish)


def groups_of(candidates: Iterable[C], wish: Wish, policy: Policy) -> list[Group[C]]:
    """Candidates parted by all that is settled about them, the first choices first, each group in its slots' order."""
    keyed = sorted(
        (((rank(candidate, wish), policy.rank(candidate)), candidate) for candidate in candidates),
        key=lambda pair: (pair[0], place_of(pair[1])),
    )
    return [Group([candidate for _, candidate in pairs]) for _, pairs in groupby(keyed, key=lambda pair: pair[0])]


def is_first_only(wish: Wish) -> bool:
    """Whether nobody may be asked after the first choice."""
    return not wish.wishes.allow_fallbacks and not wish.wishes.order


def excluded(candidate: C, reason: Verdict, *, is_passing: bool | None = None) -> Exclusion:
    passing = not candidate.is_routable and reason == resting(candidate) if is_passing is None else is_passing
    return Exclusion(candidate.slot, candidate.provider, *reason, candidate.id, passing)


def in_stages(exclusions: Iterable[Exclusion]) -> tuple[Exclusion, ...]:
    """Sorted by stage, then as they stand on the panel."""
    return tuple(
        sorted(exclusions, key=lambda out: (STAGES.index(out.stage), 1 << 30 if out.slot is None else out.slot, out.id))
    )


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
        targets: Sequence[Target] = (),
        wishes: Wishes = NO_WISHES,
    ) -> Selection[Candidate]:
        """Asks nobody: works on what the panel knows. Raises BadRequest for an unknown policy."""
        wish = Wish(
            requirement=requirement or NOTHING,
            mode=self._gate.mode,
            consents=dict(self._gate.consents),
            budget_msat=budget_msat,
            policy=policy,
            fallback=tuple(fallback),
            role=role,
            targets=tuple(targets),
            wishes=wishes,
        )
        slots = [slot for slot in self._registry.slots() if slot.spec is not None]
        return select((self._candidate(slot) for slot in slots), wish)

    def pick(self, requirement: CapabilityRequirement | None = None, **rules: object) -> InferenceProviderAdapter:
        """The handle on the one to ask. Raises NoCapableProvider with every reason."""
        return self.pick_with_model(requirement, **rules)[0]

    def pick_with_model(
        self, requirement: CapabilityRequirement | None = None, **rules: object
    ) -> tuple[InferenceProviderAdapter, str | None]:
        """The handle on the one to ask, and the model to ask it for (None: its own). Raises NoCapableProvider."""
        selection = self.select(requirement, **rules)  # type: ignore[arg-type]  # the same keywords
        chosen = selection.chosen
        adapter = None if chosen is None or chosen.slot is None else self._registry.get_adapter(chosen.slot)
        if adapter is None:
            lines = "; ".join(selection.explain()[:-1]) or "nothing is plugged"
            raise NoCapableProvider(f"nobody can take this request: {lines}. Plug a source that can, or ask for less")
        return adapter, selection.model

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
            price=self._prices.price(binding.info.id, model, is_local=binding.is_free),
        )
