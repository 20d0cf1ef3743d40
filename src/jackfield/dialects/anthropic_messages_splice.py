"""Messages requests that pass through: the client's own fields, of which only the model and the stream flag are replaced.

Values stay undecoded, so unknown fields and the spelling of numbers survive. Nothing is validated: the source judges.
"""

from collections.abc import Mapping

import msgspec

from jackfield.dialects.anthropic_messages_asked import GENERATION_NAMES, SETTINGS

_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")
_NULL = b"null"


def fill_in(fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
    """Puts a slot's settings, by their canonical names, into `fields` where the client said nothing about them.

    Those without a name in this dialect go under `SETTINGS`: `decode_request` finds them there, `splice_request` leaves them
    out, since sources of this dialect refuse fields that they do not know.
    """
    others: dict[str, msgspec.Raw] = {}
    for name, value in defaults.items():
        wire = GENERATION_NAMES.get(name)
        if wire is None:
            others[name] = value
        elif wire not in fields or bytes(fields[wire]) == _NULL:
            fields[wire] = value
    if others:
        fields[SETTINGS] = msgspec.Raw(_encode(others))


def splice_request(fields: Mapping[str, msgspec.Raw], *, model: str | None, stream: bool) -> bytes:
    """The body to send. `fields` is not changed; `model` None keeps the client's; a stream is asked for if `stream`."""
    sent = {**fields}
    sent.pop(SETTINGS, None)
    if model is not None:
        sent["model"] = msgspec.Raw(_encode(model))
    if stream:
        sent["stream"] = _TRUE
    return _encode(sent)
