"""From the name in `model` to a route: which targets may answer, with which of their models, in which order.

Lookups in what the panel, the catalogue and the backends hold at this moment; asks no source anything. What names mean is in
gateway/naming.py, who stands behind one in gateway/standing.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.gateway.call import Call
from jackfield.gateway.errand import narrowed
from jackfield.gateway.explanation import excluded, excluded_slot, explanation
from jackfield.gateway.naming import Found, Names, empty
from jackfield.gateway.route import Route, Target
from jackfield.gateway.standing import Standing, Standings
from jackfield.routing.backends import Backend
from jackfield.routing.balance import OPENING_BYTES, Moment, conversation_key, policy_named
from jackfield.routing.explain import Decisions, Selection, refusal
from jackfield.routing.manager import BackendManager
from jackfield.routing.pools import Choice
from jackfield.routing.select import select
from jackfield.routing.stages import NOTHING, Wish
from jackfield.routing.use_cases import UseCases
from jackfield.routing.wishes import Wishes
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.registry import ProviderRegistry
from jackfield.transport.egress import EgressGate

WISHES = "provider"
"""The field of the body, as OpenRouter has it, that says who may answer; it is ours and is not sent on."""
STICKY = "sticky"
SESSION = "prompt_cache_key", "user"
"""Fields by which a conversation is known under "sticky"; without them its first bytes tell."""


class Resolve:
    """Where several sources have the model, `policy` orders them. `fallbacks`: names to go on with, by the name asked for."""

    def __init__(
        self,
        registry: ProviderRegistry,
        catalogue: Catalogue,
        backends: BackendManager,
        gate: EgressGate,
        *,
        policy: str = "round_robin",
        fallbacks: Mapping[str, tuple[str, ...]] | None = None,
        use_cases: UseCases | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        policy_named(policy, "routing.policy")
        self._gate = gate
        self._policy = policy
        self._plain = Wish(policy=policy)
        self.decisions = decisions
        self.names = Names(registry, catalogue, backends, use_cases)
        self.standings = Standings(self.names, gate, fallbacks or {})

    def __call__(self, call: Call) -> None:
        """Sets the call's route. Raises ModelNotFound, SlotEmpty, SlotOutOfRange, BadRequest, or why nobody may."""
        call.route = self._find(call) if call.errand is None else narrowed(self._find(call), call.errand)

    def _find(self, call: Call) -> Route:
        standing = self.standings.of(call.model_text)
        said = call.fields.pop(WISHES, None)
        sole = standing.sole
        if said is None and sole is not None:
            return Route((sole,))
        if not standing.targets and not standing.fallbacks:
            raise empty(standing.found[0][0])
        wish = self._plain
        if said is not None or standing.rules:
            call.wishes = wishes = Wishes.parse(said)
            needs = call.dialect.needs(call.fields) if wishes.require_parameters else NOTHING
            wish = Wish(policy=self._policy, wishes=wishes, needs=needs, targets=standing.rules)
        choice = standing.pool.select(wish, self._conversation(call, wish))
        if self.decisions is not None:
            self.decisions.note(call.request_id, choice)
        return self._route(standing, choice)

    def explain(self, text: str) -> dict[str, Any]:
        """How a request for this name, without wishes of its own, would be resolved now; no turn is taken.

        Plain JSON: gateway/explanation.py. Raises what `Names.find` does; that nobody may answer is told, not raised.
        """
        standing = self.standings.of(text)
        if standing.sole is not None:
            return explanation(text, self._policy, [standing.sole])
        missing = [excluded_slot(slot) for slot, _ in standing.found if slot.binding is None]
        wish = Wish(policy=self._policy, mode=self._gate.mode, consents=self._gate.consents, targets=standing.rules)
        selection = select(standing.pool.members, wish, Moment(standing.pool.turn_of(wish)))
        targets = [standing.targets[backend.id] for backend in selection.order]
        further, out = self._fallbacks(standing, wish)
        selection = msgspec.structs.replace(selection, exclusions=(*selection.exclusions, *out))
        targets = targets + further or _last_resort(standing, selection)
        asked = {target.backend.id for target in targets}
        left_out = [*missing, *(excluded(each) for each in selection.exclusions if each.id not in asked)]
        refused = None if targets else _nobody(standing.found, selection)
        return explanation(text, self._policy, targets, left_out, refused, selection=selection if targets else None)

    def decision(self, request_id: str) -> dict[str, Any] | None:
        """How a request was resolved, as plain JSON; None where it had no choice, or is forgotten."""
        noted = None if self.decisions is None else self.decisions.get(request_id)
        return None if noted is None else noted.as_dict()

    def _route(self, standing: Standing, choice: Choice[Backend]) -> Route:
        """The chosen one, and on demand all others, those of the fallbacks last. Raises why nobody may answer."""
        chosen = choice.chosen
        if chosen is None:
            return self._second_choice(standing, choice)
        first = standing.targets[chosen.id]
        if choice.has_others or (standing.fallbacks and choice.wish.wishes.allow_fallbacks):
            return Route((first,), lambda: self._others(standing, choice))
        return Route((first,))

    def _others(self, standing: Standing, choice: Choice[Backend]) -> Iterator[Target]:
        for backend in choice.order[1:]:
            yield standing.targets[backend.id]
        yield from self._fallbacks(standing, choice.selection().wish)[0]

    def _second_choice(self, standing: Standing, choice: Choice[Backend]) -> Route:
        """Nobody with the model is known to be well: the fallbacks, and else those that may be well again."""
        selection = choice.selection()
        targets, out = self._fallbacks(standing, selection.wish)
        selection = msgspec.structs.replace(selection, exclusions=(*selection.exclusions, *out))
        targets = targets or _last_resort(standing, selection)
        if not targets:
            raise _nobody(standing.found, selection)
        return Route(targets)

    def _fallbacks(self, standing: Standing, wish: Wish) -> tuple[list[Target], list[Any]]:
        """Those of the fallbacks that may answer, in their order, and why the others may not."""
        targets: list[Target] = []
        out: list[Any] = []
        for group in standing.fallbacks if wish.wishes.allow_fallbacks else ():
            by_id = {target.backend.id: target for target in group}
            further = select([target.backend for target in group], wish, Moment())
            targets += [by_id[backend.id] for backend in further.order]
            out += further.exclusions
        return targets, out

    def _conversation(self, call: Call, wish: Wish) -> str | None:
        """What keeps a conversation with one source, where the policy does."""
        if wish.policy_name != STICKY:
            return None
        said = next((bytes(call.fields[name]) for name in SESSION if name in call.fields), None)
        return conversation_key(None if said is None else said.decode(errors="replace"), _opening(call))


def _opening(call: Call) -> bytes:
    return bytes(memoryview(call.fields.get(call.dialect.prompt_field, b""))[:OPENING_BYTES])


def _last_resort(standing: Standing, selection: Selection[Backend]) -> list[Target]:
    """What the last look found may be over, and asking is how to know; an open circuit still says no."""
    return [standing.targets[out.id] for out in selection.exclusions if out.is_passing and out.id in standing.targets]


def _nobody(found: Found, selection: Selection[Backend]) -> JackfieldError:
    return refusal(selection) if selection.exclusions else empty(found[0][0])
