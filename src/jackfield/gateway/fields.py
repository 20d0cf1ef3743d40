"""What every door reads of a body before it is decoded: the model's name, and whether a stream is wanted."""

from collections.abc import Mapping

import msgspec

from jackfield.core.errors import BadRequest

_text = msgspec.json.Decoder(str).decode
_TRUE, _FALSE, _NULL = b"true", b"false", b"null"
MODEL_MAX_BYTES = 2048


def model_of(fields: Mapping[str, msgspec.Raw]) -> str:
    """The name in `model`. Raises BadRequest."""
    raw = fields.get("model")
    if raw is None:
        raise BadRequest("model is missing: name a slot (slot-0), a slot's name, or provider/model", param="model")
    if len(memoryview(raw)) > MODEL_MAX_BYTES:
        raise BadRequest(f"model is longer than {MODEL_MAX_BYTES} bytes: that is no name", param="model")
    try:
        return _text(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"model must be a string, got {shown(raw)}", param="model") from None


def flag_of(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    """A field that is true, false, null or not there. Raises BadRequest."""
    raw = fields.get(name)
    if raw is None:
        return False
    value = bytes(raw)
    if value == _TRUE:
        return True
    if value in (_FALSE, _NULL):
        return False
    raise BadRequest(f"{name} must be true or false, got {shown(raw)}", param=name)


def shown(raw: msgspec.Raw) -> str:
    """The beginning of a value, for a message."""
    return bytes(memoryview(raw)[:40]).decode(errors="replace")
