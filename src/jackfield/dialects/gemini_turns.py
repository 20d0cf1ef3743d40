"""Core messages to Gemini's `contents` and `systemInstruction`, and the parts of an answer.

Knows where each part stands on the wire, and that Google refuses fields it does not know: what has no place is left out and
named in a warning. All results of one round of calls stand in one turn, as Google asks.
"""

from collections.abc import Sequence
from typing import Any

from jackfield.core.errors import BadRequest
from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.dialects.gemini_contents import PART_EXTRAS
from jackfield.dialects.gemini_media import encode_media
from jackfield.dialects.gemini_names import UNREADABLE_SIGNATURE, signature_in
from jackfield.dialects.json_answer import arguments_object
from jackfield.dialects.json_value import Object

_ANSWER_EXTRAS = ("content_parts", "images", "refusal", "audio", "annotations")


class Turns:
    """Builds the two fields. `signs_calls`: the model refuses a call of the current round that has no signature."""

    def __init__(self, warnings: list[str], *, signs_calls: bool = False) -> None:
        self._warnings = warnings
        self._signs_calls = signs_calls
        self._names: dict[str, str] = {}
        self._results: list[Object] = []
        self.system: list[Object] = []
        self.contents: list[Object] = []

    def add(self, messages: Sequence[Message]) -> None:
        """Raises BadRequest for a tool result that answers no call, and for a request that says nothing."""
        for index, message in enumerate(messages):
            at = f"messages[{index}]"
            self._note_lost(message, at)
            if message.role in ("system", "developer"):
                self._add_system(message, at)
            elif message.role == "assistant":
                self._add_turn("model", self._answer(message, at))
            else:
                self._add_user(message, at)
        if not self.contents:
            if not self.system:
                raise BadRequest("messages must hold at least one message with content", param="messages")
            # Google wants a turn: instructions alone are asked as a question.
            self.contents = [{"role": "user", "parts": self.system}]
            self.system = []

    def _note_lost(self, message: Message, at: str) -> None:
        if message.name is not None:
            self._warnings.append(f"{at}.name: left out, turns of this dialect have no names")
        for name in message.extra:
            if name not in _ANSWER_EXTRAS:
                self._warnings.append(f"{at}.{name}: left out, this dialect has no place for it")

    def _add_system(self, message: Message, at: str) -> None:
        if self.contents:
            self._warnings.append(f"{at}: instructions in the middle of a conversation stand at its beginning here")
        for part in message.parts:
            if isinstance(part, TextPart):
                self._note_extra(part.extra, at)
                self.system.append({"text": part.text})
            else:
                self._warnings.append(f"{at}: only the text of instructions is carried")

    def _add_turn(self, role: str, parts: list[Object]) -> None:
        if parts:
            self.contents.append({"role": role, "parts": parts})

    def _add_user(self, message: Message, at: str) -> None:
        results = [self._result(part, at) for part in message.parts if isinstance(part, ToolResultPart)]
        others = [part for part in message.parts if not isinstance(part, ToolResultPart)]
        if results:
            if self.contents and self.contents[-1]["parts"] is self._results:
                self._results += results
            else:
                self._results = results
                self._add_turn("user", results)
        self._add_turn("user", [item for part in others if (item := self._shown(part, at)) is not None])

    def _answer(self, message: Message, at: str) -> list[Object]:
        items: list[Object] = []
        is_first_call = True
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                self._names[part.id] = part.name
                items.append(self._call(part, at, is_first=is_first_call))
                is_first_call = False
            elif isinstance(part, ReasoningPart):
                items += self._thought(part, at)
            elif not isinstance(part, ToolResultPart) and (item := self._shown(part, at)) is not None:
                items.append(item)
        return items + kept_parts(message.extra)

    def _thought(self, part: ReasoningPart, at: str) -> list[Object]:
        """Thoughts go back only with their signature: without it they mean nothing to the model."""
        if part.redacted or part.signature is None:
            self._warnings.append(f"{at}: earlier reasoning without this dialect's signature is left out")
            return []
        return [{"text": part.text, "thought": True, "thoughtSignature": part.signature}]

    def _call(self, part: ToolCallPart, at: str, *, is_first: bool) -> Object:
        arguments = arguments_object(part.arguments)
        if arguments is None:
            self._warnings.append(f"{at}: the arguments of {part.name} are no JSON object, so they are carried as text")
            arguments = {"arguments": part.arguments}
        item: Object = {"functionCall": {"id": part.id, "name": part.name, "args": arguments}}
        signature = signature_in(part.extra)
        if signature is None and self._signs_calls and is_first:
            signature = UNREADABLE_SIGNATURE
        return _with_signature(item, signature)

    def _result(self, part: ToolResultPart, at: str) -> Object:
        name = part.name or self._names.get(part.call_id)
        if name is None:
            raise BadRequest(
                f"{at}.tool_call_id answers no call before it, so its function is not known", param=f"{at}.tool_call_id"
            )
        self._note_extra(part.extra, at)
        said = "".join(inner.text for inner in part.content if isinstance(inner, TextPart | RefusalPart | ReasoningPart))
        parsed = None if part.is_error else arguments_object(said)
        response = parsed if parsed is not None else {"error" if part.is_error else "output": said}
        item: Object = {"id": part.call_id, "name": name, "response": response}
        shown = [inner for inner in part.content if isinstance(inner, ImagePart | AudioPart | FilePart)]
        media = [value for inner in shown if (value := encode_media(inner)) is not None]
        return {"functionResponse": item | ({"parts": media} if media else {})}

    def _shown(self, part: Part, at: str) -> Object | None:
        match part:
            case TextPart(text, extra):
                self._note_extra(extra, at)
                return _with_signature({"text": text, **_placed(extra)}, signature_in(extra))
            case RefusalPart(text):
                return {"text": text}
            case ImagePart() | AudioPart() | FilePart():
                self._note_extra(part.extra, at)
                if isinstance(part, ImagePart) and part.detail is not None:
                    self._warnings.append(f"{at}: the detail of an image is left out, this dialect has mediaResolution instead")
                item = encode_media(part)
                if item is None:
                    self._warnings.append(f"{at}: sound or a file of an earlier answer cannot be named here and is left out")
                return None if item is None else item | _placed(part.extra)
            case _:
                self._warnings.append(f"{at}: reasoning and tool calls of a user message are not carried")
                return None

    def _note_extra(self, extra: Object, at: str) -> None:
        for name in extra:
            if name not in (*PART_EXTRAS, "extra_content"):
                self._warnings.append(f"{at}: {name} is left out, this dialect has no place for it")


