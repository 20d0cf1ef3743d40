"""Gemini's calls beside generation: embeddings, counting tokens, listing models. Bodies only; pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, Malformed, NotSupported
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.core.usage import Usage
from jackfield.dialects.gemini_names import MODEL_PREFIX, bare_model, camel, spelled
from jackfield.dialects.json_value import (
    Object,
    field_value,
    missing,
    present,
    read_array,
    read_object,
    required_text,
    rest,
)
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


def decode_embed_request(fields: Mapping[str, msgspec.Raw], *, batch: bool) -> EmbedRequest:
    """An embedContent request, or a batchEmbedContents one, as it comes in at a door; `model` is the gateway's to resolve.

    Raises BadRequest with the place (requests[0].content.parts), NotSupported where the requests of a batch differ in more
    than their text.
    """
    given = {name: field_value(name, raw) for name, raw in fields.items()}
    if not batch:
        text, beside = _embed_item(given, "")
        return _embed_request([text], beside)
    items = read_array(given.get("requests"), "requests")
    if not items:
        raise BadRequest("requests must hold at least one request", param="requests")
    read = [_embed_item(read_object(item, f"requests[{at}]"), f"requests[{at}].") for at, item in enumerate(items)]
    for at, (_, beside) in enumerate(read):
        if beside != read[0][1]:
            raise NotSupported(f"requests[{at}] asks for another kind of vector than requests[0]", param=f"requests[{at}]")
    return _embed_request([text for text, _ in read], read[0][1])


def _embed_item(item: Object, at: str) -> tuple[str, Object]:
    """The text, and what is said about its vector."""
    told = camel(item)
    content = told.get("content")
    if content is None:
        raise missing(f"{at}content")
    parts = read_array(spelled(content, f"{at}content").get("parts"), f"{at}content.parts")
    texts = [
        required_text(read_object(part, f"{at}content.parts[{place}]"), "text", f"{at}content.parts[{place}]")
        for place, part in enumerate(parts)
    ]
    beside = {**camel(read_object(told.get("embedContentConfig") or {}, f"{at}embedContentConfig")), **told}
    return "".join(texts), present(rest(beside, ("content", "model", "embedContentConfig")))


def _embed_request(texts: list[str], beside: Object) -> EmbedRequest:
    size = beside.pop("outputDimensionality", None)
    if size is not None and (type(size) is not int or size < 1):
        raise BadRequest(f"outputDimensionality must be a whole number above 0, got {size!r}", param="outputDimensionality")
    return EmbedRequest(tuple(texts), None, size, beside)


def encode_embed_reply(reply: EmbedReply, *, batch: bool) -> bytes:
    """What is answered to embedContent, or to batchEmbedContents."""
    found = [{"values": vector} for vector in reply.vectors]
    body: Object = {"embeddings": found} if batch else {"embedding": found[0]}
    if reply.usage.prompt_tokens:
        body["usageMetadata"] = {"promptTokenCount": reply.usage.prompt_tokens}
    return _encode(body)


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
