"""Are the fields of a request of the right kinds? Told by the first byte of each, so that a body stays undecoded.

The turns of the conversation are read against a type, which is quick and keeps nothing. What is wrong deeper inside is found
where a request is translated, or named after its source has refused it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.gateway.fields import shown


class Kind(NamedTuple):
    """What a value may begin with, and its name for a person. null is let through: it says nothing."""

    begins: bytes
    word: str


TEXT = Kind(b'"', "a string")
NUMBER = Kind(b"-0123456789", "a number")
FLAG = Kind(b"tf", "true or false")
NUMBER_OR_FLAG = Kind(b"-0123456789tf", "a number")
LIST = Kind(b"[", "an array")
OBJECT = Kind(b"{", "an object")
TEXT_OR_LIST = Kind(b'"[', "a string or an array")
TEXT_OR_OBJECT = Kind(b'"{', "a string or an object")
_NULL = b"n"
_WORDS = {
    "str": "a string",
    "array": "an array",
    "object": "an object",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
}
_COMPLAINT = re.compile(r"Expected `([^`]*)`, got `([^`]*)`(?: - at `\$([^`]*)`)?")


class TextPart(msgspec.Struct):
    """What most dialects' parts of a turn have in common."""

    type: str | None = None
    text: str | None = None


class Turn(msgspec.Struct):
    """What most dialects' turns have in common."""

    role: str | None = None
    content: str | list[TextPart] | None = None


class Shape:
    """The kinds of a request's fields, and the type of each item in its field `turns`. Unknown fields may be anything."""

    __slots__ = ("_begins", "_kinds", "_read_turns", "_turns")

    def __init__(self, kinds: Mapping[str, Kind], turns: str, type_of_turn: Any = Turn) -> None:
        self._kinds = {turns: LIST, **kinds}
        self._begins = {name: kind.begins + _NULL for name, kind in self._kinds.items()}
        self._turns = turns
        self._read_turns = msgspec.json.Decoder(list[type_of_turn]).decode

    def check(self, fields: Mapping[str, msgspec.Raw]) -> None:
        """Raises BadRequest naming the field: temperature, messages[2].content, messages[2].content[0].text."""
        begins = self._begins
        for name, raw in fields.items():
            if name in begins and memoryview(raw)[0] not in begins[name]:
                raise BadRequest(f"{name} must be {self._kinds[name].word}, got {shown(raw)}", param=name)
        turns = fields.get(self._turns)
        if turns is not None and memoryview(turns)[0] in LIST.begins:
            self._check_turns(turns)

    def _check_turns(self, raw: msgspec.Raw) -> None:
        try:
            self._read_turns(raw)
        except msgspec.ValidationError as error:
            raise _explained(self._turns, str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"{self._turns} is not valid JSON: {error}", param=self._turns) from None
        except RecursionError:
            raise BadRequest(f"{self._turns} is nested too deeply", param=self._turns) from None


def _explained(field: str, complaint: str) -> BadRequest:
    found = _COMPLAINT.match(complaint)
    if found is None:
        return BadRequest(f"{field}: {complaint}", param=field)
    wanted = " or ".join(_WORDS.get(name, name) for name in found[1].split(" | ") if name != "null")
    at = field + (found[3] or "")
    return BadRequest(f"{at} must be {wanted}, got {_WORDS.get(found[2], found[2])}", param=at)
