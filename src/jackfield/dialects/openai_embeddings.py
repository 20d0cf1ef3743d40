"""OpenAI's embeddings as a client sends and reads them: texts or tokens in, numbers or base64 out. Pure."""

import base64
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.dialects.json_value import field_value, missing, wrong_type

PATH = "embeddings"
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "provider"})
FORMATS = ("float", "base64")


def decode_embed_request(fields: Mapping[str, msgspec.Raw]) -> EmbedRequest:
    """`model` is left out: that is the gateway's to resolve. Raises BadRequest naming the field."""
    given = {name: field_value(name, raw) for name, raw in fields.items() if name != "model"}
    dimensions = given.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise BadRequest(f"dimensions must be a whole number above 0, got {dimensions!r}", param="dimensions")
    extra = {name: value for name, value in given.items() if name not in _KNOWN}
    return EmbedRequest(inputs_of(given.get("input"), "input"), None, dimensions, extra)


def wants_base64(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Raises BadRequest for an unknown `encoding_format`."""
    raw = fields.get("encoding_format")
    asked = None if raw is None else field_value("encoding_format", raw)
    if asked is not None and asked not in FORMATS:
        raise BadRequest(f"encoding_format must be one of {', '.join(FORMATS)}, got {asked!r}", param="encoding_format")
    return asked == "base64"


def inputs_of(value: Any, at: str) -> tuple[str | tuple[int, ...], ...]:
    """A text, texts, tokens, or lists of tokens, as a tuple of inputs. Raises BadRequest."""
    if value is None:
        raise missing(at)
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong_type(at, "a text, a list of texts, or tokens", value)
    if not value:
        raise BadRequest(f"{at} is empty: give at least one text", param=at)
    if all(type(item) is int for item in value):
        return (tuple(value),)
    return tuple(_input(item, f"{at}[{place}]") for place, item in enumerate(value))


def _input(item: Any, at: str) -> str | tuple[int, ...]:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and all(type(token) is int for token in item):
        return tuple(item)
    raise wrong_type(at, "a text or a list of tokens", item)


def encode_embed_reply(reply: EmbedReply, *, as_base64: bool) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if as_base64 else vector}
        for index, vector in enumerate(reply.vectors)
    ]
    tokens = reply.usage.prompt_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": reply.model, "usage": usage})


def _packed(vector: tuple[float, ...]) -> str:
    """Little-endian 32-bit floats, as OpenAI sends them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
