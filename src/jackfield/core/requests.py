"""What a client asks for, validated and free of any wire format.

`None` means "not said": a provider's own default applies. `extra` keeps the fields that the door's dialect does not name.
"""

from typing import Any, Literal

import msgspec

from jackfield.core.messages import Message
from jackfield.core.usage import Usage

Extra = dict[str, Any]


class Generation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to generate: canonical names (core/parameters.py knows the synonyms). Token counts, never characters."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    context_length: int | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call. `parameters` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """`mode` is auto, none, required, or named with the tool's `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """The form of the answer's text. `schema` only with kind "json_schema"."""

    kind: Literal["text", "json", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    strict: bool | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class ChatRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chat turn to be answered. `model` is the provider's own model name, None for its default.

    `warnings`: what of the client's request is not in it, and why. `restated` names fields of `extra` whose meaning is in the
    other fields too, so that nothing is lost where they have no place.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    generation: Generation = Generation()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    restated: tuple[str, ...] = ()


class EmbedRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Texts (or token lists) to turn into vectors of floats."""

    inputs: tuple[str | tuple[int, ...], ...]
    model: str | None = None
    dimensions: int | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class EmbedReply(msgspec.Struct, frozen=True):
    """`vectors[i]` belongs to `inputs[i]`; all have one length."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage = Usage()


class RerankRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    query: str
    documents: tuple[str, ...]
    model: str | None = None
    top_n: int | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class RankedDocument(msgspec.Struct, frozen=True):
    """`index` is the document's place in the request; a higher `score` is a better match."""

    index: int
    score: float


class RerankReply(msgspec.Struct, frozen=True):
    results: tuple[RankedDocument, ...]
    model: str
    usage: Usage = Usage()


class ModerateRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    inputs: tuple[str, ...]
    model: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class Moderation(msgspec.Struct, frozen=True):
    """`scores` are 0 to 1 by category."""

    flagged: bool
    categories: dict[str, bool]
    scores: dict[str, float]


class ModerateReply(msgspec.Struct, frozen=True):
    results: tuple[Moderation, ...]
    model: str


class ImageRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Draw `count` images of `size` ("1024x1024")."""

    prompt: str
    model: str | None = None
    count: int = 1
    size: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class Upload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file on its way out. `media_type` None: told by the name's ending."""

    filename: str
    content: bytes
    media_type: str | None = None


class ImageEditRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Change `images` as the prompt says, within the transparent part of `mask` if there is one."""

    prompt: str
    images: tuple[Upload, ...]
    mask: Upload | None = None
    model: str | None = None
    count: int = 1
    size: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class DrawnImage(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str | None = None
    data: str | None = None
    revised_prompt: str | None = None


class ImageReply(msgspec.Struct, frozen=True):
    images: tuple[DrawnImage, ...]
    usage: Usage = Usage()


class TranscribeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    audio: bytes
    filename: str
    model: str | None = None
    language: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class TranscribeReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """`extra` is what else the source told, in OpenAI's names: `segments` and `words` with their times, `usage`."""

    text: str
    language: str | None = None
    duration_s: float | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class SpeakRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    text: str
    voice: str | None = None
    model: str | None = None
    format: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class SpeakReply(msgspec.Struct, frozen=True):
    audio: bytes
    media_type: str


class StoredFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that a source keeps. `created` is Unix seconds."""

    id: str
    filename: str
    size_bytes: int = 0
    purpose: str = ""
    created: int = 0
    extra: Extra = msgspec.field(default_factory=dict)
