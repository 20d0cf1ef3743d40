"""What a name in `model` may mean: slot-N; a slot's name; provider/model; a use case; a model that slots list or are set to.

Lookups in what the panel and the catalogue hold at this moment; asks no source anything and chooses nobody.
"""

import difflib

from jackfield.core.errors import ModelNotFound, SlotEmpty
from jackfield.core.ids import ModelRef
from jackfield.gateway.route import Target
from jackfield.routing.manager import BackendManager
from jackfield.routing.use_cases import Target as Rule
from jackfield.routing.use_cases import UseCases
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Slot

PARSED_MAX = 4096
USE_CASE = "use-case"
"""`use-case/coding` asks for whoever the rule for coding names."""
Found = list[tuple[Slot, str | None]]
State = tuple[tuple[Slot, ...], int, int]


class Names:
    def __init__(
        self, registry: ProviderRegistry, catalogue: Catalogue, backends: BackendManager, use_cases: UseCases | None = None
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._backends = backends
        self._use_cases = use_cases or UseCases({})
        self._parsed: dict[str, ModelRef] = {}

    @property
    def state(self) -> State:
        """What names depend on, as it is now."""
        return self._registry.slots(), self._catalogue.version, self._backends.version

    def is_current(self, state: State | None) -> bool:
        """Whether every name still means what it meant in `state`."""
        if state is None:
            return False
        slots, listings, backends = state
        return slots is self._registry.slots() and listings == self._catalogue.version and backends == self._backends.version

    def find(self, text: str) -> Found:
        """The slots for a name, each with the model to ask it for; None leaves the choice to the slot. Never empty.

        Raises ModelNotFound, SlotOutOfRange, and BadRequest for what cannot be a name or a use case without a rule.
        """
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
        rules = self.rules(text)
        if rules:
            return self._by_rules(text, rules)
        raise self._unknown(text)

    def rules(self, text: str) -> tuple[Rule, ...]:
        """Who is asked for a use case, first choice first; empty for a name that is none. Raises BadRequest without a rule."""
        head, _, use_case = text.strip().partition("/")
        return self._use_cases.targets(use_case) if head == USE_CASE else ()

    def target(self, slot: Slot, model: str | None, *, is_fallback: bool = False) -> Target:
        """Raises SlotEmpty."""
        if slot.binding is None:
            raise empty(slot)
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

    def _by_rules(self, text: str, rules: tuple[Rule, ...]) -> Found:
        """Whoever fits one of the rules, each with the model that the first fitting rule names."""
        found: Found = []
        for slot in self._registry.plugged():
            assert slot.binding is not None
            backend = self._backends.backend_of(slot.binding)
            rule = next((rule for rule in rules if rule.fits(backend)), None)
            if rule is not None and backend.role == "chat":
                found.append((slot, rule.model_of(backend)))
        if not found:
            wanted = ", ".join(rule.text for rule in rules)
            raise ModelNotFound(
                f"nothing that is plugged fits {text!r}, which asks for {wanted}; plug one of them, or change the rule",
                param="model",
            )
        return found

    def _unknown(self, text: str) -> ModelNotFound:
        known = [name for slot in self._registry.plugged() for name in (slot.number.model_name, slot.name)]
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known[:8]) or 'nothing is plugged yet'};"
        return ModelNotFound(f"no slot answers to the model {text!r}; {hint} GET /v1/models lists all", param="model")


def empty(slot: Slot) -> SlotEmpty:
    why = f" ({slot.problem})" if slot.problem else ""
    number = int(slot.number)
    return SlotEmpty(
        f"slot {number} is empty{why}; plug something into it: jackfield slots plug {number} PROVIDER",
        slot=number,
        param="model",
    )
