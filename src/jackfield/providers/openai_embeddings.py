"""The OpenAI embeddings call: request to bytes, bytes to vectors. Pure; the chat dialect is in dialects/openai_chat.py."""

import base64
import binascii
import struct
from typing import Any

import msgspec

from jackfield.core.errors import Malformed
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.core.usage import Usage
from jackfield.dialects.vectors import checked_vectors

PATH = "embeddings"


class _Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Reply(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: _Usage | None = None


def encode_embed(request: EmbedRequest, model: str) -> bytes:
    body: dict[str, Any] = {**request.extra, "model": model, "input": request.inputs, "encoding_format": "float"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return msgspec.json.encode(body)


def decode_embed(body: bytes, request: EmbedRequest, model: str) -> EmbedReply:
    """Vectors in the order of the inputs. Raises Malformed for a wrong count, unequal lengths or no vectors at all."""
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Malformed(f"the embeddings answer is not what it should be: {error}") from None
    ordered = sorted(reply.data, key=lambda item: item.index)
    vectors = checked_vectors([_floats(item.embedding) for item in ordered], len(request.inputs))
    used = reply.usage or _Usage()
    return EmbedReply(vectors, reply.model or model, Usage(prompt_tokens=used.prompt_tokens or used.total_tokens or 0))


def _floats(value: list[float] | str) -> tuple[float, ...]:
    if isinstance(value, list):
        return tuple(value)
    try:
        packed = base64.b64decode(value, validate=True)
        return struct.unpack(f"<{len(packed) // 4}f", packed)
    except (binascii.Error, struct.error) as error:
        raise Malformed(f"a vector is neither numbers nor base64 of 32-bit floats: {error}") from None
