"""What should stand where, as a value: every operation on the panel, worked out without touching anything live.

Each function takes the places as they are and gives back only those that change. Pure; slots/registry.py makes it so.
"""

import re
from collections.abc import Sequence

import msgspec

from jackfield.core.errors import BadRequest, Conflict, SlotEmpty, SlotOutOfRange
from jackfield.core.ids import SlotNumber
from jackfield.slots.slot import SlotSpec, default_name

NAME_MAX = 64
_NUMBERED = re.compile(r"slot[-_](\d+)\Z", re.IGNORECASE)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """One position's name and spec. `name` None is the default name, which does not travel."""

    name: str | None = None
    spec: SlotSpec | None = None


EMPTY = Place()
Places = Sequence[Place]
Changes = dict[int, Place]


def checked_number(value: int, size: int) -> SlotNumber:
    """Raises BadRequest for what is no whole number, SlotOutOfRange below 0 and past the panel's end."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"slot must be a whole number, got {value!r}", param="slot")
    if not 0 <= value < size:
        raise SlotOutOfRange(f"slot {value} is out of range: this panel has slots 0 to {size - 1}", param="slot")
    return SlotNumber(value)


def shown_name(places: Places, number: int) -> str:
    return places[number].name or default_name(number)


def checked_name(places: Places, number: int, name: str) -> str | None:
    """The name to keep for `number`; None where it is the slot's own default.

    Raises BadRequest for what cannot be a name, Conflict for a name that means another slot.
    """
    cleaned = name.strip()
    if not cleaned or len(cleaned) > NAME_MAX or not cleaned.isprintable() or "/" in cleaned:
        raise BadRequest(
            f"{name!r} cannot name a slot: use 1 to {NAME_MAX} printable characters without '/', such as 'coder'", param="name"
        )
    numbered = _NUMBERED.match(cleaned)
    if numbered:
        if int(numbered[1]) == number:
            return None
        raise Conflict(f"{cleaned!r} means slot {int(numbered[1])}: choose another name for slot {number}", param="name")
    taken = next(
        (other for other, place in enumerate(places) if other != number and place.name and _same(place.name, cleaned)), None
    )
    if taken is not None:
        raise Conflict(f"slot {taken} is already named {cleaned!r}: choose another name for slot {number}", param="name")
    return cleaned


def free_numbers(places: Places, reserved: frozenset[int] = frozenset()) -> list[int]:
    return [number for number, place in enumerate(places) if place.spec is None and number not in reserved]


def filled(places: Places, number: int) -> SlotSpec:
    """The spec in `number`. Raises SlotEmpty."""
    spec = places[number].spec
    if spec is None:
        raise SlotEmpty(
            f"slot {number} is empty; plug something into it: jackfield slots plug {number} PROVIDER", slot=number, param="slot"
        )
    return spec


def plugged(places: Places, number: int, spec: SlotSpec, name: str | None) -> Changes:
    """`name` None keeps the slot's name."""
    kept = places[number].name if name is None else checked_name(places, number, name)
    return {number: Place(kept, spec)}


def unplugged(places: Places, number: int) -> Changes:
    """Spec and name go, everything at once."""
    filled(places, number)
    return {number: EMPTY}


def swapped(places: Places, a: int, b: int) -> Changes:
    """Spec and given name travel together. Raises BadRequest for one slot twice, SlotEmpty if both are empty."""
    if a == b:
        raise BadRequest(f"slot {a} cannot be swapped with itself", param="b")
    if places[a].spec is None and places[b].spec is None:
        raise SlotEmpty(f"slots {a} and {b} are both empty: there is nothing to swap", slot=a)
    return {a: places[b], b: places[a]}


def renamed(places: Places, number: int, name: str) -> Changes:
    return {number: Place(checked_name(places, number, name), places[number].spec)}


def clone_targets(places: Places, source: int, count: int, reserved: frozenset[int] = frozenset()) -> list[int]:
    """The next `count` free slots after `source`, then from 0 on. Raises Conflict, naming how many are free."""
    filled(places, source)
    if type(count) is not int or count < 1:
        raise BadRequest(f"count must be 1 or more, got {count!r}", param="count")
    free = free_numbers(places, reserved)
    if len(free) < count:
        raise Conflict(
            f"{count} clones need {count} free slots, {len(free)} are free: nothing was cloned; ask for fewer or unplug some",
            param="count",
        )
    return sorted(free, key=lambda number: (number < source, number))[:count]


def cloned(places: Places, source: int, targets: Sequence[int]) -> Changes:
    """Copies of the source's spec. A named source's clones are called NAME_clone_1 and so on, past names that are taken."""
    spec = filled(places, source)
    base = places[source].name
    names = {place.name.casefold() for place in places if place.name}
    changes: Changes = {}
    index = 0
    for target in targets:
        name = None
        while base is not None and name is None:
            index += 1
            tail = f"_clone_{index}"
            wanted = base[: NAME_MAX - len(tail)] + tail
            name = wanted if wanted.casefold() not in names else None
        changes[target] = Place(name, spec)
    return changes


def _same(a: str, b: str) -> bool:
    return a.casefold() == b.casefold()