def _placed(extra: Object) -> Object:
    return {name: extra[name] for name in PART_EXTRAS if name in extra}


def _with_signature(item: Object, signature: str | None) -> Object:
    return item if signature is None else {**item, "thoughtSignature": signature}


def kept_parts(extra: Object) -> list[Object]:
    """The parts of an answer that no core type names, as gemini_events.py keeps them: pictures, and code that was run."""
    if not extra:
        return []
    items: list[Object] = []
    images = extra.get("images")
    for image in images if isinstance(images, list) else ():
        url = _inner_text(image, "image_url", "url")
        head, marker, data = url.partition(";base64,")
        if marker and head.startswith("data:"):
            items.append({"inlineData": {"mimeType": head.removeprefix("data:"), "data": data}})
    parts = extra.get("content_parts")
    return items + [part for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)]


def _inner_text(value: Any, *names: str) -> str:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def answer_parts(message: Message) -> list[Object]:
    """The parts of an answer for a client. A call whose arguments are no JSON object is left out: see `unreadable_call`."""
    items: list[Object] = []
    for part in message.parts:
        if (item := answer_part(part)) is not None:
            items.append(item)
    return items + kept_parts(message.extra)


def answer_part(part: Part) -> Object | None:
    match part:
        case TextPart(text, extra):
            return _with_signature({"text": text, **_placed(extra)}, signature_in(extra)) if extra else {"text": text}
        case RefusalPart(text):
            return {"text": text}
        case ReasoningPart(text, signature, redacted):
            return None if redacted else _with_signature({"text": text, "thought": True}, signature)
        case ToolCallPart(id_, name, arguments, extra):
            args = arguments_object(arguments)
            if args is None:
                return None
            return _with_signature({"functionCall": {"id": id_, "name": name, "args": args}}, signature_in(extra))
        case _:
            return None


def unreadable_call(message: Message) -> str | None:
    """The name of a tool call whose arguments are no JSON object: Google's form has no place for it."""
    return next((call.name for call in message.tool_calls if arguments_object(call.arguments) is None), None)
