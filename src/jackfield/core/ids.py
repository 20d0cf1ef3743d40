"""Identifiers, parsed once at the door and passed typed from there on.

This file knows how the names that people write look; it does not know what they point to (gateway/steps/resolve.py does).
"""

import re
from typing import NewType, Self

import msgspec

from jackfield.core.errors import BadRequest, SlotOutOfRange

RequestId = NewType("RequestId", str)
ProviderId = NewType("ProviderId", str)

MAX_SLOTS = 1024
_SLOT = re.compile(r"slot-(-?)([0-9]+)\Z", re.IGNORECASE)
_MAX_DIGITS = 9
_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


class SlotNumber(int):
    """A position on the panel, 0 to `MAX_SLOTS` - 1. Negative numbers never wrap around."""

    def __new__(cls, value: int) -> Self:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadRequest(f"slot must be a whole number, got {value!r}", param="slot")
        if not 0 <= value < MAX_SLOTS:
            raise SlotOutOfRange(f"slot {value} is out of range: slots run from 0 to {MAX_SLOTS - 1}", param="slot")
        return super().__new__(cls, value)

    @property
    def model_name(self) -> str:
        """How this slot is addressed as a model: `slot-3`."""
        return f"slot-{int(self)}"


class ModelRef(msgspec.Struct, frozen=True):
    """What a client wrote in `model`, taken apart once.

    `slot` is set for `slot-N`. For `provider/model`, `head` and `tail` are its halves around the first slash; since model
    names hold slashes too (`org/name`), which reading applies is decided where the panel is known. `text` is always whole.
    """

    text: str
    slot: SlotNumber | None = None
    head: str | None = None
    tail: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Raises BadRequest for an empty name and SlotOutOfRange for `slot--1` or `slot-99999`."""
        cleaned = text.strip()
        if not cleaned:
            raise BadRequest("model must not be empty: name a slot (slot-0), a slot's name or provider/model", param="model")
        match = _SLOT.match(cleaned)
        if match:
            # Python refuses to read thousands of digits; past the first few, the others cannot bring a number back in range.
            digits = match[2].lstrip("0")[:_MAX_DIGITS] or "0"
            return cls(cleaned, slot=SlotNumber(int(match[1] + digits)))
        head, slash, tail = cleaned.partition("/")
        if slash and head and tail:
            return cls(cleaned, head=head, tail=tail)
        return cls(cleaned)


def parse_provider_id(text: str) -> ProviderId:
    """A provider's id in its one spelling: lower case, letters, digits, dot, dash, underscore. Raises BadRequest."""
    cleaned = text.strip().lower()
    if not _PROVIDER_ID.match(cleaned):
        raise BadRequest(
            f"{text!r} is not a provider id: use lower-case letters, digits, '.', '-' and '_', 64 at most",
            param="provider",
        )
    return ProviderId(cleaned)
