"""Places of the panel as rows of the store, and back."""

from jackfield.slots.panel import EMPTY, Place, Places
from jackfield.slots.slot import ROLES, SlotRole, SlotSpec, default_name
from jackfield.store.slots import StoredSlot


def stored(number: int, place: Place) -> StoredSlot:
    name = place.name or default_name(number)
    spec = place.spec
    number = int(number)  # a SlotNumber has no place in JSON
    if spec is None:
        return StoredSlot(number, name)
    return StoredSlot(number, name, spec.provider, spec.config, spec.model, spec.generation, spec.role)


def stored_all(places: Places) -> list[StoredSlot]:
    return [stored(number, place) for number, place in enumerate(places)]


def place_of(row: StoredSlot) -> Place:
    """A default name is no name: it belongs to the position. An unknown role is read as chat."""
    name = None if row.name in ("", default_name(row.number)) else row.name
    if row.provider is None:
        return EMPTY if name is None else Place(name)
    role: SlotRole = next((role for role in ROLES if role == row.role), "chat")
    return Place(name, SlotSpec(row.provider, row.config, row.model, row.generation, role))
