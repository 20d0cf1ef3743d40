"""Who of equals is next: the policies, in one table, as pure orderings of a group.

A policy parts a group into ranks by what is settled (a price), then picks within the first rank by what moves (a turn, a
queue, a latency). State is not kept here: whoever calls counts the turns. In a group larger than `LOOK_AT` the policies that
compare measurements look at that many members, others each turn, so that a pick's cost does not grow with the group.
"""

import itertools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean
from jackfield.routing.candidates import Selectable, is_local, name_of

C = TypeVar("C", bound=Selectable)

DEFAULT_POLICY = "round_robin"
LOOK_AT = 32
# One pick in so many goes to whoever's turn it is, so that an old bad measurement does not stand for ever.
EXPLORE_EVERY = 32
STICKY_BUCKETS = 1 << 16
OPENING_BYTES = 1024
_GOLDEN = 0.6180339887498949
_PRIME = (1 << 61) - 1


class Group(Generic[C]):
    """Members of one rank, never empty and never changed, with what the policies work out about them once.

    `leader` is used where the group is too large to be looked at whole: the best that was found so far.
    """

    __slots__ = ("_bounds", "_seeds", "_winners", "leader", "members")

    def __init__(self, members: Sequence[C]) -> None:
        self.members = tuple(members)
        self.leader: C | None = None
        self._bounds: list[float] | None = None
        self._seeds: list[int] | None = None
        self._winners: dict[int, C] = {}

    @property
    def bounds(self) -> list[float]:
        """Running sums of the weights."""
        if self._bounds is None:
            self._bounds = list(itertools.accumulate(max(0.0, member.weight) for member in self.members))
        return self._bounds

    def scores(self, bucket: int) -> list[int]:
        """How well each member fits a bucket: the highest wins, and no member has a say in another's score."""
        if self._seeds is None:
            self._seeds = [number_of(name_of(member)) for member in self.members]
        factor = bucket + 1
        return [seed * factor % _PRIME for seed in self._seeds]

    def winner(self, bucket: int) -> C:
        found = self._winners.get(bucket)
        if found is None:
            scores = self.scores(bucket)
            found = self._winners[bucket] = self.members[scores.index(max(scores))]
        return found


class Moment(msgspec.Struct, frozen=True):
    """What a pick depends on beside the group: how many came before, and which conversation it belongs to."""

    turn: int = 0
    key: str | None = None


def number_of(text: str) -> int:
    """A number for a name, the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")


def conversation_key(session: str | None, opening: bytes) -> str:
    """What "sticky" goes by: the session where the client names one, else how the prompt begins, which engines cache."""
    return session or blake2b(opening[:OPENING_BYTES], digest_size=16).hexdigest()


# Picks: the first of a group


def _next(group: Group[C], moment: Moment) -> C:
    members = group.members
    return members[moment.turn % len(members)]


def _foremost(group: Group[C], moment: Moment) -> C:
    return group.members[0]


def _least_loaded(group: Group[C], moment: Moment) -> C:
    best: C | None = None
    lowest = 0
    for member in looked_at(group, moment.turn):
        load = member.in_flight
        if not load:
            return member
        if best is None or load < lowest:
            best, lowest = member, load
    assert best is not None
    return best


def _fastest(group: Group[C], moment: Moment) -> C:
    members = looked_at(group, moment.turn)
    best: C | None = None
    lowest = 0.0
    for member in members:
        latency_s = member.latency_s
        if latency_s and (best is None or latency_s < lowest):
            best, lowest = member, latency_s
    return _leading(group, members[0] if best is None else best)


def _most_tokens(group: Group[C], moment: Moment) -> C:
    return _leading(group, max(looked_at(group, moment.turn), key=lambda member: member.tokens_per_s))


def _best_performance(group: Group[C], moment: Moment) -> C:
    """Whoever has not been measured and is idle; else the lowest latency, with an exploring pick now and then."""
    turn = moment.turn
    if turn % EXPLORE_EVERY == EXPLORE_EVERY - 1:
        explored = group.members[turn // EXPLORE_EVERY % len(group.members)]
        if not explored.in_flight:
            return explored
    best: C | None = None
    lowest = 0.0
    for member in looked_at(group, turn):
        latency_s = member.latency_s
        if not latency_s:
            if not member.in_flight:
                return member
        elif best is None or latency_s < lowest:
            best, lowest = member, latency_s
    return _least_loaded(group, moment) if best is None else _leading(group, best)


def _leading(group: Group[C], best: C) -> C:
    group.leader = best
    return best


def _weighted(group: Group[C], moment: Moment) -> C:
    """Turns spread over the weights as evenly as a golden-ratio sequence does."""
    bounds = group.bounds
    if not bounds[-1]:
        return _next(group, moment)
    at = bisect_right(bounds, moment.turn * _GOLDEN % 1.0 * bounds[-1])
    return group.members[min(at, len(bounds) - 1)]


def _sticky(group: Group[C], moment: Moment) -> C:
    """Rendezvous hashing: each bucket of keys goes to the member that fits it best."""
    if moment.key is None:
        return _next(group, moment)
    return group.winner(number_of(moment.key) % STICKY_BUCKETS)


def looked_at(group: Group[C], turn: int) -> Sequence[C]:
    """The members that a measuring policy compares, beginning with whoever's turn it is, so that equals alternate."""
    members = group.members
    size = len(members)
    if size <= LOOK_AT:
        start = turn % size
        return members[start:] + members[:start] if start else members
    start = turn * LOOK_AT % size
    window = members[start : start + LOOK_AT]
    return window if group.leader is None else (group.leader, *window)


