"""From a chat request to what a chat template takes: turns of plain text, and the same as one text where there is none.

Pure. What is no text is refused, and what cannot be set is told.
"""

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import Message, ReasoningPart, RefusalPart, TextPart
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.command_line import transcript

_NOT_PASSED_ON = ("logprobs", "top_logprobs", "parallel_tool_calls", "reasoning_effort", "context_length")


class Question(msgspec.Struct, frozen=True):
    """A prompt and how to answer it. `turns` have `role` and `content`; with `goes_on` the last one is left open.

    `plain` is the same prompt for a model without a chat template.
    """

    turns: tuple[dict[str, str], ...]
    plain: str
    generation: Generation = Generation()
    goes_on: bool = False


def question_of(request: ChatRequest, generation: Generation, provider: str) -> Question:
    """Raises NotSupported for what is no text, BadRequest for a request that holds none."""
    _refuse_what_is_not_text(request, provider)
    turns = tuple(map(_turn, request.messages))
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    spoken = [message for message in request.messages if message.role in ("user", "assistant")]
    plain = "\n\n".join([*system, transcript(spoken)])
    return Question(turns, plain, generation, goes_on=turns[-1]["role"] == "assistant")


def not_passed_on(generation: Generation) -> list[str]:
    """Warnings for what was asked and cannot be set."""
    said = [name for name in _NOT_PASSED_ON if getattr(generation, name) is not None]
    return [f"{name} is left out: it cannot be set for this engine" for name in said]


def _turn(message: Message) -> dict[str, str]:
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart | RefusalPart))
    return {"role": "system" if message.role == "developer" else message.role, "content": text}


def _refuse_what_is_not_text(request: ChatRequest, provider: str) -> None:
    if request.tools:
        raise NotSupported("tools cannot be given to it: leave them out", provider=provider, param="tools")
    if request.response_format is not None and request.response_format.kind != "text":
        raise NotSupported("it has no JSON mode: ask for JSON in the prompt", provider=provider, param="response_format")
    for index, message in enumerate(request.messages):
        if message.role == "tool" or not all(
            isinstance(part, TextPart | RefusalPart | ReasoningPart) for part in message.parts
        ):
            raise NotSupported("it takes text only: leave the rest out", provider=provider, param=f"messages[{index}]")
    if not any(message.text for message in request.messages):
        raise BadRequest("messages hold no text", provider=provider, param="messages")
