"""From the name in `model` to a live binding: which slot answers, and with which of its models.

Pure lookups in what the panel and the catalogue hold at this moment; asks no source anything.
"""

import difflib

from jackfield.core.errors import ModelNotFound, SlotEmpty
from jackfield.core.ids import ModelRef
from jackfield.gateway.call import Call
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Binding, Slot

PARSED_MAX = 4096


class Resolve:
    """A name is tried as: slot-N; a slot's name; provider/model; a model that some slot lists; a slot's configured model."""

    def __init__(self, registry: ProviderRegistry, catalogue: Catalogue) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._parsed: dict[str, ModelRef] = {}

    def __call__(self, call: Call) -> None:
        """Sets the call's slot, binding and model. Raises ModelNotFound, SlotEmpty, SlotOutOfRange or BadRequest."""
        slot, call.model = self.find(call.model_text)
        call.slot_number = int(slot.number)
        call.binding = _live(slot)

    def find(self, text: str) -> tuple[Slot, str | None]:
        """The slot for a name and the model to ask it for; None leaves the choice to the slot."""
        ref = self._parsed.get(text) or self._parse(text)
        if ref.slot is not None:
            return self._registry.slot(ref.slot), None
        named = self._registry.by_name(text)
        if named is not None:
            return named, None
        if ref.head is not None:
            found = self._by_provider(ref.head, ref.tail)
            if found is not None:
                return found, ref.tail
        listed = self._catalogue.find(text)
        if listed is not None:
            return listed, text
        for slot in self._registry.plugged():
            if slot.spec is not None and slot.spec.model == text:
                return slot, text
        raise self._unknown(text)

    def _parse(self, text: str) -> ModelRef:
        ref = ModelRef.parse(text)
        if len(self._parsed) >= PARSED_MAX:
            self._parsed.clear()
        self._parsed[text] = ref
        return ref

    def _by_provider(self, provider: str, model: str | None) -> Slot | None:
        """The provider's slot that is set to this model, else its first."""
        slots = [slot for slot in self._registry.plugged() if slot.binding and slot.binding.info.id == provider]
        same = [slot for slot in slots if slot.spec is not None and slot.spec.model == model]
        return next(iter(same or slots), None)

    def _unknown(self, text: str) -> ModelNotFound:
        known = [name for slot in self._registry.plugged() for name in (slot.number.model_name, slot.name)]
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known[:8]) or 'nothing is plugged yet'};"
        return ModelNotFound(f"no slot answers to the model {text!r}; {hint} GET /v1/models lists all", param="model")


def _live(slot: Slot) -> Binding:
    if slot.binding is None:
        why = f" ({slot.problem})" if slot.problem else ""
        number = int(slot.number)
        raise SlotEmpty(
            f"slot {number} is empty{why}; plug something into it: jackfield slots plug {number} PROVIDER",
            slot=number,
            param="model",
        )
    return slot.binding