# What comes after the first


def _by_load(candidate: Selectable) -> tuple[float, ...]:
    return (candidate.in_flight,)


def _by_latency(candidate: Selectable) -> tuple[float, ...]:
    return candidate.latency_s == 0.0, candidate.latency_s


def _by_throughput(candidate: Selectable) -> tuple[float, ...]:
    return (-candidate.tokens_per_s,)


def _by_weight(candidate: Selectable) -> tuple[float, ...]:
    return (-candidate.weight,)


# Ranks: what is settled


def _nothing(candidate: Selectable) -> tuple[float, ...]:
    return ()


def _by_place(candidate: Selectable) -> tuple[float, ...]:
    return (not is_local(candidate),)


def _by_cost(candidate: Selectable) -> tuple[float, ...]:
    return candidate.cost_msat is None, candidate.cost_msat or 0


def _by_freedom(candidate: Selectable) -> tuple[float, ...]:
    return (2 if candidate.cost_msat is None else candidate.cost_msat > 0,)


Rank = Callable[[Selectable], tuple[float, ...]]


class Policy(msgspec.Struct, frozen=True):
    """`rank` parts by settled facts, `first` picks within the first rank, `rest` orders the others after it (None: in turn).

    `says` is for a person.
    """

    first: Callable[[Group[Selectable], Moment], Selectable]
    says: str
    rank: Rank = _nothing
    rest: Rank | None = None


POLICIES: Mapping[str, Policy] = {
    "round_robin": Policy(_next, "each in turn"),
    "least_loaded": Policy(_least_loaded, "the fewest running and waiting requests", rest=_by_load),
    "best_performance": Policy(_best_performance, "the best average latency; the unmeasured are tried", rest=_by_latency),
    "cheapest": Policy(_next, "the lowest known price", rank=_by_cost),
    "weighted": Policy(_weighted, "in proportion to the weights", rest=_by_weight),
    "sticky": Policy(_sticky, "one conversation stays where it began"),
    "free_first": Policy(_next, "what costs nothing, then what has a price", rank=_by_freedom),
    "first": Policy(_foremost, "in the order of the slots"),
    "local_first": Policy(_foremost, "what stays on this machine, then the order of the slots", rank=_by_place),
    "fastest": Policy(_fastest, "the best average latency; the unmeasured come last", rest=_by_latency),
    "throughput": Policy(_most_tokens, "the most tokens per second", rest=_by_throughput),
}


def policy_named(name: str, param: str = "policy") -> Policy:
    """Raises BadRequest with the nearest known name."""
    policy = POLICIES.get(name)
    if policy is None:
        raise BadRequest(
            f"{param} must be one of {', '.join(POLICIES)}, got {name!r}{did_you_mean(name, POLICIES)}", param=param
        )
    return policy


def ordered(policy: Policy, group: Group[C], moment: Moment) -> list[C]:
    """The whole group, whom to ask first and whom next when that fails; the first is `policy.first`'s."""
    return ordered_after(policy, group, moment, pick(policy, group, moment))


def pick(policy: Policy, group: Group[C], moment: Moment) -> C:
    return policy.first(group, moment)  # type: ignore[arg-type, return-value]  # a pick returns one of the group's members


def ordered_after(policy: Policy, group: Group[C], moment: Moment, first: C) -> list[C]:
    """`first`, then the others as the policy has them."""
    members = group.members
    at = next(place for place, member in enumerate(members) if member is first)
    if policy.first is _sticky and moment.key is not None:
        scores = group.scores(number_of(moment.key) % STICKY_BUCKETS)
        others = sorted((other for other in range(len(members)) if other != at), key=lambda other: -scores[other])
        return [first, *(members[other] for other in others)]
    rest = list(members[at + 1 :] + members[:at])
    if policy.rest is not None:
        rest.sort(key=policy.rest)
    return [first, *rest]
