"""From the name in `model` to a route: which slots may answer, with which of their models, in which order.

Lookups in what the panel, the catalogue and the backends hold at this moment; asks no source anything.
"""

import difflib
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, ModelNotFound, SlotEmpty
from jackfield.core.ids import ModelRef
from jackfield.core.profiles import CapabilityRequirement
from jackfield.gateway.call import Call
from jackfield.gateway.explanation import excluded, excluded_slot, explanation
from jackfield.gateway.route import Route, Target
from jackfield.routing.backends import Backend
from jackfield.routing.balance import Moment, policy_named
from jackfield.routing.explain import Selection, refusal
from jackfield.routing.manager import BackendManager
from jackfield.routing.select import select
from jackfield.routing.stages import NOTHING, Wish
from jackfield.routing.wishes import Wishes
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Slot
from jackfield.transport.egress import EgressGate

logger = logging.getLogger("jackfield.gateway")
PARSED_MAX = 4096
WISHES = "provider"
"""The field of the body, as OpenRouter has it, that says who may answer; it is ours and is not sent on."""
TURNS_MAX = 4096
Found = list[tuple[Slot, str | None]]


class Resolve:
    """A name is tried as: slot-N; a slot's name; provider/model; a model that slots list or are set to.

    Where several slots have the model, `policy` orders them. `fallbacks` are the names to go on with, by the name asked for.
    """

    def __init__(
        self,
        registry: ProviderRegistry,
        catalogue: Catalogue,
        backends: BackendManager,
        gate: EgressGate,
        *,
        policy: str = "round_robin",
        fallbacks: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        policy_named(policy, "routing.policy")
        self._registry = registry
        self._catalogue = catalogue
        self._backends = backends
        self._gate = gate
        self._policy = policy
        self._fallbacks = dict(fallbacks or {})
        self._parsed: dict[str, ModelRef] = {}
        self._turns: dict[str, int] = {}
        self._lost: set[str] = set()

    def __call__(self, call: Call) -> None:
        """Sets the call's route. Raises ModelNotFound, SlotEmpty, SlotOutOfRange, BadRequest, or why nobody may."""
        text = call.model_text
        found = self.find(text)
        said = call.fields.pop(WISHES, None)
        if said is None and len(found) == 1 and text not in self._fallbacks:
            call.route = Route((self._target(*found[0]),))
            return
        call.wishes = Wishes.parse(said)
        needs = needs_of(call.fields) if call.wishes.require_parameters else NOTHING
        call.route = self._ordered(text, found, call.wishes, needs)

    def find(self, text: str) -> Found:
        """The slots for a name, each with the model to ask it for; None leaves the choice to the slot. Never empty."""
        ref = self._parsed.get(text) or self._parse(text)
        if ref.slot is not None:
            return [(self._registry.slot(ref.slot), None)]
        named = self._registry.by_name(text)
        if named is not None:
            return [(named, None)]
        if ref.head is not None:
            of_provider = self._by_provider(ref.head, ref.tail)
            if of_provider:
                return [(slot, ref.tail) for slot in of_provider]
        slots = list(self._catalogue.find_all(text))
        slots += [slot for slot in self._registry.plugged() if slot.spec and slot.spec.model == text and slot not in slots]
        if slots:
            return [(slot, text) for slot in slots]
        raise self._unknown(text)

    def explain(self, text: str) -> dict[str, Any]:
        """How a request for this name, without wishes of its own, would be resolved now; no turn is taken.

        Plain JSON: gateway/explanation.py. Raises what `find` does; that nobody may answer is told, not raised.
        """
        found = self.find(text)
        if len(found) == 1 and text not in self._fallbacks and found[0][0].binding:
            return explanation(text, self._policy, [self._target(*found[0])])
        missing = [excluded_slot(slot) for slot, _ in found if slot.binding is None]
        selection: Selection[Backend] | None = None
        try:
            selection, targets = self._selected(text, found, Wishes(), self._turns.get(text, 0))
            self._check(found, selection, targets)
        except JackfieldError as error:
            left_out = () if selection is None else selection.exclusions
            return explanation(text, self._policy, (), [*missing, *map(excluded, left_out)], error)
        asked = {target.backend.id for target in targets}
        out = [excluded(each) for each in selection.exclusions if each.id not in asked]
        return explanation(text, self._policy, targets, [*missing, *out], selection=selection)

    def _ordered(self, text: str, found: Found, wishes: Wishes, needs: CapabilityRequirement) -> Route:
        """By the policy, those that may not or cannot left out with their reasons; then the fallbacks, in their order."""
        turn = self._turns.get(text, 0)
        if len(self._turns) >= TURNS_MAX:
            self._turns.clear()
        self._turns[text] = turn + 1
        selection, ordered = self._selected(text, found, wishes, turn, needs)
        self._check(found, selection, ordered)
        return Route(ordered)

    def _selected(
        self, text: str, found: Found, wishes: Wishes, turn: int, needs: CapabilityRequirement = NOTHING
    ) -> tuple[Selection[Backend], list[Target]]:
        targets = {target.backend.id: target for target in (self._target(slot, model) for slot, model in found if slot.binding)}
        wish = Wish(mode=self._gate.mode, consents=self._gate.consents, policy=self._policy, wishes=wishes, needs=needs)
        selection = select([target.backend for target in targets.values()], wish, Moment(turn))
        ordered = [targets[backend.id] for backend in selection.order]
        for name in self._fallbacks.get(text, ()) if wishes.allow_fallbacks else ():
            fallback = {target.backend.id: target for target in self._fallback(name) if target.backend.id not in targets}
            further = select([target.backend for target in fallback.values()], wish, Moment())
            ordered += [fallback[backend.id] for backend in further.order]
            selection = msgspec.structs.replace(selection, exclusions=(*selection.exclusions, *further.exclusions))
        if not ordered:
            # Nobody is known to be well. What the last look found may be over, and asking is how to know; an open circuit
            # still says no.
            ordered = [targets[out.id] for out in selection.exclusions if out.is_passing and out.id in targets]
        return selection, ordered

    def _fallback(self, name: str) -> list[Target]:
        """A name that the settings fall back to stands for what it names now; one that nobody has is no fallback, no more."""
        try:
            return [self._target(slot, model, is_fallback=True) for slot, model in self.find(name) if slot.binding]
        except JackfieldError as error:
            if name not in self._lost:
                self._lost.add(name)
                logger.warning("routing.fallbacks names %r: %s", name, error.message)
            return []

    def _check(self, found: Found, selection: Selection[Backend], ordered: list[Target]) -> None:
        """Raises why nobody may answer."""
        if not ordered and not selection.exclusions:
            raise _empty(found[0][0])
        if not ordered:
            raise refusal(selection)

    def _target(self, slot: Slot, model: str | None, *, is_fallback: bool = False) -> Target:
        if slot.binding is None:
            raise _empty(slot)
        return Target(int(slot.number), slot.binding, model, self._backends.backend_of(slot.binding, model), is_fallback)

    def _parse(self, text: str) -> ModelRef:
        ref = ModelRef.parse(text)
        if len(self._parsed) >= PARSED_MAX:
            self._parsed.clear()
        self._parsed[text] = ref
        return ref

    def _by_provider(self, provider: str, model: str | None) -> list[Slot]:
        """The provider's slots that are set to this model, else all of them."""
        slots = [slot for slot in self._registry.plugged() if slot.binding and slot.binding.info.id == provider]
        return [slot for slot in slots if slot.spec is not None and slot.spec.model == model] or slots[:1]

    def _unknown(self, text: str) -> ModelNotFound:
        known = [name for slot in self._registry.plugged() for name in (slot.number.model_name, slot.name)]
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known[:8]) or 'nothing is plugged yet'};"
        return ModelNotFound(f"no slot answers to the model {text!r}; {hint} GET /v1/models lists all", param="model")


def needs_of(fields: Mapping[str, msgspec.Raw]) -> CapabilityRequirement:
    """What a chat body uses that not every source can do."""
    return CapabilityRequirement(
        tools="tools" in fields,
        json_mode="response_format" in fields,
        vision=b'"image_url"' in bytes(fields.get("messages", b"")),
    )


def _empty(slot: Slot) -> SlotEmpty:
    why = f" ({slot.problem})" if slot.problem else ""
    number = int(slot.number)
    return SlotEmpty(
        f"slot {number} is empty{why}; plug something into it: jackfield slots plug {number} PROVIDER",
        slot=number,
        param="model",
    )
