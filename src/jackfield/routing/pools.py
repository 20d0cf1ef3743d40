"""A pool: everybody who may be selected, kept so that a request need not look at everybody.

Requests that are alike share a plan: who is eligible, in which ranks. A plan is worked out by the pure stages when the pool
has changed, and again parted into usable and resting members when one of them turns out to have changed; a pick then costs a
lookup and one look at the chosen member. The answers are those of `select`, given in turns.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, Protocol

import msgspec

from jackfield.core.modes import OperatingMode
from jackfield.routing.balance import LOOK_AT, C, Group, Moment, Policy, ordered, ordered_after, pick, policy_named
from jackfield.routing.candidates import name_of, place_of
from jackfield.routing.explain import Selection
from jackfield.routing.select import ONLY_THE_FIRST, excluded, groups_of, in_stages, is_first_only
from jackfield.routing.stages import Verdict, Wish, model_for, resting, verdict

PLANS_MAX = 1024
# A member may fail between the look at it and its being chosen; so many times in one selection the plan is parted anew.
TRIES = 3


class Permits(Protocol):
    """What may leave this machine; an EgressGate says it. `generation` changes with every change."""

    @property
    def mode(self) -> OperatingMode: ...
    @property
    def consents(self) -> Mapping[str, frozenset[str]]: ...
    @property
    def generation(self) -> int: ...


class Permitted(msgspec.Struct, frozen=True):
    """Permits that never change."""

    mode: OperatingMode = OperatingMode.LOCAL_ONLY
    consents: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    generation: int = 0


class View(Generic[C]):
    """A plan at one moment; never changed. `resting` are eligible, but not usable now: name -> why."""

    __slots__ = ("candidates", "consents", "groups", "mode", "policy", "resting")

    def __init__(
        self,
        candidates: tuple[C, ...],
        policy: Policy,
        mode: OperatingMode,
        consents: Mapping[str, frozenset[str]],
        eligible: Iterable[Group[C]],
    ) -> None:
        self.candidates = candidates
        self.policy = policy
        self.mode = mode
        self.consents = consents
        self.resting: dict[str, Verdict] = {}
        self.groups: list[Group[C]] = []
        for group in eligible:
            usable = group if all(member.is_routable for member in group.members) else self._usable(group)
            if usable is not None:
                self.groups.append(usable)

    def _usable(self, group: Group[C]) -> Group[C] | None:
        members = []
        for member in group.members:
            reason = resting(member)
            if reason is None:
                members.append(member)
            else:
                self.resting[name_of(member)] = reason
        return Group(members) if members else None


class Choice(Generic[C]):
    """Who answers one request: `chosen` first (None: nobody can), and on demand who comes next and why the others do not."""

    __slots__ = ("_order", "_view", "chosen", "moment", "wish")

    def __init__(self, view: View[C], wish: Wish, moment: Moment, chosen: C | None) -> None:
        self._view = view
        self.wish = wish
        self.moment = moment
        self.chosen = chosen
        self._order: tuple[C, ...] | None = None

    @property
    def model(self) -> str | None:
        """The model to ask the chosen one for; None leaves it to the source."""
        return None if self.chosen is None else model_for(self.chosen, self.wish)

    @property
    def has_others(self) -> bool:
        """Whether anybody may be asked after the chosen one."""
        groups = self._view.groups
        return (len(groups) > 1 or (bool(groups) and len(groups[0].members) > 1)) and not is_first_only(self.wish)

    @property
    def order(self) -> tuple[C, ...]:
        """Whom to ask, first one first; worked out once. Those after the first may have gone down since somebody looked."""
        if self._order is None:
            whole = self._whole()
            self._order = tuple(whole[:1] if is_first_only(self.wish) else whole)
        return self._order

    def selection(self) -> Selection[C]:
        """The whole decision, with the reason for every exclusion."""
        view = self._view
        wish = msgspec.structs.replace(self.wish, mode=view.mode, consents=view.consents)
        out = []
        for candidate in view.candidates:
            lasting = verdict(candidate, wish)
            reason = lasting or view.resting.get(name_of(candidate))
            if reason is not None:
                out.append(excluded(candidate, reason, is_passing=lasting is None))
        if is_first_only(wish):
            out += [excluded(candidate, ("fallback", ONLY_THE_FIRST), is_passing=False) for candidate in self._whole()[1:]]
        return Selection(self.order, in_stages(out), wish.policy_name, wish)

    def _whole(self) -> list[C]:
        view, moment = self._view, self.moment
        if self.chosen is None:
            return []
        first, *others = view.groups
        order = ordered_after(view.policy, first, moment, self.chosen)
        return order + [each for group in others for each in ordered(view.policy, group, moment)]


class _Plan(Generic[C]):
    """What requests of one kind share. `turn` counts them, over all changes of the pool."""

    __slots__ = ("detours", "eligible", "looked_at", "turn", "version", "view")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.version = -1
        self.detours = 0
        self.looked_at = 0
        self.eligible: list[Group[C]] = []
        self.view: View[C]


class Pool(Generic[C]):
    """Members in the order of their slots. `permits` are read whenever their generation has changed.

    What a `Selectable` says in its upper half is remembered: whoever changes that calls `touch`. `random` in [0, 1).
    """

    def __init__(
        self,
        members: Iterable[C] = (),
        *,
        permits: Permits | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._permits: Permits = permits or Permitted()
        self._random = random
        self._members: dict[str, C] = {name_of(member): member for member in members}
        self._plans: dict[Hashable, _Plan[C]] = {}
        self._made = 0
        self.version = 0
        self._indexed: tuple[int, int] = (-1, -1)
        self._generation = self._permits.generation

    # What it holds

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[C, ...]:
        return tuple(self._members.values())

    def replace(self, members: Iterable[C]) -> None:
        """Holds exactly these from now on."""
        self._members = {name_of(member): member for member in members}
        self.touch()

    def add(self, member: C) -> None:
        """Takes a member in, in place of one of the same name."""
        self._members[name_of(member)] = member
        self.touch()

    def discard(self, name: str) -> bool:
        """False if there is none of that name."""
        if self._members.pop(name, None) is None:
            return False
        self.touch()
        return True

    def touch(self) -> None:
        """Something that is remembered about a member has changed."""
        self.version += 1

    # Selection

    def select(self, wish: Wish, key: str | None = None) -> Choice[C]:
        """Who answers; `key` is the conversation under "sticky". The wish's mode and consents give way to the pool's permits.

        Raises BadRequest for an unknown policy.
        """
        generation = self._permits.generation
        if generation != self._generation:
            self._generation = generation
            self.version += 1
        if self._indexed[0] != self.version:
            self._index()
        plan = self._plan(wish)
        if plan.version != self.version:
            self._work_out(plan, wish)
        elif plan.view.resting:
            self._look_after_the_resting(plan)
        moment = Moment(plan.turn, key)
        plan.turn += 1
        for _ in range(TRIES):
            view = plan.view
            if not view.groups:
                break
            group = view.groups[0]
            members = group.members
            chosen = members[0] if len(members) == 1 else pick(view.policy, group, moment)
            if chosen.is_routable:
                if len(members) > 1:
                    share = chosen.share
                    if share < 1.0 and self._random() >= share:
                        chosen = self._instead(plan, view.policy, group, moment, chosen)
                return Choice(view, wish, moment, chosen)
            self._part(plan)
        return Choice(plan.view, wish, moment, None)

    def turn_of(self, wish: Wish) -> int:
        """The turn that the next such request would have; taking none."""
        plan = self._plans.get(self._alike(wish)) if self._indexed[0] == self.version else None
        return 0 if plan is None else plan.turn

    def _instead(self, plan: _Plan[C], policy: Policy, group: Group[C], moment: Moment, resting: C) -> C:
        """Another one than `resting`, which takes only a part of its traffic yet; its load is spread over all others."""
        turn = plan.detours
        plan.detours = turn + 1
        members = group.members
        if len(members) > LOOK_AT and moment.key is None:
            other = members[turn % len(members)]
            return members[(turn + 1) % len(members)] if other is resting else other
        others = Group([member for member in members if member is not resting])
        return pick(policy, others, Moment(turn, moment.key))

    def _plan(self, wish: Wish) -> _Plan[C]:
        alike = self._alike(wish)
        return self._plans.get(alike) or self._new_plan(alike)

    def _alike(self, wish: Wish) -> Hashable:
        """What requests that share a plan have in common."""
        needed, budget = wish.min_context, wish.budget_msat
        # Numbers enter as the step they reach among those that tell members apart: so there are few plans, whatever is asked.
        return (
            wish.model,
            wish.requirement,
            wish.policy,
            wish.role,
            wish.needs,
            None if needed is None else bisect_left(self._contexts, needed),
            None if budget is None else bisect_left(self._costs, budget + 1),
            wish.fallback,
            wish.protocols,
            wish.preferred_types,
            wish.targets,
            wish.wishes,
        )

    def _new_plan(self, alike: Hashable) -> _Plan[C]:
        plans = self._plans
        if len(plans) >= PLANS_MAX:
            del plans[next(iter(plans))]
        # Plans begin at different turns: a thousand models asked for once each do not all go to the first slot.
        plan: _Plan[C] = _Plan(self._made)
        self._made += 1
        plans[alike] = plan
        return plan

    def _work_out(self, plan: _Plan[C], wish: Wish) -> None:
        """Who is eligible: the pure stages, over those who may have the model."""
        mode, consents = self._permits.mode, self._permits.consents
        asked = msgspec.structs.replace(wish, mode=mode, consents=consents)
        policy = policy_named(asked.policy_name)
        model = asked.wanted_model
        known = self._ordered if model is None else (*self._by_model.get(model, ()), *self._open)
        plan.eligible = groups_of((member for member in known if verdict(member, asked) is None), asked, policy)
        plan.view = View(self._ordered, policy, mode, consents, plan.eligible)
        plan.version = self.version

    def _part(self, plan: _Plan[C]) -> None:
        """Usable and resting members anew; what is settled about them stays."""
        view = plan.view
        plan.view = View(view.candidates, view.policy, view.mode, view.consents, plan.eligible)

    def _look_after_the_resting(self, plan: _Plan[C]) -> None:
        """One of them a request: is it back?"""
        names = list(plan.view.resting)
        plan.looked_at += 1
        member = self._members.get(names[plan.looked_at % len(names)])
        if member is not None and member.is_routable:
            self._part(plan)

    def _index(self) -> None:
        self._ordered = tuple(sorted(self._members.values(), key=place_of))
        self._by_model: dict[str, list[C]] = {}
        self._open: list[C] = []
        for member in self._ordered:
            if not member.models:
                self._open.append(member)
            for model in dict.fromkeys(member.models):
                self._by_model.setdefault(model, []).append(member)
        self._contexts = _steps(member.capabilities.max_context for member in self._ordered)
        self._costs = _steps(member.cost_msat for member in self._ordered)
        self._indexed = (self.version, self._generation)


def _steps(numbers: Iterable[Any]) -> list[int]:
    return sorted({number for number in numbers if number is not None})
