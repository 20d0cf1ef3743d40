"""Refuses, before any socket is opened, a request that cannot be served: too long, or an image for who cannot see.

Works on facts alone. Only a known "no" refuses: an unknown limit or ability lets the request through to the source.
"""

from jackfield.core.errors import ContextOverflow, NotSupported
from jackfield.core.messages import ImagePart, Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest

BYTES_PER_TOKEN = 5
"""Deliberately high (English prose has about 4.5): a prompt that might fit is not refused here, but by its source."""


def check_fit(request: ChatRequest, model: str, provider: str, capabilities: Capabilities, facts: ModelProfile | None) -> None:
    """Raises ContextOverflow or NotSupported, naming the provider and the model."""
    window = (facts.context_length if facts else None) or capabilities.max_context
    if window is not None:
        prompt = estimate_tokens(request)
        answer = request.generation.max_tokens or 0
        if prompt + answer > window:
            raise ContextOverflow(
                f"{model} holds {window} tokens, but this needs about {prompt} for the prompt and {answer} for the answer",
                provider=provider,
                param="max_tokens" if prompt <= window else "messages",
            )
    if not sees_images(capabilities, facts) and any(_has_image(message.parts) for message in request.messages):
        raise NotSupported(f"{model} takes no images: send text only", provider=provider, param="messages")


def sees_images(capabilities: Capabilities, facts: ModelProfile | None) -> bool:
    """May images be sent? What is known of the model counts before what is known of the provider."""
    if facts is not None and facts.vision is not None:
        return facts.vision
    return capabilities.images and capabilities.vision is not False


def estimate_tokens(request: ChatRequest) -> int:
    """At least how many tokens the prompt's text has; images and tool descriptions are not counted."""
    return sum(_size_bytes(message) for message in request.messages) // BYTES_PER_TOKEN


def _size_bytes(message: Message) -> int:
    return sum(_part_bytes(part) for part in message.parts)


def _part_bytes(part: Part) -> int:
    match part:
        case TextPart() | RefusalPart() | ReasoningPart():
            return len(part.text.encode(errors="replace"))
        case ToolCallPart():
            return len(part.arguments.encode(errors="replace"))
        case ToolResultPart():
            return sum(_part_bytes(inner) for inner in part.content)
        case _:
            return 0


def _has_image(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, ImagePart) or (isinstance(part, ToolResultPart) and _has_image(part.content)) for part in parts)
