"""Embeddings in Ollama's words, both ways: /api/embed, and /api/embeddings, which it keeps for old clients."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from jackfield.core.errors import BadRequest, Malformed
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.core.usage import Usage
from jackfield.dialects.json_value import field_value, missing, read_text, wrong_type
from jackfield.dialects.ollama_usage import read_usage

_encode = msgspec.json.Encoder().encode
PATH = "api/embed"
OLD_PATH = "api/embeddings"
_OWN_FIELDS = ("truncate", "keep_alive", "options")
Form = Literal["embed", "embeddings"]


class _Vectors(msgspec.Struct):
    embeddings: tuple[tuple[float, ...], ...] = ()
    embedding: tuple[float, ...] | None = None
    model: str = ""
    prompt_eval_count: Any = None


_decode = msgspec.json.Decoder(_Vectors).decode


def encode_embed(request: EmbedRequest, model: str) -> tuple[bytes, list[str]]:
    """The body for `PATH`, and a warning for every field that it does not carry. Raises BadRequest for tokens."""
    if not all(isinstance(text, str) for text in request.inputs):
        raise BadRequest("it takes texts, not tokens", param="input")
    body: dict[str, Any] = {"model": model, "input": list(request.inputs)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    body |= {name: request.extra[name] for name in _OWN_FIELDS if name in request.extra}
    lost = [name for name in request.extra if name not in _OWN_FIELDS]
    return _encode(body), [f"{name}: left out, it is no parameter of this dialect" for name in lost]


def decode_embed(body: bytes, count: int, model: str) -> EmbedReply:
    """`count` vectors of one length. Raises Malformed."""
    try:
        read = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"the embeddings cannot be read: {error}") from None
    vectors = read.embeddings or ((read.embedding,) if read.embedding else ())
    if len(vectors) != count or len({len(vector) for vector in vectors}) > 1:
        raise Malformed(f"it gave {len(vectors)} vectors for {count} texts, or of different lengths")
    return EmbedReply(vectors, read.model or model, read_usage({"prompt_eval_count": read.prompt_eval_count}) or Usage())


def decode_embed_request(fields: Mapping[str, msgspec.Raw], *, form: Form = "embed") -> EmbedRequest:
    """A client's request. Raises BadRequest naming the field."""
    values = {name: value for name, raw in fields.items() if (value := field_value(name, raw)) is not None}
    name = "input" if form == "embed" else "prompt"
    given = values.pop(name, None)
    if given is None:
        raise missing(name)
    if not isinstance(given, str | list):
        raise wrong_type(name, "a string or an array of strings", given)
    texts = [given] if isinstance(given, str) else given
    model, dimensions = values.pop("model", None), values.pop("dimensions", None)
    if dimensions is not None and (not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1):
        raise BadRequest("dimensions must be a whole number of 1 or more", param="dimensions")
    return EmbedRequest(
        tuple(read_text(text, f"{name}[{index}]") for index, text in enumerate(texts)),
        None if model is None else read_text(model, "model"),
        dimensions,
        values,
    )


def encode_embed_reply(reply: EmbedReply, *, form: Form = "embed") -> bytes:
    """The body of an answer; the old call gives one vector."""
    if form == "embeddings":
        return _encode({"embedding": reply.vectors[0] if reply.vectors else ()})
    return _encode({"model": reply.model, "embeddings": reply.vectors, "prompt_eval_count": reply.usage.prompt_tokens})
