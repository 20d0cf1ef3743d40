"""Messages to the turns of the Messages dialect: the system prompt apart, tool results in the user's turn, roles in turn.

Knows what a turn is; blocks are in anthropic_messages_blocks.py.
"""

from collections.abc import Sequence

from jackfield.core.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from jackfield.dialects.anthropic_messages_blocks import BlockWriter, joined
from jackfield.dialects.json_value import Object

_SYSTEM = ("system", "developer")


def encode_system(messages: Sequence[Message], warnings: list[str]) -> str | list[Object] | None:
    """The system prompt: all system and developer messages, as one text where that loses nothing, else as blocks."""
    found = [(index, message) for index, message in enumerate(messages) if message.role in _SYSTEM]
    first_turn = next((index for index, message in enumerate(messages) if message.role not in _SYSTEM), len(messages))
    writer = BlockWriter(warnings)
    blocks: list[Object] = []
    for index, message in found:
        if index > first_turn:
            warnings.append(f"messages[{index}]: a system message in the middle is sent with the others, before all turns")
        for part in message.parts:
            if not isinstance(part, TextPart):
                warnings.append(f"messages[{index}]: only text can be part of a system prompt, the rest is left out")
            elif (block := writer.content(part, f"messages[{index}]")) is not None:
                blocks.append(block)
    if not blocks:
        return None
    is_plain = all(set(block) == {"type", "text"} for block in blocks)
    return joined(block["text"] for block in blocks) if is_plain and len(found) == len(blocks) else blocks


def encode_turns(messages: Sequence[Message], warnings: list[str]) -> list[Object]:
    """The `messages` array. Turns of one side that follow each other are one turn, as the source would make them.

    Raises BadRequest or NotSupported for a part that has no form here.
    """
    turns: list[Object] = []
    writer = BlockWriter(warnings)
    for index, message in enumerate(messages):
        if message.role in _SYSTEM:
            continue
        at = f"messages[{index}]"
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, writer, at, warnings)
        if message.name is not None:
            warnings.append(f"{at}.name: left out, the source does not take it")
        warnings += [f"{at}.{name}: left out, the source does not take it" for name, value in message.extra.items() if value]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks or not turns:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"] = _simplest(sorted(turn["content"], key=_comes_later))
    return turns


def _comes_later(block: Object) -> bool:
    """Results stand first in a user's turn: the source refuses them after anything else."""
    return bool(block["type"] != "tool_result")


def _simplest(blocks: list[Object]) -> str | list[Object]:
    if not blocks:
        return ""
    return blocks[0]["text"] if len(blocks) == 1 and set(blocks[0]) == {"type", "text"} else blocks


def _blocks(message: Message, writer: BlockWriter, at: str, warnings: list[str]) -> list[Object]:
    blocks: list[Object] = []
    for part in message.parts:
        block = _block(part, message, writer, at, warnings)
        if block is not None:
            blocks.append(block)
    return blocks


def _block(part: Part, message: Message, writer: BlockWriter, at: str, warnings: list[str]) -> Object | None:
    is_assistant = message.role == "assistant"
    match part:
        case ReasoningPart() if is_assistant:
            return writer.reasoning(part, at)
        case ToolCallPart() if is_assistant:
            return writer.tool_call(part, at)
        case ToolResultPart() if not is_assistant:
            return writer.tool_result(part, at)
        case ToolCallPart() | ToolResultPart():
            warnings.append(f"{at}: tool calls and results have their own sides of a conversation, this one is left out")
            return None
        case _:
            return writer.content(part, at)


def may_think(messages: Sequence[Message]) -> bool:
    """Whether the source would take thinking: not while a tool is being used in a turn that began without it."""
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    if last is None or not last.tool_calls or messages[-1].role == "assistant":
        return True
    return any(isinstance(part, ReasoningPart) and part.signature is not None for part in last.parts)
