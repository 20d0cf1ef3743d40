"""Cohere's calls beside chat: vectors, rankings, the list of models. Bodies only; pure.

Source: https://docs.cohere.com/v2/reference/embed, /rerank and /list-models (November 2026).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, Malformed
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import EmbedReply, EmbedRequest, RankedDocument, RerankReply, RerankRequest
from jackfield.core.usage import Usage
from jackfield.dialects.cohere_chat_usage import read_count, read_usage
from jackfield.dialects.json_value import Object
from jackfield.dialects.vectors import checked_vectors
from jackfield.providers.http_json import decoded

_encode = msgspec.json.Encoder().encode
EMBED_PATH = "v2/embed"
RERANK_PATH = "v2/rerank"
MODELS_PATH = "v1/models"
MAX_TEXTS = 96
"""How many texts one call takes."""
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")
_EMBED_FIELDS = ("input_type", "max_tokens", "priority", "truncate")
_RERANK_FIELDS = ("max_tokens_per_doc", "priority", "relevant_spans")


class _Vectors(msgspec.Struct):
    floats: list[list[float]] = msgspec.field(name="float")


class _Embedded(msgspec.Struct):
    embeddings: _Vectors
    meta: dict[str, Any] | None = None


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float


class _Ranking(msgspec.Struct):
    results: list[_Ranked]
    meta: dict[str, Any] | None = None


class _Model(msgspec.Struct):
    name: str
    context_length: float | None = None
    endpoints: list[str] | None = None
    features: list[str] | None = None
    is_deprecated: bool | None = None


class _Models(msgspec.Struct):
    models: list[_Model]
    next_page_token: str | None = None


def encode_embed(request: EmbedRequest, model: str, input_type: str) -> tuple[list[tuple[bytes, int]], list[str]]:
    """The body of each call that it takes with its number of texts, in the order of the inputs; a warning for what is left out.

    A text that is too long is refused by the source, not cut, unless `truncate` is given. Raises BadRequest.
    """
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        raise BadRequest("input must be text here: the source takes no lists of tokens", param="input")
    more: Object = {} if request.dimensions is None else {"output_dimension": request.dimensions}
    given, warnings = _known(request.extra, _EMBED_FIELDS)
    fields = {"model": model, "input_type": input_type, "truncate": "NONE", **given, "embedding_types": ["float"], **more}
    parts = [texts[at : at + MAX_TEXTS] for at in range(0, len(texts), MAX_TEXTS)]
    return [(_encode({**fields, "texts": part}), len(part)) for part in parts], warnings


def decode_embed(body: bytes, count: int, model: str) -> EmbedReply:
    """The vectors of one call. Raises Malformed for a wrong count, unequal lengths or no vectors at all."""
    reply = decoded(body, _Embedded, "the embeddings answer")
    return EmbedReply(checked_vectors(reply.embeddings.floats, count), model, read_usage(reply.meta) or Usage())


def joined(replies: Sequence[EmbedReply], model: str) -> EmbedReply:
    """The vectors of several calls, one after another."""
    vectors = [vector for reply in replies for vector in reply.vectors]
    return EmbedReply(checked_vectors(vectors, len(vectors)), model, sum((reply.usage for reply in replies), Usage()))


def encode_rerank(request: RerankRequest, model: str) -> tuple[bytes, list[str]]:
    """The body, and a warning for what it does not carry."""
    given, warnings = _known(request.extra, _RERANK_FIELDS)
    body: Object = {"model": model, "query": request.query, "documents": list(request.documents), **given}
    if request.top_n is not None:
        body["top_n"] = request.top_n
    return _encode(body), warnings


def decode_rerank(body: bytes, count: int, model: str) -> RerankReply:
    """The best first. Raises Malformed, also for a document that was never sent."""
    reply = decoded(body, _Ranking, "the ranking")
    if not all(0 <= result.index < count for result in reply.results):
        raise Malformed(f"{count} documents were sent, and the ranking names another one")
    best = sorted(reply.results, key=lambda result: -result.relevance_score)
    results = tuple(RankedDocument(result.index, result.relevance_score) for result in best)
    return RerankReply(results, model, read_usage(reply.meta) or Usage())


def decode_models(body: bytes, source: str) -> tuple[list[ModelProfile], str]:
    """Profiles in the source's order, and the token of the page after this one ("" for none). Raises Malformed."""
    page = decoded(body, _Models, "the model list")
    return [_profile(model, source) for model in page.models], page.next_page_token or ""


def _profile(model: _Model, source: str) -> ModelProfile:
    """Features name what is there: one that is not named stays unknown. Endpoints are all that there are."""
    features = {feature.removeprefix("supports_") for feature in model.features or ()}
    endpoints = model.endpoints
    return ModelProfile(
        model.name,
        description="deprecated" if model.is_deprecated else None,
        context_length=read_count(model.context_length) or None,
        vision=True if features & {"vision", "image_input"} else None,
        tools=True if features & {"tools", "tool_choice", "strict_tools"} else None,
        json_mode=True if features & {"json_mode", "json_schema"} else None,
        reasoning=True if features & {"reasoning", "thinking"} else None,
        embeddings=None if endpoints is None else "embed" in endpoints,
        source=source,
    )


def _known(extra: Object, names: Sequence[str]) -> tuple[Object, list[str]]:
    given = {name: value for name, value in extra.items() if name in names}
    return given, [f"{name}: left out, it is no parameter of this call" for name in extra if name not in names]
