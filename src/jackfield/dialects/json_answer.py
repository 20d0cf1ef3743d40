"""JSON that others wrote and that must be an object: whole answers, and the arguments that models give to tools.

Knows JSON and core errors only; no dialect's field names.
"""

import msgspec

from jackfield.core.errors import Malformed
from jackfield.dialects.json_value import Object

_decode = msgspec.json.Decoder().decode


def answer_object(data: bytes, provider: str) -> Object:
    """The object that an answer is. Raises Malformed."""
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the answer is not valid JSON: {error}", provider=provider or None) from None
    if not isinstance(value, dict):
        raise Malformed("the answer is no JSON object", provider=provider or None)
    return value


def arguments_object(text: str) -> Object | None:
    """The JSON object that a tool call's arguments are; {} for nothing, None for anything else."""
    if not text.strip():
        return {}
    try:
        value = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None
