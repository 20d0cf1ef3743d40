"""Reads what came in: bodies, slot numbers, query names. Says exactly which field is wrong, and which was meant.

Bodies are decoded here once, strictly: Litestar's own reading would turn "3" into 3 and lose the field's name.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from litestar import Request

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean
from jackfield.dialects.null_bytes import refuse_null_bytes

_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_PATH = re.compile(r" - at `(?:\$\.?)?(.*)`\Z")
_BYTE = re.compile(r"\(byte (\d+)\)")
_WHOLE_NUMBER = re.compile(r"-?[0-9]+\Z")
_DIGITS_MAX = 12

T = TypeVar("T")


class StrictRequest(Request[Any, Any, Any]):
    """A Litestar request whose JSON is decoded straight into the type that the route asks for."""

    async def json(self) -> Any:
        wanted = self.route_handler.parsed_data_field
        return decode_body(await self.body(), wanted.annotation if wanted else Any)


def decode_body(body: bytes, wanted: type[T]) -> T:
    """`body` as `wanted`. Raises BadRequest naming the field, with a did-you-mean for one that is not known."""
    refuse_null_bytes(body)
    try:
        decoded = msgspec.json.decode(body, type=wanted)
        msgspec.json.encode(decoded)  # lone surrogates decode but can be written nowhere
    except msgspec.ValidationError as error:
        raise _explained(str(error), _field_names(wanted)) from None
    except UnicodeError:
        raise BadRequest("the body holds text that is not valid Unicode: send UTF-8") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError as error:
        at = _BYTE.search(str(error))
        where = f" at byte {at[1]}" if at else ": it ends too early"
        raise BadRequest(f"the body is not valid JSON{where}") from None
    return decoded


def _explained(text: str, known: tuple[str, ...]) -> BadRequest:
    path = _PATH.search(text)
    param = path[1] if path and path[1] else None
    unknown = _UNKNOWN.match(text)
    if unknown:
        name = unknown[1]
        return BadRequest(f"unknown field {name!r}{did_you_mean(name, known)}: {_takes(known)}", param=name)
    missing = re.match(r"Object missing required field `([^`]*)`", text)
    if missing:
        return BadRequest(f"{missing[1]} is missing: {_takes(known)}", param=missing[1])
    what = _PATH.sub("", text)
    return BadRequest(f"{param or 'the body'}: {what[:1].lower()}{what[1:]}", param=param)


def _takes(known: tuple[str, ...]) -> str:
    return f"this call takes {', '.join(known)}"


def _field_names(wanted: Any) -> tuple[str, ...]:
    candidates = getattr(wanted, "__args__", (wanted,))
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate.__struct_fields__
    return ()


def slot_number(text: str) -> int:
    """The number in a path, whether a slot has it or not: the panel knows that. Raises BadRequest for what is no number."""
    if not _WHOLE_NUMBER.match(text):
        shown = text if len(text) <= 20 else f"{text[:20]}…"
        raise BadRequest(f"slot must be a whole number, got {shown!r}", param="slot")
    return int(text[:_DIGITS_MAX])


def refuse_unknown_query(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises BadRequest for a query name that the route does not take: a misspelt one must not be silently ignored."""
    takes = tuple(known)
    for name in given:
        if name not in takes:
            rest = f": this call takes {', '.join(takes)}" if takes else ": this call takes none"
            raise BadRequest(f"unknown query parameter {name!r}{did_you_mean(name, takes)}{rest}", param=name)
