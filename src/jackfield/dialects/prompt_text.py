"""A conversation as one prompt, for engines that complete text: by one of a few well-known templates. Pure."""

from collections.abc import Mapping, Sequence

from jackfield.core.errors import NotSupported
from jackfield.core.messages import Message, TextPart


class Template(tuple[str, str, str, str, str]):
    """What stands before a system, a user and an assistant turn, after each turn, and where an answer ends."""


TEMPLATES: Mapping[str, Template] = {
    "alpaca": Template(("", "### Instruction:\n", "### Response:\n", "\n\n", "### Instruction:")),
    "chatml": Template(("<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n", "<|im_end|>")),
    "mistral": Template(("[INST] ", "[INST] ", " [/INST]", "", "</s>")),
    "plain": Template(("", "User: ", "Assistant: ", "\n\n", "\nUser:")),
}


def as_prompt(messages: Sequence[Message], template: str) -> tuple[str, str]:
    """The prompt up to where the answer begins, and the text at which the answer has ended.

    Raises NotSupported for anything but text.
    """
    system, user, assistant, after, end = TEMPLATES[template]
    before = {"system": system, "developer": system, "user": user, "assistant": assistant}
    turns = []
    for message in messages:
        if message.role not in before or not all(isinstance(part, TextPart) for part in message.parts):
            raise NotSupported("it completes text: no images, no tools", param="messages")
        turns.append(f"{before[message.role]}{message.text}{after}")
    if messages and messages[-1].role == "assistant":
        return "".join(turns).removesuffix(after), end
    return f"{''.join(turns)}{assistant}", end
