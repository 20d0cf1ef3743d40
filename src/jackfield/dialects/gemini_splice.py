"""Gemini requests that pass through: the client's own fields, of which nothing but what is not Google's is taken out.

The model and the way to stream are in the address. Values stay undecoded: unknown fields and the spelling of numbers survive.
"""

from collections.abc import Mapping

import msgspec

from jackfield.core.requests import Generation
from jackfield.dialects.gemini_names import camel
from jackfield.dialects.gemini_request import BESIDE, GENERATION_NAMES, SETTINGS

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_CONFIG = ("generationConfig", "generation_config")

Fields = Mapping[str, msgspec.Raw]


def splice_request(fields: Fields, *, model: str | None = None, stream: bool = False) -> bytes:
    """The body to send. `model` and `stream` change nothing here: the address tells them."""
    return _encode({name: value for name, value in fields.items() if name not in BESIDE})


def method(*, stream: bool) -> str:
    """What is called on the model: a stream comes as events rather than as an array."""
    return "streamGenerateContent?alt=sse" if stream else "generateContent"


def fill_in(fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
    """Puts a slot's settings, by their canonical names, into `fields` where the client said nothing about them.

    Of those without a name in `generationConfig` the generation settings go under `SETTINGS`: `decode_request` finds them
    there, `splice_request` leaves them out, since Google refuses fields that it does not know. Others go to the top if the
    client said nothing there. A `generationConfig` that is no object is left for the source to refuse.
    """
    at = next((name for name in _CONFIG if name in fields), _CONFIG[0])
    try:
        config = _decode_fields(fields[at]) if at in fields else {}
    except msgspec.MsgspecError:
        return
    said = {name for name, raw in camel(config).items() if bytes(raw) != b"null"}
    added = {wire: defaults[core] for core, wire in GENERATION_NAMES.items() if core in defaults and wire not in said}
    if added:
        fields[at] = msgspec.Raw(_encode({**config, **added}))
    others: dict[str, msgspec.Raw] = {}
    for name, value in defaults.items():
        if name in Generation.__struct_fields__ and name not in GENERATION_NAMES:
            others[name] = value
        elif name not in GENERATION_NAMES and name not in fields:
            fields[name] = value
    if others:
        fields[SETTINGS] = msgspec.Raw(_encode(others))
