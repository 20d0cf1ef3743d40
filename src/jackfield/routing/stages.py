"""The stages that exclude, in their order, and the ranks that come before any policy. Pure; each "no" has its reason.

mode         may prompts go there at all: operating mode and consent
capability   can it do what is asked, and does it have the model
budget       is it within what may be spent; what is not priced is over any budget
policy       do the request's wishes and the use case allow it, and is it usable now
balance      which of the rest comes first (balance.py)
fallback     who is next when the first one fails, if anybody may be
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from jackfield.core.modes import OperatingMode
from jackfield.core.profiles import Capabilities, CapabilityRequirement
from jackfield.core.tasks import canonical_task
from jackfield.routing.balance import DEFAULT_POLICY
from jackfield.routing.candidates import Selectable, Stage, is_local, names_of, on_this_machine
from jackfield.routing.use_cases import Target
from jackfield.routing.wishes import Wishes
from jackfield.slots.plugging import bare_host

NOTHING = CapabilityRequirement()
NO_WISHES = Wishes()
_FLAGS = ("streaming", "embeddings", "images", "tools", "vision", "json_mode")


class Wish(msgspec.Struct, frozen=True):
    """What is asked for, and under which rules. `budget_msat` None is no limit; `consents` hosts by provider id.

    A source must be known to meet the `requirement`; of the `needs` and of `min_context` (tokens) only a known "no" excludes,
    unless the wishes require parameters. `protocols` are all asked for. `targets` name who may be asked, first choice first
    (empty: anybody). `preferred_types` and then `fallback` (provider ids or "slot-N") come before the rest, in their order.
    """

    requirement: CapabilityRequirement = NOTHING
    mode: OperatingMode = OperatingMode.LOCAL_ONLY
    consents: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    budget_msat: int | None = None
    policy: str = DEFAULT_POLICY
    fallback: tuple[str, ...] = ()
    role: str = "chat"
    model: str | None = None
    needs: CapabilityRequirement = NOTHING
    min_context: int | None = None
    protocols: tuple[str, ...] = ()
    preferred_types: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    wishes: Wishes = NO_WISHES

    @property
    def wanted_model(self) -> str | None:
        return self.model or self.requirement.model

    @property
    def policy_name(self) -> str:
        return self.wishes.sort or self.policy


Verdict = tuple[Stage, str]


def verdict(candidate: Selectable, wish: Wish) -> Verdict | None:
    """The first stage that excludes the candidate for good, with its reason; whether it is usable now is `resting`."""
    for stage, check in _CHECKS:
        reason = check(candidate, wish)
        if reason is not None:
            return stage, reason
    return None


def resting(candidate: Selectable) -> Verdict | None:
    """Why it cannot be used at this moment."""
    if candidate.is_routable:
        return None
    return "policy", candidate.problem or "it is not routable now"


def rank(candidate: Selectable, wish: Wish) -> tuple[int, ...]:
    """Where it comes before any policy has a say: by the request's order, the targets, the preferred types, the fallbacks."""
    names = names_of(candidate)
    return (
        _index(wish.wishes.order, names),
        target_of(candidate, wish)[0],
        _index(wish.preferred_types, (candidate.type,)),
        _index(wish.fallback, names),
    )


def target_of(candidate: Selectable, wish: Wish) -> tuple[int, Target | None]:
    """The first target that the candidate fits, and its place."""
    for place, target in enumerate(wish.targets):
        if target.fits(candidate):
            return place, target
    return len(wish.targets), None


def model_for(candidate: Selectable, wish: Wish) -> str | None:
    """The model to ask the candidate for; None leaves it to the candidate."""
    if wish.wanted_model is not None:
        return wish.wanted_model
    target = target_of(candidate, wish)[1]
    return None if target is None else target.model_of(candidate)


def why(candidate: Selectable, wish: Wish) -> str:
    """What put a candidate into its rank, for a person; "" where nothing did."""
    names = names_of(candidate)
    target = target_of(candidate, wish)[1]
    said = (
        "named in provider.order" if _index(wish.wishes.order, names) < len(wish.wishes.order) else "",
        f"fits {target.text}" if target is not None else "",
        f"type {candidate.type} is preferred" if candidate.type in wish.preferred_types else "",
        "named as a fallback" if _index(wish.fallback, names) < len(wish.fallback) else "",
    )
    return ", ".join(filter(None, said))


def _index(names: Sequence[str], mine: Sequence[str]) -> int:
    return next((place for place, name in enumerate(names) if name in mine), len(names))


# mode


