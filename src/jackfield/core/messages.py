"""Messages and their parts, in no vendor's wire format.

Every struct carries `extra`: fields that a dialect met and has no name for, kept so that nothing is lost on the way back out.
Binary content is base64 text exactly as it came; nothing here decodes it.
"""

from typing import Any, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant", "tool"]
Extra = dict[str, Any]


class TextPart(msgspec.Struct, frozen=True, tag="text", omit_defaults=True):
    text: str
    extra: Extra = msgspec.field(default_factory=dict)


class RefusalPart(msgspec.Struct, frozen=True, tag="refusal", omit_defaults=True):
    """The model's own words for why it will not answer."""

    text: str
    extra: Extra = msgspec.field(default_factory=dict)


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning", omit_defaults=True):
    """What the model thought. `signature` is opaque to us and must survive a round trip byte for byte."""

    text: str
    signature: str | None = None
    redacted: bool = False
    extra: Extra = msgspec.field(default_factory=dict)


class ToolCallPart(msgspec.Struct, frozen=True, tag="tool_call", omit_defaults=True):
    """The model asks for a tool. `arguments` is JSON text as the model wrote it, perhaps invalid."""

    id: str
    name: str
    arguments: str
    extra: Extra = msgspec.field(default_factory=dict)


class ImagePart(msgspec.Struct, frozen=True, tag="image", omit_defaults=True):
    """An image by `url`, or inline as base64 `data` with its `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class AudioPart(msgspec.Struct, frozen=True, tag="audio", omit_defaults=True):
    """Sound as base64 `data` in `format` ("wav", "mp3"), or by `id` for an earlier answer's audio."""

    data: str | None = None
    format: str | None = None
    id: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class FilePart(msgspec.Struct, frozen=True, tag="file", omit_defaults=True):
    """A document by provider `file_id`, or inline as base64 or data-URL `data` with a `filename`."""

    file_id: str | None = None
    data: str | None = None
    filename: str | None = None
    media_type: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)


ContentPart = TextPart | RefusalPart | ReasoningPart | ImagePart | AudioPart | FilePart


class ToolResultPart(msgspec.Struct, frozen=True, tag="tool_result", omit_defaults=True):
    """What a tool gave back for the call `call_id`."""

    call_id: str
    content: tuple[ContentPart, ...]
    name: str | None = None
    is_error: bool = False
    extra: Extra = msgspec.field(default_factory=dict)


Part = TextPart | RefusalPart | ReasoningPart | ToolCallPart | ToolResultPart | ImagePart | AudioPart | FilePart


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. Two messages with equal content are equal: ids belong to storage."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    extra: Extra = msgspec.field(default_factory=dict)

    @property
    def text(self) -> str:
        """All text parts joined; reasoning, refusals and tool traffic left out."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))


def text_message(role: Role, text: str) -> Message:
    """A message of one text part."""
    return Message(role, (TextPart(text),))


def format_messages(prompt: str, system_prompt: str | None = None) -> tuple[Message, ...]:
    """The usual opening: an optional system message, then the user's prompt."""
    user = text_message("user", prompt)
    return (text_message("system", system_prompt), user) if system_prompt else (user,)
