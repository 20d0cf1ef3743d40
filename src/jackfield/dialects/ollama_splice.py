"""Ollama requests that pass through: the client's own fields, of which only the model and whether to stream are set.

Values stay undecoded: unknown fields and the spelling of numbers survive. Knows too which requests ask for no answer, but that
a model be loaded or unloaded.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from jackfield.dialects.json_value import field_value
from jackfield.dialects.ollama_options import OPTION_NAMES, TOP_NAMES
from jackfield.dialects.ollama_reply import written_time
from jackfield.dialects.ollama_request import Form

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = (b"", b"null", b'""', b"[]")
_GONE = re.compile(rb'("?)-?0+(\.0*)?\1|"-?0+(\.0*)?(ns|us|ms|s|m|h)"')
"""No time at all, as a number of seconds or as a text with a unit."""

Fields = Mapping[str, msgspec.Raw]
LoadWish = Literal["load", "unload"]


def splice_request(fields: Fields, *, model: str | None = None, stream: bool | None = None) -> bytes:
    """The body to send. None leaves the model, or the word about a stream, as the client wrote it."""
    changed: dict[str, object] = dict(fields)
    if model is not None:
        changed["model"] = model
    if stream is not None:
        changed["stream"] = stream
    return _encode(changed)


def wants_stream(fields: Fields) -> bool:
    """Whether a stream is asked for: without a word about it, it is."""
    return bytes(fields.get("stream", b"")).strip() != b"false"


def load_wish(fields: Fields) -> LoadWish | None:
    """What a request without a prompt asks for: the model is loaded, or with `keep_alive` 0 unloaded. None for a question."""
    asked = (bytes(fields.get(name, b"")).strip() for name in ("messages", "prompt", "images", "input"))
    if any(said not in _NOTHING for said in asked):
        return None
    return "unload" if _GONE.fullmatch(bytes(fields.get("keep_alive", b"")).strip()) else "load"


def encode_loaded(wish: LoadWish, *, model: str, created: int, form: Form = "chat") -> bytes:
    """The answer to such a request."""
    said = {"message": {"role": "assistant", "content": ""}} if form == "chat" else {"response": ""}
    return _encode({"model": model, "created_at": written_time(created), **said, "done": True, "done_reason": wish})


def fill_in(fields: dict[str, msgspec.Raw], defaults: Mapping[str, msgspec.Raw]) -> None:
    """Puts a slot's settings, by their canonical names, into `fields` where the client said nothing about them.

    `options` that are no object are left for the source to refuse. Settings that are no options stand beside them.
    """
    raw = bytes(fields.get("options", b"")).strip()
    try:
        options = _decode_fields(raw) if raw not in _NOTHING else {}
    except msgspec.MsgspecError:
        return
    said = {name for name, value in options.items() if bytes(value) != b"null"}
    added = {wire: defaults[core] for core, wire in OPTION_NAMES.items() if core in defaults and wire not in said}
    if added:
        fields["options"] = msgspec.Raw(_encode({**options, **added}))
    for name, value in defaults.items():
        wire = "think" if name == "reasoning_effort" else TOP_NAMES.get(name, name)
        if name not in OPTION_NAMES and bytes(fields.get(wire, b"null")) == b"null":
            fields[wire] = _effort(value) if wire == "think" else value


def _effort(value: msgspec.Raw) -> msgspec.Raw:
    """An effort as `think` takes it: none is false."""
    return msgspec.Raw(b"false") if field_value("reasoning_effort", value) == "none" else value