def _forbidden(candidate: Selectable, wish: Wish) -> str | None:
    away = [bare_host(host) for host in candidate.hosts if not on_this_machine(host)]
    if not away:
        return None
    where = " and ".join(away)
    if wish.mode is not OperatingMode.BURST:
        return f"prompts would go to {where}, and the mode is {wish.mode}"
    missing = [host for host in away if host not in wish.consents.get(candidate.provider, frozenset())]
    return f"nobody has consented to prompts going to {' and '.join(missing)}" if missing else None


# capability


def _unable(candidate: Selectable, wish: Wish) -> str | None:
    if candidate.role != wish.role:
        return f"its slot is for {candidate.role}, not {wish.role}"
    unmet = list(unmet_by(candidate.capabilities, wish))
    if unmet:
        return f"not known to have {', '.join(unmet)}"
    known_no = list(refused_by(candidate.capabilities, wish))
    if known_no:
        return f"it does not have {', '.join(known_no)}"
    model = wish.wanted_model
    if model is not None and candidate.models and model not in candidate.models:
        return f"it does not list the model {model}"
    return None


def unmet_by(record: Capabilities, wish: Wish) -> Iterator[str]:
    """What the record does not state, of all that it must state."""
    for need in _strict(wish):
        for name in need.unmet_by(record):
            if name != "model" and not (name == "task" and _has_task(record, need.task)):
                yield name
    for protocol in wish.protocols:
        if protocol.lower() not in record.protocols:
            yield f"the protocol {protocol}"
    if wish.wishes.require_parameters and wish.min_context is not None and (record.max_context or 0) < wish.min_context:
        yield "min_context"


def refused_by(record: Capabilities, wish: Wish) -> Iterator[str]:
    """What the record states that it cannot do, of all that the request uses."""
    needs = wish.needs
    for name in _FLAGS:
        if getattr(needs, name) and getattr(record, name) is False:
            yield name
    room = max(wish.min_context or 0, needs.min_context or 0)
    if room and record.max_context is not None and record.max_context < room:
        yield f"a context of {room} tokens, only of {record.max_context}"
    if needs.task is not None and not _has_task(record, needs.task):
        yield f"the task {needs.task}"


def _strict(wish: Wish) -> tuple[CapabilityRequirement, ...]:
    return (wish.requirement, wish.needs) if wish.wishes.require_parameters else (wish.requirement,)


def _has_task(record: Capabilities, task: str | None) -> bool:
    return task is None or canonical_task(task) in map(canonical_task, record.supported_tasks)


# budget


def _too_dear(candidate: Selectable, wish: Wish) -> str | None:
    if wish.budget_msat is not None:
        if candidate.cost_msat is None:
            return "its price is not known, and there is a budget"
        if candidate.cost_msat > wish.budget_msat:
            return f"it would cost about {candidate.cost_msat} msat of {wish.budget_msat} msat left"
    return _over_max_price(candidate, wish)


def _over_max_price(candidate: Selectable, wish: Wish) -> str | None:
    limit = wish.wishes.max_price
    if limit is None or (candidate.price is None and candidate.cost_msat == 0):
        return None
    price = candidate.price
    if price is None:
        return "its price is not known, and provider.max_price is set"
    for what, rate, most in (("prompt", price.input, limit.prompt), ("completion", price.output, limit.completion)):
        if most is not None and rate > most:
            return f"a million {what} tokens cost ${rate}, and provider.max_price.{what} is ${most:g}"
    return None


# policy


def _unwanted(candidate: Selectable, wish: Wish) -> str | None:
    wishes = wish.wishes
    names = names_of(candidate)
    if wishes.only and not any(name in wishes.only for name in names):
        return "provider.only does not name it"
    if any(name in wishes.ignore for name in names):
        return "provider.ignore names it"
    if (
        wishes.keeps_nothing
        and candidate.keeps_data is not False
        and not (candidate.keeps_data is None and is_local(candidate))
    ):
        known = "keeps prompts" if candidate.keeps_data else "is not known to keep no prompts"
        return f"it {known}, and the request asks for a source that keeps none"
    if wish.targets and target_of(candidate, wish)[1] is None:
        return f"it is none of {', '.join(target.text for target in wish.targets)}"
    return None


# fallback


def _no_fallback(candidate: Selectable, wish: Wish) -> str | None:
    wishes = wish.wishes
    if wishes.allow_fallbacks or not wishes.order or any(name in wishes.order for name in names_of(candidate)):
        return None
    return "provider.order does not name it, and provider.allow_fallbacks is false"


_CHECKS: tuple[tuple[Stage, Callable[[Selectable, Wish], str | None]], ...] = (
    ("mode", _forbidden),
    ("capability", _unable),
    ("budget", _too_dear),
    ("policy", _unwanted),
    ("fallback", _no_fallback),
)
