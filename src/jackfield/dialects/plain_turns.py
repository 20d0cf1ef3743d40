"""The plain case of what all requests are made of: fields that are good JSON, turns that are a role and a text.

Nearly every turn is one. It needs no look at what else there may be, nor a place for an error to name: whatever is not so
plain is left to the dialect's own reading, which gives the same for what is.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.messages import Message, Role, TextPart
from jackfield.dialects.json_value import Object, field_value

_decode = msgspec.json.Decoder().decode


def field_values(fields: Mapping[str, msgspec.Raw]) -> Object:
    """The values of a request's fields. Raises BadRequest naming the first that is no JSON or nested too deeply."""
    try:
        return {name: _decode(raw) for name, raw in fields.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {name: field_value(name, raw) for name, raw in fields.items()}


def said_fields(fields: Mapping[str, msgspec.Raw]) -> Object:
    """`field_values` without nulls, which count as not said."""
    return {name: value for name, value in field_values(fields).items() if value is not None}


def plain_turn(item: Any, roles: tuple[Role, ...]) -> Message | None:
    """The message of a turn that holds one of `roles`, a text as its `content`, and nothing else; None for any other turn."""
    if type(item) is not dict or len(item) != 2:
        return None
    role, text = item.get("role"), item.get("content")
    return Message(role, (TextPart(text),)) if type(text) is str and role in roles else None
