"""Core messages to the messages of Cohere's chat API.

Knows roles and content blocks. Instructions stand first and are one message; a turn that calls tools may hold no text beside
the calls, so what was said there is its plan or its thoughts; each tool result is a message of its own.
"""

from collections.abc import Iterable, Sequence

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.dialects.json_value import Object

_QUIET = ("extra_content",)
"""Leftovers of other dialects that mean nothing to any other source."""
NOTHING = "(nothing)"


class Turns:
    """Builds `messages`. Adds to `warnings` what it leaves out; `thinks` says that thinking blocks may go back."""

    def __init__(self, warnings: list[str], *, thinks: bool) -> None:
        self._warnings = warnings
        self._thinks = thinks
        self._system: list[Object] = []
        self._turns: list[Object] = []

    def encode(self, messages: Sequence[Message]) -> list[Object]:
        """Raises NotSupported for what no block can hold, BadRequest for a request that says nothing."""
        for index, message in enumerate(messages):
            at = f"messages[{index}]"
            if message.name is not None:
                self._warnings.append(f"{at}.name: left out, turns of this dialect have no names")
            match message.role:
                case "system" | "developer":
                    self._instruct(message, at)
                case "assistant":
                    self._answer(message, at)
                case _:
                    self._ask(message, at)
        if not self._turns:
            raise BadRequest("messages must hold at least one message of the user with content", param="messages")
        return [*([{"role": "system", "content": _plain(self._system)}] if self._system else []), *self._turns]

    def _instruct(self, message: Message, at: str) -> None:
        self._name_leftovers(message.extra, at)
        if self._turns:
            self._warnings.append(f"{at}: instructions in the middle of a conversation stand at its beginning here")
        for part in message.parts:
            self._name_leftovers(part.extra, at)
            if not isinstance(part, TextPart):
                self._warnings.append(f"{at}: only the text of instructions is carried")
            elif part.text.strip():
                self._system.append({"type": "text", "text": part.text})

    def _ask(self, message: Message, at: str) -> None:
        """A user's turn or tool results, in their order: results are messages of their own."""
        self._name_leftovers(message.extra, at)
        blocks: list[Object] = []
        for index, part in enumerate(message.parts):
            place = f"{at}.content[{index}]"
            self._name_leftovers(part.extra, place)
            if isinstance(part, ToolResultPart):
                self._close_turn(blocks)
                self._turns.append(self._result(part, place))
            elif (block := self._block(part, place)) is not None:
                blocks.append(block)
        self._close_turn(blocks)

    def _close_turn(self, blocks: list[Object]) -> None:
        if blocks:
            self._turns.append({"role": "user", "content": _plain(blocks)})
            blocks.clear()

    def _result(self, part: ToolResultPart, at: str) -> Object:
        if part.is_error:
            self._warnings.append(f"{at}: the mark that the tool failed is left out, its text is carried")
        blocks: list[Object] = []
        for inner in part.content:
            self._name_leftovers(inner.extra, at)
            if not isinstance(inner, TextPart | RefusalPart):
                raise NotSupported(f"{at}: a tool's result must be text here", param=at)
            blocks.append({"type": "text", "text": inner.text})
        return {"role": "tool", "tool_call_id": part.call_id, "content": _plain(blocks) or NOTHING}

    def _block(self, part: Part, at: str) -> Object | None:
        match part:
            case TextPart(text) | RefusalPart(text):
                return {"type": "text", "text": text} if text.strip() else None
            case ImagePart():
                return {"type": "image_url", "image_url": _image(part, at)}
            case ReasoningPart():
                self._warnings.append(f"{at}: reasoning in a turn of the user is left out")
                return None
            case _:
                raise NotSupported(f"{at}: only text and images can be sent here (documents go in `documents`)", param=at)

    def _answer(self, message: Message, at: str) -> None:
        calls = [_call(part) for part in message.tool_calls]
        blocks: list[Object] = []
        for index, part in enumerate(message.parts):
            place = f"{at}.content[{index}]"
            self._name_leftovers(part.extra, place)
            if not isinstance(part, ToolCallPart) and (block := self._said(part, place, calls=bool(calls))) is not None:
                blocks.append(block)
        turn: Object = {"role": "assistant"}
        if calls:
            turn |= {"tool_calls": calls, **self._plan(blocks)}
        elif blocks:
            turn["content"] = _plain(blocks)
        else:
            return
        self._turns.append(turn | self._citations(message, at))

    def _said(self, part: Part, at: str, *, calls: bool) -> Object | None:
        match part:
            case TextPart(text) | RefusalPart(text):
                return {"type": "text", "text": text} if text.strip() else None
            case ReasoningPart(text, signature, redacted):
                if redacted or signature is not None:
                    self._warnings.append(f"{at}: reasoning that another source signed is left out")
                elif text and (self._thinks or calls):
                    return {"type": "thinking", "thinking": text}
                elif text:
                    self._warnings.append(f"{at}: earlier reasoning is left out, it is taken only where thinking is asked for")
                return None
            case _:
                raise NotSupported(f"{at}: an answer can hold only text and tool calls here", param=at)

    def _plan(self, blocks: Sequence[Object]) -> Object:
        """What was said before the calls: as thoughts where the model thinks, else as its plan."""
        said = [str(block[block["type"]]) for block in blocks]
        if not said:
            return {}
        if self._thinks:
            return {"content": [{"type": "thinking", "thinking": text} for text in said]}
        return {"tool_plan": "\n".join(said)}

    def _citations(self, message: Message, at: str) -> Object:
        cited = message.extra.get("citations")
        self._name_leftovers((name for name in message.extra if name != "citations"), at)
        return {"citations": cited} if isinstance(cited, list) and cited else {}

    def _name_leftovers(self, names: Iterable[str], at: str) -> None:
        self._warnings += [
            f"{at}: {name} is left out, this dialect has no place for it" for name in names if name not in _QUIET
        ]


def _plain(blocks: Sequence[Object]) -> str | list[Object]:
    """One text as a string, which every model of theirs takes."""
    if not blocks:
        return ""
    is_one_text = len(blocks) == 1 and blocks[0]["type"] == "text"
    return str(blocks[0]["text"]) if is_one_text else list(blocks)


def _call(part: ToolCallPart) -> Object:
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}


def _image(part: ImagePart, at: str) -> Object:
    url = part.url if part.data is None else f"data:{part.media_type or 'image/png'};base64,{part.data}"
    if url is None:
        raise BadRequest(f"{at}: an image needs a URL or its data", param=at)
    return {"url": url} | ({"detail": part.detail} if part.detail else {})
