"""Reads Bedrock's lists (foundation models, inference profiles) and token counts. Pure: bytes in, facts out."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import Malformed
from jackfield.core.profiles import ModelProfile


class _Model(msgspec.Struct):
    modelId: str  # noqa: N815 - AWS's names, here and below
    modelName: str | None = None  # noqa: N815
    providerName: str | None = None  # noqa: N815
    inputModalities: list[str] = []  # noqa: N815
    outputModalities: list[str] = []  # noqa: N815


class _Models(msgspec.Struct):
    modelSummaries: list[_Model]  # noqa: N815


class _ProfileModel(msgspec.Struct):
    modelArn: str = ""  # noqa: N815


class _Profile(msgspec.Struct):
    inferenceProfileId: str  # noqa: N815
    inferenceProfileName: str | None = None  # noqa: N815
    description: str | None = None
    models: list[_ProfileModel] = []


class _Profiles(msgspec.Struct):
    inferenceProfileSummaries: list[_Profile]  # noqa: N815
    nextToken: str | None = None  # noqa: N815


class _Count(msgspec.Struct):
    inputTokens: int  # noqa: N815


def decode_models(body: bytes, source: str) -> list[ModelProfile]:
    """The models that answer in text. Raises Malformed."""
    listed: _Models = _read(body, _Models, "model list")
    return [
        ModelProfile(
            model.modelId,
            name=model.modelName,
            description=model.providerName,
            vision="IMAGE" in model.inputModalities if model.inputModalities else None,
            source=source,
        )
        for model in listed.modelSummaries
        if "TEXT" in (model.outputModalities or ["TEXT"])
    ]


def decode_profiles(body: bytes, known: Mapping[str, ModelProfile], source: str) -> tuple[list[ModelProfile], str | None]:
    """One page of inference profiles, with what is `known` of the model behind each, and the token of the next page."""
    page: _Profiles = _read(body, _Profiles, "list of inference profiles")
    found = []
    for profile in page.inferenceProfileSummaries:
        arn = profile.models[0].modelArn if profile.models else ""
        behind = known.get(arn.rpartition("/")[2])
        found.append(
            ModelProfile(
                profile.inferenceProfileId,
                name=profile.inferenceProfileName,
                description=profile.description,
                vision=behind.vision if behind else None,
                source=source,
            )
        )
    return found, page.nextToken


def decode_count(body: bytes) -> int:
    """Raises Malformed."""
    counted: _Count = _read(body, _Count, "token count")
    return counted.inputTokens


def _read(body: bytes, kind: type[Any], what: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the {what} is not what it should be: {error}") from None
