"""Messages requests that pass through: the client's own fields, of which only the model and the stream flag are replaced.

Values stay undecoded, so unknown fields and the spelling of numbers survive. Nothing is validated: the source judges.
"""

from collections.abc import Mapping

import msgspec

_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")


def splice_request(fields: Mapping[str, msgspec.Raw], *, model: str | None, stream: bool) -> bytes:
    """The body to send. `fields` is not changed; `model` None keeps the client's; a stream is asked for if `stream`."""
    sent = {**fields}
    if model is not None:
        sent["model"] = msgspec.Raw(_encode(model))
    if stream:
        sent["stream"] = _TRUE
    return _encode(sent)
