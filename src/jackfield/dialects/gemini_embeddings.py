"""Gemini's calls beside generation: embeddings, counting tokens, listing models. Bodies only; pure."""

from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, Malformed
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.core.usage import Usage
from jackfield.dialects.gemini_names import MODEL_PREFIX, bare_model
from jackfield.dialects.json_value import Object
from jackfield.dialects.vectors import checked_vectors

_encode = msgspec.json.Encoder().encode
_CHAT = "generateContent"
_EMBED = ("embedContent", "batchEmbedContents", "asyncBatchEmbedContent")


class _Values(msgspec.Struct):
    values: list[float]


class _Batch(msgspec.Struct):
    embeddings: list[_Values]
    usageMetadata: dict[str, Any] | None = None  # noqa: N815 - Google's name


class _Predicted(msgspec.Struct):
    values: list[float]
    statistics: dict[str, Any] = {}


class _Prediction(msgspec.Struct):
    embeddings: _Predicted


class _Predictions(msgspec.Struct):
    predictions: list[_Prediction]


class _Count(msgspec.Struct):
    totalTokens: int  # noqa: N815


class _Model(msgspec.Struct):
    name: str
    displayName: str | None = None  # noqa: N815
    description: str | None = None
    inputTokenLimit: int | None = None  # noqa: N815
    outputTokenLimit: int | None = None  # noqa: N815
    supportedGenerationMethods: list[str] | None = None  # noqa: N815
    thinking: bool | None = None


class _Models(msgspec.Struct):
    models: list[_Model] = []
    publisherModels: list[_Model] = []  # noqa: N815
    nextPageToken: str = ""  # noqa: N815


def texts_of(request: EmbedRequest) -> list[str]:
    """Raises BadRequest for token lists: this dialect takes texts only."""
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        raise BadRequest("input must be text here: the source takes no lists of tokens", param="input")
    return texts


def encode_embed(request: EmbedRequest, model: str) -> bytes:
    """A batchEmbedContents body. `extra` goes into each request (taskType, title)."""
    more: Object = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    items = [
        {"model": f"{MODEL_PREFIX}{model}", "content": {"parts": [{"text": text}]}, **more, **request.extra}
        for text in texts_of(request)
    ]
    return _encode({"requests": items})


def decode_embed(body: bytes, count: int, model: str) -> EmbedReply:
    """Vectors in the order of the inputs. Raises Malformed for a wrong count, unequal lengths or no vectors at all."""
    reply = _read(body, _Batch, "embeddings")
    used = (reply.usageMetadata or {}).get("promptTokenCount")
    tokens = used if isinstance(used, int) else 0
    return EmbedReply(checked_vectors([item.values for item in reply.embeddings], count), model, Usage(prompt_tokens=tokens))


def encode_predict(request: EmbedRequest) -> bytes:
    """Vertex's form of the same: a `predict` body."""
    parameters: Object = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    names = {"taskType": "task_type", "title": "title"}
    beside = {names[name]: value for name, value in request.extra.items() if name in names}
    parameters |= {name: value for name, value in request.extra.items() if name not in names}
    instances = [{"content": text, **beside} for text in texts_of(request)]
    return _encode({"instances": instances} | ({"parameters": parameters} if parameters else {}))


def decode_predict(body: bytes, count: int, model: str) -> EmbedReply:
    """Raises Malformed as `decode_embed` does."""
    found = [item.embeddings for item in _read(body, _Predictions, "embeddings").predictions]
    counted = [item.statistics.get("token_count") for item in found]
    tokens = sum(int(number) for number in counted if isinstance(number, int | float))
    return EmbedReply(checked_vectors([item.values for item in found], count), model, Usage(prompt_tokens=tokens))


def encode_count(body: bytes, model: str) -> bytes:
    """A countTokens body for what `encode_request` gave: instructions and tools are counted too."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return _encode({"generateContentRequest": {"model": f"{MODEL_PREFIX}{model}", **fields}})


def decode_count(body: bytes) -> int:
    """Raises Malformed."""
    counted: _Count = _read(body, _Count, "token count")
    return counted.totalTokens


def decode_models(body: bytes, source: str) -> tuple[list[ModelProfile], str]:
    """One page of models, and the token of the next ("" for none). Models that neither answer nor embed are left out.

    Raises Malformed.
    """
    page = _read(body, _Models, "model list")
    entries = [*page.models, *page.publisherModels]
    return [_profile(entry, source) for entry in entries if _is_of_use(entry.supportedGenerationMethods)], page.nextPageToken


def _is_of_use(methods: list[str] | None) -> bool:
    return methods is None or _CHAT in methods or any(name in methods for name in _EMBED)


def _profile(entry: _Model, source: str) -> ModelProfile:
    methods = entry.supportedGenerationMethods
    return ModelProfile(
        bare_model(entry.name.rpartition("publishers/google/")[2]),
        name=entry.displayName,
        description=entry.description,
        context_length=entry.inputTokenLimit,
        max_output_tokens=entry.outputTokenLimit,
        reasoning=entry.thinking,
        embeddings=None if methods is None else any(name in methods for name in _EMBED),
        source=source,
    )


def _read(body: bytes, kind: type[Any], what: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the {what} is not what it should be: {error}") from None
